package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/stack"
	nearest "salvor/internal/suggest"
	"salvor/internal/terminal"
)

type logsOptions struct {
	stack.LogOptions
	raw bool
}

func newLogs(g *globals) *cobra.Command {
	var o logsOptions
	cmd := &cobra.Command{
		Use:   "logs [STACK [SERVICE…] | STACK/SERVICE…]",
		Short: "Print the logs of stacks, or of some of their services",
		Long: "Logs prints what services wrote, each line behind its service's name. Several stacks are named one after the other; with none,\n" +
			"all stacks are meant. A word behind a stack is one of its services, or else another stack; STACK/SERVICE is always a service.\n" +
			"salvor-cloudflared is the connector of every host that has routes, HOST/salvor-cloudflared that of one host.\n" +
			"On a terminal, control characters are escaped unless --raw is given; a pipe gets the lines as they are.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error { return runLogs(cmd.Context(), g, a, args, o) })
		},
	}
	cmd.Flags().BoolVarP(&o.Follow, "follow", "f", false, "keep printing until interrupted")
	cmd.Flags().IntVarP(&o.Tail, "tail", "n", 0, "only the last `LINES` of each service")
	cmd.Flags().Var((*moment)(&o.Since), "since", "only what was written since this `TIME`: a duration like 10m or 2d, or a time like 2026-11-23T08:00:00Z")
	cmd.Flags().BoolVarP(&o.Timestamps, "timestamps", "t", false, "with the time of each line")
	cmd.Flags().BoolVar(&o.raw, "raw", false, "on a terminal, do not escape control characters: show the colours that services print themselves")
	return prints("what the services print", annotated(cmd, firstOnly, "services"))
}

// followed is how many stacks of one host can be followed at once: each takes one of the
// commands that an SSH server allows.
const followed = 7

func runLogs(ctx context.Context, g *globals, a *app.App, args []string, o logsOptions) error {
	asked, err := logsOf(a, args)
	if err != nil {
		return err
	}
	byHost := map[string]int{}
	for _, one := range asked {
		if byHost[one.host]++; o.Follow && byHost[one.host] > followed {
			return fault.WithCode(fault.WithHint(fmt.Errorf("more than %d stacks of %s can't be followed at once", followed, one.host), "salvor logs --follow STACK…"), fault.Usage)
		}
	}
	g.progress().Close()
	lines := terminal.NewLines(g.Out, !g.NoColor, o.raw)
	errs := make([]error, len(asked))
	var all sync.WaitGroup
	for i, one := range asked {
		all.Go(func() { errs[i] = printLogs(ctx, a, one, len(asked) > 1, lines, o) })
	}
	all.Wait()
	if o.Follow && errors.Is(ctx.Err(), context.Canceled) {
		return endedError(fault.Interrupted) // Ctrl-C is how a person ends it
	}
	return errors.Join(errs...)
}

// printLogs prints the logs of one stack. With several, names have their stack.
func printLogs(ctx context.Context, a *app.App, one logsAsked, several bool, lines *terminal.Lines, o logsOptions) error {
	m, err := a.Reach.Machine(ctx, one.host)
	if err != nil {
		return err
	}
	h := stack.New(m)
	defer h.Close()
	to := lines.From(func(line string) (name, text string) {
		name, text, found := strings.Cut(line, "|")
		if !found {
			return "", line
		}
		switch name = strings.TrimSpace(name); {
		case one.own:
			name = one.host + "/" + name
		case several:
			name = one.stack + "/" + name
		}
		return name, strings.TrimPrefix(text, " ")
	})
	o.Services = one.services
	return errors.Join(h.Logs(ctx, one.stack, to, o.LogOptions), to.Close())
}

// logsAsked are the logs of one stack, of some of its services or, with none, of all.
type logsAsked struct {
	stack, host string
	own         bool // stack is a project of the host's own
	services    []string
}

// ownLogs are those of a project of hosts' own, by its name, or of one host's.
func ownLogs(f *fleet.Fleet, lock fleet.Lock, arg string) (asked []logsAsked, own bool, err error) {
	host, name, one := strings.Cut(arg, "/")
	if !one {
		host, name = "", arg
	}
	if !strings.HasPrefix(name, fleet.OwnProjectPrefix) {
		return nil, false, nil
	}
	if name == fleet.ConnectorProject {
		for _, h := range f.Publishing(lock) {
			if !one || h == host {
				asked = append(asked, logsAsked{stack: name, host: h, own: true})
			}
		}
	}
	if len(asked) == 0 {
		err = fault.WithHint(fmt.Errorf("no host has the project %s", arg), "salvor status")
	}
	return asked, true, err
}

// serviceOfLast adds a service to the stack that was named last, if it is one of its services.
func serviceOfLast(a *app.App, asked []logsAsked, arg string) (bool, error) {
	last := len(asked) - 1
	if last < 0 || asked[last].own {
		return false, nil
	}
	its, err := isService(a, asked[last].stack, arg)
	if its {
		asked[last].services = append(asked[last].services, arg)
	}
	return its, err
}

// logsOf reads what is asked for.
func logsOf(a *app.App, args []string) ([]logsAsked, error) {
	lock := a.Lock()
	if len(args) == 0 {
		args = slices.Sorted(maps.Keys(lock.Stacks))
	}
	var asked []logsAsked
	for _, arg := range args {
		if of, own, err := ownLogs(a.Fleet(), lock, arg); own {
			if err != nil {
				return nil, err
			}
			asked = append(asked, of...)
			continue
		}
		name, service, exact := strings.Cut(arg, "/")
		if !exact {
			if its, err := serviceOfLast(a, asked, arg); err != nil {
				return nil, err
			} else if its {
				continue
			}
		}
		i, err := stackAsked(a, &asked, name)
		if err != nil {
			return nil, err
		}
		if exact {
			asked[i].services = append(asked[i].services, service)
		}
	}
	return asked, nil
}

// stackAsked returns where a stack is in what is asked for, and adds it where it is not.
func stackAsked(a *app.App, asked *[]logsAsked, name string) (int, error) {
	name, err := a.Stack(name)
	if err != nil {
		return 0, err
	}
	at, err := placement.Of(a.Lock(), name)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(*asked, func(one logsAsked) bool { return one.stack == name })
	if i < 0 {
		i, *asked = len(*asked), append(*asked, logsAsked{stack: name, host: at.Host})
	}
	return i, nil
}

// isService reports whether a word behind a stack is one of its services. One that is
// neither that nor a stack is an error, unless it is not known which services there are.
func isService(a *app.App, stack, word string) (bool, error) {
	services := a.Services(stack)
	switch {
	case slices.Contains(services, word):
		return true, nil
	case known(a.Fleet(), a.Lock(), word):
		return false, nil
	case len(services) == 0:
		return true, nil
	}
	err := fmt.Errorf("%s is not a service of %s, nor a stack%s", word, stack, nearest.DidYouMean(word, services))
	return false, fault.WithHint(err, "salvor ps "+stack)
}

func known(f *fleet.Fleet, lock fleet.Lock, name string) bool {
	_, declared := f.Stack(name)
	_, placed := lock.Placement(name)
	return declared || placed || slices.ContainsFunc(f.Stacks, func(st fleet.Stack) bool { return st.Called == name })
}
