package benches

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"salvor/internal/lab"
	"salvor/internal/lab/world"
)

// noopRounds are enough for each contender's best of three, and a fourth in
// ABBA order.
const noopRounds = 4

// noop is `salvor apply` with nothing to do against the same 18 settings as an
// Ansible play, on one host that Salvor has prepared. The operator's key is open: the
// second that its passphrase takes is there to cost those who guess it as much.
func noop(ctx context.Context, log func(string, ...any), report func(Figure)) (err error) {
	l, err := lab.Start(ctx, lab.Options{Name: "bench-noop", Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(ctx))) }()
	w, alpha, err := onePreparedHost(ctx, l)
	if err != nil {
		return err
	}
	lock, err := unlock(ctx, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock()) }()
	play, err := newPlay(ctx, l, alpha)
	if err != nil {
		return err
	}
	apply := func(ctx context.Context) error { return nothingToDo(w.Salvor(ctx, nil, "apply")) }
	for _, warm := range []func(context.Context) error{apply, play.run} { // the connection, the page cache
		if err := warm(ctx); err != nil {
			return err
		}
	}
	log("ansible-playbook, its tasks:\n%s", strings.TrimSpace(play.profile))
	if err := parts(ctx, w, log); err != nil {
		return err
	}
	pair, err := Compare(ctx, noopRounds, apply, play.run)
	if err != nil {
		return err
	}
	report(Figure{Name: "noop.salvor", Value: pair.Ours.Seconds(), Unit: "s", OK: true})
	report(Figure{Name: "noop.ansible", Value: pair.Baseline.Seconds(), Unit: "s", OK: true})
	report(AtMost("noop", pair.Ratio(), "ratio", 0.05))
	return nil
}

// onePreparedHost is a fleet of one host with one stack, applied.
func onePreparedHost(ctx context.Context, l *lab.Lab) (*world.World, *lab.Host, error) {
	w, err := world.New(ctx, l, world.Options{})
	if err != nil {
		return nil, nil, err
	}
	images, err := w.Images(ctx)
	if err != nil {
		return nil, nil, err
	}
	alpha, err := w.Host(ctx, "alpha", lab.HostOptions{})
	if err != nil {
		return nil, nil, err
	}
	if err := w.Add(ctx, alpha); err != nil {
		return nil, nil, err
	}
	fleet, err := os.ReadFile(filepath.Join(w.Dir, "fleet.yaml"))
	if err != nil {
		return nil, nil, err
	}
	files := world.Site("alpha", 8086, images)
	files["fleet.yaml"] = string(fleet) + "networks: {proxy: {}}\n"
	for name, content := range files {
		if err := w.Write(name, content); err != nil {
			return nil, nil, err
		}
	}
	if err := w.Commit(ctx, "one stack"); err != nil {
		return nil, nil, err
	}
	_, err = w.Salvor(ctx, nil, "apply")
	return w, alpha, err
}

// parts says where the time of an apply goes: the program's start, then the commit
// loaded and rendered, then the host observed, then (apply, not plan) the Git remote
// asked, in parallel to the others.
func parts(ctx context.Context, w *world.World, log func(string, ...any)) error {
	for _, args := range [][]string{{"--version"}, {"check"}, {"plan"}, {"apply"}} {
		took, err := fastest(ctx, 3, func(ctx context.Context) error {
			_, err := w.Salvor(ctx, nil, args...)
			return err
		})
		if err != nil {
			return err
		}
		log("salvor %-9s %s", args[0], took)
	}
	return nil
}

func nothingToDo(out string, err error) error {
	if err == nil && !strings.Contains(out, "everything is as declared") {
		err = fmt.Errorf("there was something to do:\n%s", out)
	}
	return err
}

// A play is the baseline: ansible-playbook with bench/noop against one host.
type play struct {
	dir, folder string
	argv        []string
	profile     string // what the last run said about its tasks' times
}

func newPlay(ctx context.Context, l *lab.Lab, h *lab.Host) (*play, error) {
	root, err := world.Root(ctx)
	if err != nil {
		return nil, err
	}
	p := &play{dir: filepath.Join(root, "bench", "noop"), folder: filepath.Join(l.Folder(), "ansible")}
	if err := os.MkdirAll(p.folder, 0o700); err != nil {
		return nil, err
	}
	for name, path := range map[string]string{
		"salvor.conf": "/etc/tmpfiles.d/salvor.conf", "salvord.service": "/etc/systemd/system/salvord.service",
		"compose.yaml": "/var/lib/salvor/stacks/site/compose.yaml",
	} {
		content, err := h.Exec(ctx, "cat", path)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(p.folder, name), []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	p.argv = []string{"ansible-playbook", "-i", h.Address.String() + ",", "-u", "root", "--private-key", l.Key(), "-e", "files=" + p.folder, "site.yml"}
	return p, nil
}

// run runs the play and checks that it changed nothing.
func (p *play) run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, p.argv[0], p.argv[1:]...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "ANSIBLE_CONFIG="+filepath.Join(p.dir, "ansible.cfg"), "ANSIBLE_HOME="+p.folder)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ansible-playbook: %w\n%s", err, tail(out.String(), 3000))
	}
	if !strings.Contains(out.String(), "ok=18") || !strings.Contains(out.String(), "changed=0 ") {
		return fmt.Errorf("the play was to find 18 things right:\n%s", tail(out.String(), 3000))
	}
	_, p.profile, _ = strings.Cut(out.String(), "PLAY RECAP")
	return nil
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }
