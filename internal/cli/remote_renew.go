package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/oauth"
	"salvor/internal/remotes"
	"salvor/internal/storage"
	"salvor/internal/terminal"
)

func newRemoteRenew(g *globals) *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use:   "renew NAME",
		Short: "Log in to Google Drive again, for a remote whose login has ended",
		Long: "Renew asks Google for a new login with the remote's own OAuth client, looks whether it sees the remote's folder, " +
			"and puts it in place of the old one; nothing else is changed. A remote without a client of its own gets one. " +
			"salvor apply delivers the login to the hosts, which continue where they stopped.",
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return runRemoteRenew(cmd.Context(), g, args[0], o) },
	}
	o.flags(cmd)
	return cmd
}

func runRemoteRenew(ctx context.Context, g *globals, name string, o loginOptions) error {
	return g.with(ctx, func(a *app.App) error {
		declared, err := storage.Declared(a.Fleet(), name)
		if err != nil {
			return err
		}
		d := remotes.Redraft(declared)
		if !d.NeedsLogin() {
			return fault.WithCode(fault.WithHint(fmt.Errorf("the remote %s is not one to which a person logs in", name), "salvor secret set NAME gives its secret a new value"), fault.Usage)
		}
		if err := o.readClient(d); err != nil {
			return err
		}
		if err := askOptions(g, d); err != nil {
			return err
		}
		ends, err := logIn(ctx, g, a, d, o.browser)
		if err != nil {
			return err
		}
		if err := seesFolder(ctx, a, d); err != nil {
			return err
		}
		if err := declareRemote(ctx, a, d, "remote renew: "+name); err != nil {
			return err
		}
		warnOfTesting(g, name, ends)
		_, err = terminal.Printf(g.Err, "%s has a new login (committed); salvor apply delivers it\n", name)
		return err
	})
}

// logIn has a person log in, and returns when that ends, 0 for never.
func logIn(ctx context.Context, g *globals, a *app.App, d *remotes.Draft, browser bool) (ends time.Duration, err error) {
	l := remotes.DriveLogin{
		Browser: browser,
		Ends:    func(in time.Duration) { ends = in },
		Code: func(c oauth.Code) {
			g.progress().Suspend(func() {
				terminal.Printf(g.Err, "Open %s on any device, and enter the code %s (until %s). Waiting for you to allow it…\n", c.URL, c.Code, c.Until.Local().Format("15:04"))
			})
		},
		URL: func(url string) {
			g.progress().Suspend(func() {
				terminal.Printf(g.Err, "Open this address in a browser on this computer, and allow it. Waiting…\n%s\n", url)
			})
		},
	}
	if _, own := d.Secrets()[clientSecretOf(d)]; !own {
		if l.Secret, err = resolver(a, d)(ctx, "client_secret"); err != nil {
			return 0, err
		}
	}
	return ends, d.LogIn(ctx, l)
}

// clientSecretOf is the name under which the secret of a remote's OAuth client is kept.
func clientSecretOf(d *remotes.Draft) string {
	name, _ := d.Remote.Options["client_secret"].Secret()
	return name
}

// seesFolder refuses a login that does not see the remote's folder: that of another
// account, for instance.
func seesFolder(ctx context.Context, a *app.App, d *remotes.Draft) error {
	var resolved storage.Remote
	resolved, err := d.Resolved(ctx, resolver(a, d))
	if err != nil {
		return err
	}
	err = d.Look(ctx, resolved)
	if errors.Is(err, storage.ErrFolder) {
		return fault.WithHint(err, "log in with the account that has the folder; the former login was not changed")
	}
	return err
}
