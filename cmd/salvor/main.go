// Command salvor is the operator's half of Salvor.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"salvor/internal/cli"
	"salvor/internal/cloud"
	"salvor/internal/github"
	"salvor/internal/keychain"
	"salvor/internal/secret/agekey"
)

func main() { salvor(0, nil, sites{github: github.Public()}) }

// sites are where services are that have public addresses.
type sites struct {
	github     github.Site
	servers    cloud.Site
	cloudflare string
}

// salvor runs the program and ends the process.
func salvor(work agekey.WorkFactor, connect cli.Connect, at sites) {
	syscall.Umask(syscall.Umask(0) | 0o022) // what it writes into the clone is for its owner to change alone
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends what does not heed the first
	console := cli.Console{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, NoColor: os.Getenv("NO_COLOR") != "", Getenv: os.Getenv, Keychain: keychain.System{}, Work: work, Connect: connect, GitHub: at.github, Cloud: at.servers, Cloudflare: at.cloudflare}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		console.Term = keyboard()
	}
	code := cli.Main(ctx, os.Args[1:], console)
	stop()
	os.Exit(code)
}

// keyboard is what a person types at, nil for none: standard input, or the terminal
// itself where that is a file or a pipe, as in `salvor secret set NAME <FILE`.
func keyboard() *os.File {
	if term.IsTerminal(int(os.Stdin.Fd())) {
		return os.Stdin
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	return tty
}
