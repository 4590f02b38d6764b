// Command salvorlab is the developers' runner for the lab: real Debian hosts on
// this machine, scenarios and benches over them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"salvor/internal/fault"
	"salvor/internal/lab"
	"salvor/internal/lab/benches"
)

// errUsage ends the program with exit code 2.
var errUsage = errors.New("usage")

const usage = `salvorlab runs real Debian hosts on this machine.

  salvorlab doctor                      say whether a lab can run here
  salvorlab up [--release 13] [NAME…]   start hosts (default: alpha beta gamma) and leave them running
  salvorlab shell [--lab LAB] NAME [ARGV…]   a root shell on a host that is up, or one program
  salvorlab kill [--lab LAB] NAME       cut a host's power; boot gives it back
  salvorlab play                        three hosts, six stacks, and a prompt of your own among them
  salvorlab demo [--keep]               three hosts, six stacks, one host killed and recovered; --keep ends as play
  salvorlab run [--seed N] [--for D] [--short] NAME   run a scenario in full, or as make test does; without NAME, list them
  salvorlab test [--budget D]           every test, or those that fit into the time; see CONTRIBUTING.md
  salvorlab twin [--worlds N] [--seed N] [--first]   random fleets in this process, and the laws that hold in each
  salvorlab bench [--json] [NAME]       run the benches; exit 1 when a figure misses its goal
  salvorlab down [LAB…]                 remove what dead runs left and no run uses any more, or the labs that are named
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	is, err := benches.Child(ctx, os.Args[1:], os.Stdin, os.Stdout)
	if !is {
		err = dispatch(ctx, os.Args[1:])
	}
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	case errors.Is(err, errFailed): // go test's closing lines are the last word
		os.Exit(1)
	case ctx.Err() != nil:
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "salvorlab:", err)
		if hint := fault.Hint(err); hint != "" {
			fmt.Fprintln(os.Stderr, "hint:", hint)
		}
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	verbs := map[string]func(context.Context, []string) error{
		"demo": tellStory, "play": play, "doctor": doctor, "up": up, "shell": shell, "run": run, "test": test, "twin": twinWorlds, "bench": bench, "down": down,
		"kill": power("kill", "has no power", (*lab.Host).Kill), "boot": power("boot", "has booted", (*lab.Host).PowerOn),
	}
	verb, ok := verbs[args[0]]
	if !ok {
		return errUsage
	}
	return verb(ctx, args[1:])
}
