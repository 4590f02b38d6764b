package cli

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/progress"
)

// commands are salvor's commands, in the order of the help.
func commands(g *globals) []*cobra.Command {
	return []*cobra.Command{
		newInit(g), newHost(g), newSecret(g), newKey(g), newClone(g), newScan(g), newCheck(g), newPlan(g), newApply(g), newStatus(g),
		newSnapshot(g), newRestore(g), newRollback(g), newMove(g), newRecover(g), newUp(g), newDown(g), newLogs(g), newExec(g),
	}
}

// open loads the fleet at the newest commit.
func (g *globals) open(ctx context.Context, sink progress.Sink) (*app.App, error) {
	return app.Open(ctx, g.options(sink))
}

func (g *globals) options(sink progress.Sink) app.Options {
	o := app.Options{Dir: g.dir, Identity: g.identity, SSHKey: g.sshKey, Passphrase: g.passphrase, Sink: sink, Terminal: g.Term, Printed: g.printed}
	if g.Term != nil {
		o.Prompts = g.Err // a terminal as well: what a program asks must be seen
	}
	return o
}

// with opens the fleet for one piece of work.
func (g *globals) with(ctx context.Context, work func(*app.App) error) (err error) {
	bar := g.progress()
	defer bar.Close()
	a, err := g.open(ctx, bar)
	if err != nil {
		return err
	}
	defer a.Close()
	return work(a)
}
