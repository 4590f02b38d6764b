package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine/ssh"
	"salvor/internal/remotes"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

type remoteAddOptions struct {
	kind           string
	set            []string // OPTION=VALUE
	secrets        []string // OPTION=FILE
	hostKey        string
	scope          string
	folder         string
	teamDrive      string
	serviceAccount string
	impersonate    string
	login          loginOptions
}

// loginOptions are how a person logs in at Google.
type loginOptions struct {
	client  string
	browser bool
}

func (o *loginOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.client, "client", "", "drive: the `FILE` of your OAuth client, as Google's console has it for download, instead of questions")
	cmd.Flags().BoolVar(&o.browser, "browser", false, "drive: log in in a browser on this computer, with a client of the type Desktop app")
}

func newRemoteAdd(g *globals) *cobra.Command {
	var o remoteAddOptions
	cmd := &cobra.Command{
		Use:   "add NAME --type TYPE",
		Short: "Declare a remote, with its login; for Google Drive it leads through the login",
		Long: "Add writes a remote to fleet.yaml, by rclone's own names for its options, encrypts its secrets, and commits both. " +
			"Secrets are asked for, or read from files. For Google Drive you need an OAuth client of your own " +
			"(docs/remotes.md shows how to make one): Add shows an address and a code, which you enter on any device, and makes " +
			"the folder salvor, the only one that the login sees. With --scope drive you log in in a browser on this computer, " +
			"and --folder may name a folder that exists. An SFTP server's key is shown, and pinned once you confirm it.",
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.kind == "" {
				return usage(cmd, "%s needs --type TYPE", cmd.CommandPath())
			}
			return runRemoteAdd(cmd.Context(), g, args[0], o)
		},
	}
	cmd.Flags().StringVar(&o.kind, "type", "", "rclone's backend `TYPE`: drive, s3, sftp, webdav, b2, onedrive, dropbox, local, crypt")
	cmd.Flags().StringArrayVar(&o.set, "set", nil, "an `OPTION=VALUE` of the type that is not a secret, such as host=nas.example.net")
	cmd.Flags().StringArrayVar(&o.secrets, "secret", nil, "read a secret option from a file: `OPTION=FILE`, such as pass=/dev/stdin")
	cmd.Flags().StringVar(&o.hostKey, "host-key", "", "sftp: the server's expected `FINGERPRINT` (SHA256:…), instead of a question")
	cmd.Flags().StringVar(&o.scope, "scope", "", "drive: drive.file (the default, only what Salvor makes) or drive (the whole account)")
	cmd.Flags().StringVar(&o.folder, "folder", "", "drive: the `ID` of a folder that exists, with --scope drive")
	cmd.Flags().StringVar(&o.teamDrive, "team-drive", "", "drive: the `ID` of a shared drive")
	cmd.Flags().StringVar(&o.serviceAccount, "service-account", "", "drive: log in as a service account, by its key `FILE`")
	cmd.Flags().StringVar(&o.impersonate, "impersonate", "", "drive: the `USER` for whom the service account acts")
	o.login.flags(cmd)
	return cmd
}

func runRemoteAdd(ctx context.Context, g *globals, name string, o remoteAddOptions) error {
	d, err := o.draft(name)
	if err != nil {
		return err
	}
	return g.with(ctx, func(a *app.App) error {
		if _, there := a.Fleet().Remote(name); there {
			return fault.WithHint(fmt.Errorf("fleet.yaml declares a remote %s already", name), "choose another name; salvor remote renew "+name+" gives it a new login")
		}
		if err := askOptions(g, d); err != nil {
			return err
		}
		if err := mayAdd(ctx, a, d); err != nil {
			return err
		}
		if err := pinDraft(ctx, g, a, d, o.hostKey); err != nil {
			return err
		}
		if err := d.Check(a.Fleet()); err != nil {
			return err
		}
		ends, err := settle(ctx, g, a, d, o.login.browser)
		if err != nil {
			return err
		}
		if err := declareRemote(ctx, a, d, "remote add: "+name); err != nil {
			return err
		}
		g.allowRemotes = append(g.allowRemotes, name) // its operator has just declared it
		if err := a.Confirmed.AllowRemote(d.Remote); err != nil {
			return err
		}
		return printAdded(g, a, d, ends)
	})
}

// draft is the remote that the flags describe.
func (o remoteAddOptions) draft(name string) (*remotes.Draft, error) {
	d, err := remotes.NewDraft(name, o.kind)
	if err != nil {
		return nil, fault.WithCode(err, fault.Usage)
	}
	scope := o.scope
	if o.kind == "drive" {
		scope = cmp.Or(scope, "drive.file")
	}
	if scope != "" && scope != "drive" && scope != "drive.file" {
		return nil, fault.WithCode(fault.WithHint(fmt.Errorf("there is no scope %q", scope), "--scope drive.file or --scope drive"), fault.Usage)
	}
	if o.folder != "" && scope == "drive.file" && o.serviceAccount == "" {
		return nil, fault.WithCode(fault.WithHint(fmt.Errorf("with the scope drive.file a login does not see a folder that exists"), "--scope drive --folder "+o.folder), fault.Usage)
	}
	if o.serviceAccount != "" {
		scope = "drive" // it sees what is shared with it, and nothing else
	}
	for _, each := range [][2]string{{"scope", scope}, {"root_folder_id", o.folder}, {"team_drive", o.teamDrive}, {"impersonate", o.impersonate}} {
		if each[1] == "" {
			continue
		}
		if err := d.Set(each[0], each[1]); err != nil {
			return nil, err
		}
	}
	for _, each := range o.set {
		option, value, ok := strings.Cut(each, "=")
		if !ok || value == "" {
			return nil, fault.WithCode(fault.WithHint(fmt.Errorf("--set %s: it has to be OPTION=VALUE", option), "--set host=nas.example.net"), fault.Usage)
		}
		if err := d.Set(option, value); err != nil {
			return nil, err
		}
	}
	return d, o.readFiles(d)
}

// readFiles takes the secrets that files have.
func (o remoteAddOptions) readFiles(d *remotes.Draft) error {
	for _, each := range o.secrets {
		option, file, ok := strings.Cut(each, "=")
		if !ok || file == "" {
			return fault.WithCode(fault.WithHint(fmt.Errorf("--secret %s: it has to be OPTION=FILE", option), "--secret "+option+"=/dev/stdin"), fault.Usage)
		}
		if err := fromFile(file, func(content []byte) error {
			d.SetSecret(option, secret.New([]byte(strings.TrimRight(string(content), "\r\n"))))
			return nil
		}); err != nil {
			return err
		}
	}
	if o.serviceAccount != "" {
		if err := fromFile(o.serviceAccount, d.ServiceAccountFile); err != nil {
			return err
		}
	}
	return o.login.readClient(d)
}

func (o loginOptions) readClient(d *remotes.Draft) error {
	if o.client == "" {
		return nil
	}
	return fromFile(o.client, d.ClientSecretFile)
}

func fromFile(file string, use func(content []byte) error) error {
	content, err := os.ReadFile(file)
	if err == nil {
		if err = use(content); err != nil {
			err = fmt.Errorf("%s: %w", file, err)
		}
	}
	return fault.WithCode(err, fault.Usage)
}

// askOptions asks for what the remote needs and no flag says.
func askOptions(g *globals, d *remotes.Draft) error {
	plain, secrets := d.Missing()
	if all := slices.Concat(plain, secrets); len(all) > 0 && !g.asks() {
		return fault.WithCode(fault.WithHint(fmt.Errorf("remote %s: %s is not set", d.Remote.Name, strings.Join(all, ", ")), notAsked(d, plain, secrets)), fault.Usage)
	}
	for _, option := range plain {
		value, err := g.ask(option + " of the remote " + d.Remote.Name + ": ")
		if err != nil {
			return err
		}
		if value == "" {
			return errNothingTyped
		}
		if err := d.Set(option, value); err != nil {
			return err
		}
	}
	for _, option := range secrets {
		question := option + " of the remote " + d.Remote.Name + ": "
		if d.Remote.Type == "sftp" {
			question = option + " of the remote " + d.Remote.Name + " (nothing: an SSH key is made): "
		}
		value, err := g.hidden(question, g.Term)
		switch {
		case err != nil:
			return err
		case value.IsZero() && d.Remote.Type == "sftp":
			err = makeKey(g, d)
		case value.IsZero():
			err = errNothingTyped
		default:
			d.SetSecret(option, value)
		}
		if err != nil {
			return err
		}
	}
	return d.Complete()
}

// notAsked says which flags give what is missing, without a terminal to ask at.
func notAsked(d *remotes.Draft, plain, secrets []string) string {
	if d.NeedsLogin() {
		return "--client FILE with the OAuth client of your own, which docs/remotes.md shows how to make"
	}
	var flags []string
	for _, option := range plain {
		flags = append(flags, "--set "+option+"=…")
	}
	for _, option := range secrets {
		flags = append(flags, "--secret "+option+"=FILE")
	}
	return strings.Join(flags, " ")
}

// makeKey makes the SSH key of a remote, whose public half the server has to accept.
func makeKey(g *globals, d *remotes.Draft) error {
	key, line, err := ssh.NewKey("salvor-" + d.Remote.Name)
	if err != nil {
		return err
	}
	d.SetSecret("key_pem", key)
	_, err = terminal.Printf(g.Err, "Append this line to ~/.ssh/authorized_keys of %s on the server:\n  %s\n", d.Remote.Options["user"].String(), strings.TrimSpace(line))
	return err
}

// mayAdd refuses names of secrets that are taken, before anyone logs in.
func mayAdd(ctx context.Context, a *app.App, d *remotes.Draft) error {
	names := slices.Collect(maps.Keys(d.Secrets()))
	if d.NeedsLogin() {
		names = append(names, d.NewSecrets("token")...)
	}
	for _, name := range names {
		if err := a.Secrets.MaySet(ctx, name, true); err != nil {
			return err
		}
	}
	return nil
}

// pinDraft pins the key of an sftp server.
func pinDraft(ctx context.Context, g *globals, a *app.App, d *remotes.Draft, expected string) error {
	server, unpinned := remotes.Unpinned(d.Remote)
	if !unpinned {
		return nil
	}
	key, err := g.trust(ctx, a, server, expected, "--host-key")
	if err != nil {
		return err
	}
	return d.Set("host_keys", string(key.Key))
}

// settle logs in where that takes a person, and has the remote's folder made. It returns
// when the login ends, 0 for never.
func settle(ctx context.Context, g *globals, a *app.App, d *remotes.Draft, browser bool) (ends time.Duration, err error) {
	if d.Remote.Type != "drive" {
		return 0, nil
	}
	if d.NeedsLogin() {
		if ends, err = logIn(ctx, g, a, d, browser); err != nil {
			return ends, err
		}
	}
	resolved, err := d.Resolved(ctx, resolver(a, d))
	if err != nil {
		return ends, err
	}
	return ends, d.Settle(ctx, resolved)
}

func resolver(a *app.App, d *remotes.Draft) func(context.Context, string) (secret.Value, error) {
	return func(ctx context.Context, option string) (secret.Value, error) {
		return a.Record.Resolve(ctx, d.Remote.Options[option])
	}
}

// declareRemote commits the remote with its new secrets.
func declareRemote(ctx context.Context, a *app.App, d *remotes.Draft, message string) error {
	all := map[string][]byte{}
	for name, value := range d.Secrets() {
		files, err := a.Secrets.Encrypt(ctx, name, value)
		if err != nil {
			return err
		}
		maps.Copy(all, files)
	}
	config, err := a.Checkout.File(fleet.File)
	if err != nil {
		return err
	}
	changed, err := controlrepo.SetRemote(config, d.Remote)
	if err != nil {
		return err
	}
	if string(changed) != string(config) {
		all[fleet.File] = changed
	}
	return a.Checkout.CommitFiles(ctx, all, message)
}

// printAdded says what was declared, and what comes next.
func printAdded(g *globals, a *app.App, d *remotes.Draft, ends time.Duration) error {
	r := d.Remote
	if g.json {
		return g.printJSON(struct {
			Schema  int      `json:"schema"`
			Remote  string   `json:"remote"`
			Type    string   `json:"type"`
			Folder  string   `json:"root_folder_id,omitempty"`
			Secrets []string `json:"secrets"`
			Ends    int64    `json:"login_ends_in_s,omitempty"`
		}{fleet.Schema, r.Name, r.Type, r.Options["root_folder_id"].String(), slices.Sorted(maps.Keys(d.Secrets())), int64(ends / time.Second)})
	}
	terminal.Printf(g.Err, "%s is declared in %s, and committed\n", r.Name, fleet.File)
	warnOfTesting(g, r.Name, ends)
	next := []string{"salvor remote test " + r.Name}
	if !slices.ContainsFunc(a.Fleet().Snapshots, func(t fleet.Target) bool { return t.Where.Remote == r.Name }) {
		next = append([]string{"a snapshot target on it, in fleet.yaml: data: {snapshots: [{name: offsite, remote: " + r.Name + ", path: salvor/snapshots, every: 1h}]}"}, next...)
	}
	_, err := terminal.Printf(g.Err, "Next:\n%s", terminal.Text(numbered(append(next, "salvor key card, if the fleet's record is on it: the card has its login"))))
	return err
}

// warnOfTesting says that Google ends the login of an app in testing, and what keeps it.
func warnOfTesting(g *globals, name string, ends time.Duration) {
	if ends == 0 {
		return
	}
	days := (ends + 12*time.Hour) / (24 * time.Hour)
	terminal.Printf(g.Err, "! %s: the OAuth client is in testing, so Google ends this login in %d days\n"+
		"  hint: publish it (Google's console, Google Auth Platform, Audience, Publish app), then salvor remote renew %s\n", name, int(days), name)
}
