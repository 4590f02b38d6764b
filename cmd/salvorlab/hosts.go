package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/term"

	"salvor/internal/lab"
)

func doctor(ctx context.Context, args []string) error {
	if len(args) > 0 {
		return errUsage
	}
	if err := lab.Available(ctx); err != nil {
		return err
	}
	runs, err := lab.Runs(ctx)
	if err != nil {
		return err
	}
	fmt.Println("a lab can run here")
	for _, r := range runs {
		switch {
		case r.Alive:
			fmt.Printf("%s is running\n", r.ID)
		case r.Kept:
			fmt.Printf("%s was left up; salvorlab down removes it\n", r.ID)
		default:
			fmt.Printf("%s was left behind by a dead process; salvorlab down removes it\n", r.ID)
		}
	}
	return nil
}

func up(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	release := flags.Int("release", 13, "Debian release: 13 or 12")
	if err := flags.Parse(args); err != nil {
		return errUsage
	}
	names := flags.Args()
	if len(names) == 0 {
		names = []string{"alpha", "beta", "gamma"}
	}
	l, err := lab.Start(ctx, lab.Options{Name: "up", Keep: true, Log: logLine})
	if err != nil {
		return err
	}
	for _, name := range names {
		h, err := l.Host(ctx, name, lab.HostOptions{Release: *release})
		if err != nil {
			return fmt.Errorf("%w (lab %s is kept; salvorlab down removes it)", err, l.ID)
		}
		fmt.Printf("%s  ssh -i %s root@%s\n", name, l.Key(), h.Address)
	}
	return nil
}

func shell(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	container, err := lab.Find(ctx, args[0])
	if err != nil {
		return err
	}
	argv := []string{"exec", "-i"}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		argv = append(argv, "-t")
	}
	argv = append(argv, container)
	if argv = append(argv, args[1:]...); len(args) == 1 {
		argv = append(argv, "bash", "-l")
	}
	return attached(ctx, nil, append([]string{"docker"}, argv...)...)
}

func down(ctx context.Context, args []string) error {
	if len(args) > 0 {
		return errUsage
	}
	removed, err := lab.Sweep(ctx, true)
	for _, id := range removed {
		fmt.Println("removed", id)
	}
	return err
}

// attached runs a program on this terminal.
func attached(ctx context.Context, env []string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd.Run()
}

func logLine(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
