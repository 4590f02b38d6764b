// Command salvord is the host's half of Salvor; salvor installs it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"salvor/internal/hostapp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := hostapp.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
