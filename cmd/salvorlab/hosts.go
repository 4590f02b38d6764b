package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/term"

	"salvor/internal/lab"
	"salvor/internal/lab/suite"
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
			fmt.Printf("%s was left up; salvorlab down %s removes it\n", r.ID, r.ID)
		default:
			fmt.Printf("%s was left behind by a dead process; salvorlab down removes it\n", r.ID)
		}
	}
	space, err := lab.Space(ctx, suite.Need())
	if err == nil {
		fmt.Println(space)
	}
	return err
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
			return fmt.Errorf("%w (lab %s is kept; salvorlab down %s removes it)", err, l.ID, l.ID)
		}
		fmt.Printf("%s  ssh -i %s root@%s\n", name, l.Key(), h.Address)
	}
	fmt.Printf("salvorlab down %s removes them\n", l.ID)
	return nil
}

// host finds the host that the arguments name, and returns those behind it.
func host(ctx context.Context, name string, args []string) (*lab.Host, []string, error) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	id := flags.String("lab", "", "of which lab, where several have such a host")
	if err := flags.Parse(args); err != nil || flags.NArg() == 0 {
		return nil, nil, errUsage
	}
	h, err := lab.Find(ctx, *id, flags.Arg(0))
	return h, flags.Args()[1:], err
}

func shell(ctx context.Context, args []string) error {
	h, rest, err := host(ctx, "shell", args)
	if err != nil {
		return err
	}
	argv := []string{"exec", "-i"}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		argv = append(argv, "-t")
	}
	argv = append(argv, h.Container())
	if argv = append(argv, rest...); len(rest) == 0 {
		argv = append(argv, "bash", "-l")
	}
	return attached(ctx, nil, append([]string{"docker"}, argv...)...)
}

// power cuts a host's power, or gives it back.
func power(verb, done string, do func(*lab.Host, context.Context) error) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		h, rest, err := host(ctx, verb, args)
		if err == nil && len(rest) > 0 {
			err = errUsage
		}
		if err == nil {
			err = do(h, ctx)
		}
		if err == nil {
			fmt.Printf("%s %s\n", h.Name, done)
		}
		return err
	}
}

// down ends the labs that are named, or removes what dead processes left, and what no
// lab has used for days.
func down(ctx context.Context, args []string) error {
	for _, id := range args {
		if err := lab.End(ctx, id); err != nil {
			return err
		}
		fmt.Println("removed", id)
	}
	if len(args) > 0 {
		return nil
	}
	for _, remove := range []func(context.Context) ([]string, error){lab.Sweep, lab.Prune} {
		removed, err := remove(ctx)
		for _, name := range removed {
			fmt.Println("removed", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
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
