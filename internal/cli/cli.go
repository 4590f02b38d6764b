// Package cli is salvor's command line: one file per command, each with its
// options and the function that does the work; cobra ends at the first of them.
//
// The tool's voice: results go to standard output, everything else to standard
// error. Errors are one line, `salvor: subject: what is wrong`, and where there
// is a next step, a line `hint: the command`. No capitals at the start, no full
// stop at the end.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"salvor/internal/agentapi"
	"salvor/internal/cli/render"
	"salvor/internal/cloud"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/github"
	"salvor/internal/machine"
	"salvor/internal/machine/local"
	"salvor/internal/progress"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/command"
	"salvor/internal/terminal"
)

// Connect reaches a host.
type Connect func(context.Context, fleet.Host) (machine.Machine, error)

// A Console is where a command reads and prints.
type Console struct {
	In       *os.File
	Out, Err io.Writer
	Term     *os.File // for prompts and live progress, nil when there is no terminal
	NoColor  bool
	Keychain Keychain            // nil for none
	Getenv   func(string) string // the environment, nil for an empty one
	Work     agekey.WorkFactor   // of the passphrases of new identities; for tests, which make many
	Connect  Connect             // reaches hosts, nil for SSH; for tests
	GitHub   github.Site         // where repositories are made, and tokens are sent
	Cloud    cloud.Site          // how servers are that a cloud makes; for tests
	// Cloudflare is where its API is, "" for the public one; for tests.
	Cloudflare string
}

// visible is the console with whatever is printed made visible.
func (c Console) visible() Console {
	same := c.Out == c.Err
	c.Out = terminal.New(c.Out)
	if c.Err = terminal.New(c.Err); same {
		c.Err = c.Out
	}
	return c
}

func (c Console) flush() {
	for _, w := range []io.Writer{c.Out, c.Err} {
		if t, is := w.(*terminal.Writer); is {
			t.Flush()
		}
	}
}

// Main runs salvor with args and returns the exit code.
func Main(ctx context.Context, args []string, c Console) int {
	c = c.visible()
	defer c.flush()
	g := &globals{prompts: prompts{output: output{Console: c}, interrupted: ctx.Done()}, printed: command.NewMemory()}
	root := newRoot(g)
	root.SetArgs(args)
	root.SetOut(c.Out)
	root.SetErr(c.Err)
	root.SetIn(c.In)
	err := errors.Join(local.NoCoreDumps(), fromEnvironment(root.PersistentFlags(), c.Getenv))
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	g.progress().Close()
	if err == nil {
		return fault.OK
	}
	code := exitCode(ctx, err)
	if code == fault.Interrupted {
		err = interrupted(err)
	}
	g.report(err, code)
	return code
}

// globals are the flags that every command has.
type globals struct {
	prompts
	dir      string
	identity string
	sshKey   string
	printed  *command.Memory // what programs printed, for all that this command opens
	command  string          // as the operators' journal has it: "secret get token"
}

// prompts asks the operator, or takes what was said beforehand.
type prompts struct {
	output
	yes               bool
	grants            []string // names of grants that are confirmed, see package grant
	allowRemotes      []string
	allowPrograms     []string
	passphraseFile    string
	passphraseCommand string
	noPassphrase      bool
	interrupted       <-chan struct{} // closed by Ctrl-C
}

// output prints results, progress and errors.
type output struct {
	Console
	json  bool
	quiet bool

	verbose bool // shows what is run

	screen render.Progress // see progress
}

func newRoot(g *globals) *cobra.Command {
	var showVersion bool
	root := &cobra.Command{
		Use:           "salvor",
		Short:         "A self-hosted Docker environment whose hosts don't matter",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          subcommand,
		RunE: func(cmd *cobra.Command, args []string) error {
			if showVersion {
				return g.printVersion(nil)
			}
			return showHelp(cmd, args)
		},
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			g.command = journaled(cmd, args)
			if g.verbose {
				cmd.SetContext(machine.WithTrace(cmd.Context(), g.ran))
			}
			if err := preferTyped(g, cmd); err != nil {
				return err
			}
			if g.json && cmd.Annotations[rawOutput] != "" {
				return usage(cmd, "%s prints %s and does not support --json", cmd.CommandPath(), cmd.Annotations[rawOutput])
			}
			return nil
		},
	}
	root.Flags().BoolVar(&showVersion, "version", false, "print the version")
	flags := root.PersistentFlags()
	flags.StringVarP(&g.dir, "dir", "C", ".", "the control repository, or a folder in it")
	flags.BoolVar(&g.json, "json", false, "print the result as JSON, progress as JSON lines")
	flags.BoolVarP(&g.quiet, "quiet", "q", false, "show no progress")
	flags.BoolVarP(&g.verbose, "verbose", "v", false, "show each program that is run, on which host, and how long it took")
	flags.BoolVar(&g.yes, "yes", false, "confirm what is asked; for use without a terminal")
	flags.StringArrayVar(&g.allowRemotes, "allow-remote", nil, "approve the place of the remote `NAME` and the secrets that it gets, as they are now")
	flags.StringArrayVar(&g.allowPrograms, "allow-program", nil, "approve the program in fleet.yaml with this "+
		"`FINGERPRINT`; the error about it shows the fingerprint")
	flags.StringArrayVar(&g.grants, "grant", nil, "confirm the grant `NAME`, as salvor plan shows it; --yes does not confirm grants")
	flags.StringVar(&g.identity, "identity", "", "the operator's age identity (default: salvor/<fleet>.age in the user's configuration folder)")
	flags.StringVar(&g.sshKey, "ssh-key", "", "private SSH `KEY` for hosts (default: the agent, then the usual files)")
	flags.StringVar(&g.passphraseFile, "passphrase-file", "", "read the identity's passphrase from this file, for instance /dev/fd/3")
	flags.StringVar(&g.passphraseCommand, "passphrase-command", "", "read the identity's passphrase from what this `COMMAND` prints; no shell reads the command")
	nameVariables(flags)
	root.SetFlagErrorFunc(flagRefusal)
	help := newHelp(g)
	root.AddCommand(append(commands(g), help)...)
	root.SetHelpCommand(help)
	nameOtherwise(root)
	present(root)
	completes(g, root)
	return root
}

// rawOutput is the annotation of commands whose output is not a result of Salvor's
// that could be JSON; its value says what they print.
const rawOutput = "raw-output"

// prints marks a command whose output is something as it is.
func prints(what string, cmd *cobra.Command) *cobra.Command {
	return annotated(cmd, rawOutput, what)
}

// firstOnly is the annotation of commands of which the operators' journal has the
// first argument alone: what follows may hold a secret.
const firstOnly = "first-only"

func annotated(cmd *cobra.Command, name, value string) *cobra.Command {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[name] = value
	return cmd
}

// journaled is a command as the operators' journal has it: without options.
func journaled(cmd *cobra.Command, args []string) string {
	if cmd.Annotations[firstOnly] != "" && len(args) > 1 {
		args = args[:1]
	}
	return strings.Join(append([]string{strings.TrimPrefix(cmd.CommandPath(), "salvor ")}, args...), " ")
}

// newGroup makes a command that only holds others: alone it shows its help.
func newGroup(name, short string, commands ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{Use: name, Short: short, Args: subcommand, RunE: showHelp}
	group.AddCommand(commands...)
	return group
}

func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// usage makes a usage error with the help of the command as its hint.
func usage(cmd *cobra.Command, format string, args ...any) error {
	return fault.WithCode(fault.WithHint(fmt.Errorf(format, args...), cmd.CommandPath()+" --help"), fault.Usage)
}

// exactArgs is cobra's check with our exit code and hint.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 {
			return usage(cmd, "%s takes no arguments", cmd.CommandPath())
		}
		return usage(cmd, "%s needs %s", cmd.CommandPath(), strings.Join(names, " "))
	}
}

// mostArgs allows the named arguments.
func mostArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= len(names) {
			return nil
		}
		return usage(cmd, "%s takes %s at most", cmd.CommandPath(), strings.Join(names, " "))
	}
}

// leastArgs asks for at least the named arguments.
func leastArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= len(names) {
			return nil
		}
		return usage(cmd, "%s needs %s", cmd.CommandPath(), strings.Join(names, " "))
	}
}

// exitCode is what the program ends with: an interrupt wins over what it made fail.
func exitCode(ctx context.Context, err error) int {
	code, set := fault.Code(err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled), errors.Is(err, errInterrupted):
		return fault.Interrupted
	case set:
		return code
	default:
		return fault.General
	}
}

// interrupted is an error that an interrupt made: how each step under it was cut off
// says nothing to a person.
func interrupted(err error) error {
	if !errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), context.Canceled.Error()) {
		return err
	}
	return fault.WithHint(errors.New("interrupted"), cmp.Or(fault.Hint(err), "run the same command again to continue"))
}

// report prints the error: one line and a hint, or with --json an object.
func (g *output) report(err error, code int) {
	if errors.Is(err, errInterrupted) {
		err = errInterrupted // what was asked for then is of no use to anyone
	}
	if g.json {
		said := map[string]any{"schema": 1, "error": err.Error(), "hint": fault.Hint(err), "code": code}
		if advice := saidBy(err); advice != "" {
			said["said"] = advice
		}
		// standard error is the last resort; when it is gone no one can read it
		_ = terminal.JSON(g.Err, said, "")
		return
	}
	for _, each := range apart(err) {
		if errors.As(each, new(endedError)) {
			continue
		}
		terminal.Printf(g.Err, "salvor: %s\n", terminal.Text(each.Error()))
		if hint := fault.Hint(each); hint != "" {
			terminal.Printf(g.Err, "hint: %s\n", hint)
		} else if said := saidBy(each); said != "" {
			terminal.Printf(g.Err, "%s\n", said)
		}
	}
}

// saidBy is what a host says that could be done, in its name: "alpha says: …".
func saidBy(err error) string {
	var told *agentapi.Error
	if !errors.As(err, &told) {
		return ""
	}
	return told.Hint
}

// apart takes joined errors apart, so that each is a line with its own hint.
func apart(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error }) // only what is joined at the top
	if !ok {
		return []error{err}
	}
	var all []error
	var texts []string
	for _, e := range joined.Unwrap() {
		all, texts = append(all, apart(e)...), append(texts, e.Error())
	}
	if strings.Join(texts, "\n") != err.Error() {
		return []error{err} // a sentence that wraps several
	}
	return all
}

// printJSON writes a result; every result carries its schema.
func (g *output) printJSON(v any) error {
	return terminal.JSON(g.Out, v, "  ")
}

// progress returns the printer of this command's events: always the same one, so
// that everything the command opens reports to it, and every question can have
// the terminal to itself.
func (g *output) progress() render.Progress {
	if g.screen != nil {
		return g.screen
	}
	mode := render.Plain
	switch {
	case g.quiet:
		mode = render.Quiet
	case g.json:
		mode = render.JSON
	case g.Term != nil:
		mode = render.TTY
	}
	g.screen = render.NewProgress(g.Err, mode, g.size, !g.NoColor)
	return g.screen
}

// printOne writes a result that is one text: a line, or with --json an object in
// which it has a name.
func (g *output) printOne(name, text string) error {
	if g.json {
		return g.printJSON(map[string]any{"schema": fleet.Schema, name: text})
	}
	_, err := terminal.Printf(g.Out, "%s\n", text)
	return err
}

// ran shows a program that was run, see --verbose.
func (g *output) ran(r machine.Ran) {
	took := r.Took.Round(time.Millisecond).String()
	var exit *machine.ExitError
	switch {
	case errors.As(r.Err, &exit):
		took += fmt.Sprintf(", exit %d", exit.Code) // which may be an answer
	case r.Err != nil:
		took += ", " + r.Err.Error()
	}
	progress.Scope{Sink: g.progress(), Host: cmp.Or(r.Host, "here")}.Note(strings.Join(r.Command(), " ") + " (" + took + ")")
}

// size is the terminal's; a terminal that can't say counts as the usual one.
func (g *output) size() (columns, lines int) {
	columns, lines, err := term.GetSize(int(g.Term.Fd()))
	if err != nil || columns == 0 || lines == 0 {
		return 80, 24
	}
	return columns, lines
}
