package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/audit"
	"salvor/internal/checkout"
	"salvor/internal/progress"
	"salvor/internal/secret"
	"salvor/internal/storage"
	"salvor/internal/terminal"
)

// commands are salvor's commands, in the order of the help.
func commands(g *globals) []*cobra.Command {
	return []*cobra.Command{
		newInit(g), newHost(g), newAdopt(g), newSecret(g), newKey(g), newClone(g), newScan(g), newCheck(g), newAck(g), newPlan(g), newApply(g), newStatus(g),
		newSnapshot(g), newRestore(g), newRollback(g), newMove(g), newRecover(g), newRemote(g), newRoute(g), newRecord(g), newClaim(g), newUp(g), newDown(g),
		newPs(g), newRestart(g), newStart(g), newStop(g), newLogs(g), newExec(g), newCp(g), newSSH(g), newAnsible(g), newInventory(g),
		newDoctor(g), newSchema(g), newCompletion(g), newVersion(g),
	}
}

// open loads the fleet at the newest commit.
func (g *globals) open(ctx context.Context, sink progress.Sink) (*app.App, error) {
	return openAs(ctx, g, g.options(sink))
}

// openAs loads the fleet, and gives its clone what Git did not bring. If it can't, the command
// goes on: a clone may be read-only.
func openAs(ctx context.Context, g *globals, o app.Options) (*app.App, error) {
	a, err := app.Open(ctx, o)
	if err != nil || o.Files == checkout.Staged { // which is what the hook calls
		return a, err
	}
	if hooked, err := a.Checkout.Equip(ctx); err == nil && hooked && !g.quiet && !g.json {
		g.progress().Suspend(func() {
			terminal.Printf(g.Err, "note: this clone has a pre-commit hook now: Git calls salvor check before each commit\n")
		})
	}
	return a, nil
}

// closeLimit is what each of the two things that close brings to the record remote
// may take.
const closeLimit = 20 * time.Second

// close ends what open began. What was decrypted goes into the operators' journal
// first, and what was committed into the repository's mirror; that it can't is
// said, and fails nothing.
func (g *globals) close(ctx context.Context, a *app.App) {
	ctx = context.WithoutCancel(ctx)
	within := func(work func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, closeLimit)
		defer cancel()
		return work(ctx)
	}
	err := within(func(ctx context.Context) error { return a.Journals.Journal(ctx, g.command) })
	g.note(err)
	if !errors.Is(err, audit.ErrUnsent) { // otherwise the remote just failed to answer
		g.note(within(func(ctx context.Context) error { return a.Mirrors.RenewCommitted(ctx, !g.typesPassphrase()) }))
	}
	_ = a.Close() // only temporary files and connections
}

// note reports what failed in addition to the command's own work.
func (g *output) note(err error) {
	if err != nil {
		g.progress().Suspend(func() { terminal.Printf(g.Err, "note: %s\n", terminal.Text(err.Error())) })
	}
}

func (g *globals) options(sink progress.Sink) app.Options {
	say := func(format string, v ...any) { terminal.Printf(g.Err, format+"\n", v...) }
	o := app.Options{Dir: g.dir, Identity: g.identity, SSHKey: g.sshKey, Passphrase: func(file string, wrong int) (secret.Value, error) { return unlockSSH(g, file, wrong) }, Agents: agents(), Computer: computer(), Unlock: unlocker(g), Work: g.Work, Connect: g.Connect, GitHub: g.GitHub, Cloud: g.Cloud, Cloudflare: g.Cloudflare, Say: say, Confirm: g.confirm, Approve: g.approve, Grant: g.confirmGrants, Sink: sink, Ask: g.progress().Suspend, Terminal: g.Term, Prompts: g.programPrompts(), Printed: g.printed}
	if g.Term != nil {
		o.Trust = g.askYes
	}
	return o
}

// with opens the fleet for one piece of work.
func (g *globals) with(ctx context.Context, work func(*app.App) error) error {
	return g.withOptions(ctx, func(*app.Options) {}, work)
}

// withNews is with for a command that reports what the Git host has and this clone lacks.
func (g *globals) withNews(ctx context.Context, work func(*app.App) error) error {
	return g.withOptions(ctx, func(o *app.Options) { o.News = true }, work)
}

func (g *globals) withOptions(ctx context.Context, set func(*app.Options), work func(*app.App) error) (err error) {
	bar := g.progress()
	defer bar.Close()
	o := g.options(bar)
	set(&o)
	a, err := openAs(ctx, g, o)
	if err != nil {
		return err
	}
	defer g.close(ctx, a)
	return work(a)
}

// computer is what this user's commands share: it is in the folder of the session, which is
// in memory and for this user alone. Where there is none they share nothing.
func computer() storage.Computer {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(dir) {
		return storage.Computer{}
	}
	return storage.Computer{
		Tokens: storage.Tokens(filepath.Join(dir, "salvor", "tokens")),
		Lines:  storage.Lines{Dir: filepath.Join(dir, "salvor", "lines")},
	}
}
