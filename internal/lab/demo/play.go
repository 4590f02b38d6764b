package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/term"

	"salvor/internal/lab/world"
)

// Play makes the demo's world and leaves it to the person at the terminal. It is taken
// down when their shell ends.
func Play(ctx context.Context, out *os.File) error {
	return onStage(ctx, out, "Salvor: a fleet to play with.", func(d *demo) error {
		if err := acts(ctx, d.surroundings, d.fleet, d.deploy, d.snapshots); err != nil {
			return err
		}
		return d.play(ctx)
	})
}

// play opens a shell among the hosts, and returns when it has ended.
func (d *demo) play(ctx context.Context) error {
	guide, err := d.guide(ctx)
	if err != nil {
		return err
	}
	me, err := os.Executable()
	if err != nil {
		return err
	}
	tools := filepath.Join(d.lab.Folder(), "play")
	if err := furnish(tools, me, d.lab.ID, guide); err != nil {
		return err
	}
	d.say("It is yours now.")
	d.print("\n%s\n", guide)
	cmd := shell(ctx, tools)
	cmd.Dir, cmd.Env = d.world.Dir, append(d.world.Person(tools), cmd.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, d.out, d.out
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		var ended *exec.ExitError
		if !errors.As(err, &ended) { // the code is that of the last command
			return fmt.Errorf("the prompt: %w", err)
		}
	}
	return ctx.Err()
}

// shell is the person's own shell without the person's settings, which are for another
// home.
func shell(ctx context.Context, tools string) *exec.Cmd {
	argv := []string{"bash", "--noprofile", "--rcfile", filepath.Join(tools, "bashrc")}
	if zsh := os.Getenv("SHELL"); filepath.Base(zsh) == "zsh" {
		argv = []string{zsh, "-d"}
	}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		argv = append(argv, "-i")
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"SHELL=" + argv[0], "ZDOTDIR=" + tools}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGHUP) } // an interactive shell ignores SIGTERM
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// prompt is what the shell shows.
const prompt = "play$ "

// furnish makes the folder of the shell's settings and of the commands that it has in
// addition: what a person does to hosts and Salvor does not. me is this program.
func furnish(dir, me, lab, guide string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	errs := []error{
		os.WriteFile(filepath.Join(dir, "bashrc"), []byte("PS1='"+prompt+"'\n"), 0o644),
		os.WriteFile(filepath.Join(dir, ".zshrc"), []byte("PROMPT='"+prompt+"'\n"), 0o644),
		tool(dir, "play", "cat <<'END'\n"+guide+"END\n"),
	}
	for name, verb := range map[string]string{"kill-host": "kill", "boot-host": "boot", "shell-host": "shell"} {
		errs = append(errs, tool(dir, name, fmt.Sprintf("exec '%s' %s --lab %s \"$@\"\n", me, verb, lab)))
	}
	return errors.Join(errs...)
}

// tool writes a command.
func tool(dir, name, script string) error {
	return os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755)
}

// guide says what there is and what to try.
func (d *demo) guide(ctx context.Context) (string, error) {
	key, err := world.Fingerprint(ctx, d.gamma)
	if err != nil {
		return "", err
	}
	at, next := d.alpha, fmt.Sprintf(`kill-host alpha                    cut its power
  salvor recover alpha --to gamma=root@%s
                                     its stacks come back on a server that was empty, whose
                                     key is %s
  boot-host alpha; salvor status     it sees that its stacks are gamma's now`, d.gamma.Address, key)
	if d.lost {
		at, next = d.gamma, `boot-host alpha; salvor status     alpha sees that its stacks are gamma's now
  kill-host beta                     cut its power
  salvor recover beta --to gamma     its stack comes back on gamma`
	}
	return fmt.Sprintf(`  a page from Git         http://%s:%d/
  what shop has written   http://%s:%d/rows
  this folder             the fleet's repository: fleet.yaml, stacks/, salvor.lock

Try:
  salvor status                      what runs where, how old its newest snapshot is
  %s
  echo '<h1>hello</h1>' >stacks/site/html/index.html; git commit -am hello; salvor apply
                                     another page
  shell-host beta                    a root shell on a host

play shows this again. exit takes everything down; so does, from another terminal,
salvorlab down %s
`, at.Address, sitePort, at.Address, stacks[0].Port, next, d.lab.ID), nil
}
