package benches

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"salvor/internal/deploy"
	"salvor/internal/fleet"
	"salvor/internal/lab"
	"salvor/internal/lab/world"
	"salvor/internal/seal"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

const recoverRounds = 3

// recoverSix is `salvor recover` onto a clean host against a script that does what
// can't be left out, one step after another, on another clean host from the same
// snapshots, registry and package cache. The first stack is to be healthy in half
// of the script's time; a goal over the recovery's own would be met by a slower
// recovery.
func recoverSix(ctx context.Context, log func(string, ...any), report func(Figure)) (err error) {
	l, err := lab.Start(ctx, lab.Options{Name: "bench-recover", Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(ctx))) }()
	s, err := startSix(ctx, l, sixMiB, sixFiles)
	if err != nil {
		return err
	}
	if err := s.snapshots(ctx); err != nil {
		return err
	}
	r := &recovering{six: s, lost: "alpha", log: log}
	if r.repositories, err = s.repositories(ctx); err != nil {
		return err
	}
	if err := s.alpha.Kill(ctx); err != nil {
		return err
	}
	pair, err := CompareTimes(ctx, recoverRounds, r.ours, r.baseline)
	if err != nil {
		return err
	}
	report(Figure{Name: "recover.salvor", Value: pair.Ours.Seconds(), Unit: "s", OK: true})
	report(Figure{Name: "recover.script", Value: pair.Baseline.Seconds(), Unit: "s", OK: true})
	report(AtMost("recover", pair.Ratio(), "ratio", 1))
	report(AtMost("recover.first", r.first.Seconds()/pair.Baseline.Seconds(), "ratio", 0.5))
	report(Figure{Name: "recover.first.own", Value: r.first.Seconds() / r.best.Seconds(), Unit: "ratio", OK: true})
	return nil
}

// A recovering is the lost fleet and how far the bench is.
type recovering struct {
	*six
	repositories string // lines for the script
	lost         string // the host that has the stacks in the lock
	round        int
	best         time.Duration
	first        time.Duration // of the best round: to the first healthy stack
	log          func(string, ...any)
}

// clean starts a host that neither contender has seen.
func (r *recovering) clean(ctx context.Context, kind string) (*lab.Host, error) {
	r.round++
	return r.Host(ctx, fmt.Sprintf("%s%d", kind, r.round), lab.HostOptions{})
}

func (r *recovering) ours(ctx context.Context) (time.Duration, error) {
	h, err := r.clean(ctx, "gamma")
	if err != nil {
		return 0, err
	}
	key, err := world.Fingerprint(ctx, h)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	out, err := r.Salvor(ctx, nil, "--json", "recover", r.lost, "--to", h.Name+"=root@"+h.Address.String(), "--host-key", key)
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	var receipt deploy.Receipt
	if err := json.Unmarshal([]byte(out), &receipt); err != nil {
		return 0, fmt.Errorf("read the receipt: %w", err)
	}
	r.tell(&receipt, began, took)
	r.lost = h.Name
	return took, h.Kill(ctx)
}

// tell logs the phases and keeps the first healthy stack of the best round.
func (r *recovering) tell(receipt *deploy.Receipt, began time.Time, took time.Duration) {
	logPhases(r.log, receipt, began)
	first := began.Add(took)
	for _, st := range receipt.Stacks() {
		if !st.Healthy.IsZero() && st.Healthy.Before(first) {
			first = st.Healthy
		}
	}
	r.log("salvor: first stack healthy after %s, all after %s", first.Sub(began), took)
	if r.best == 0 || took < r.best {
		r.best, r.first = took, first.Sub(began)
	}
}

// logPhases logs what a command did, in seconds after it began.
func logPhases(log func(string, ...any), receipt *deploy.Receipt, began time.Time) {
	phases := slices.Clone(receipt.Phases)
	for _, h := range receipt.Hosts {
		phases = append(phases, h.Phases...)
	}
	for _, p := range phases {
		log("salvor %6.1f s to %6.1f s  %s %s", p.Began.Sub(began).Seconds(), p.Ended.Sub(began).Seconds(), p.Name, p.Stack)
	}
}

func (r *recovering) baseline(ctx context.Context) (time.Duration, error) {
	h, err := r.clean(ctx, "delta")
	if err != nil {
		return 0, err
	}
	if err := r.prepare(ctx, h); err != nil {
		return 0, err
	}
	began := time.Now()
	out, err := h.Exec(ctx, "sh", "-c", ". /root/baseline/environment && exec bash /root/baseline/baseline.sh")
	if err != nil {
		return 0, err
	}
	took := time.Since(began)
	r.log("the script's steps, by the clock:\n%s", strings.TrimSpace(out))
	return took, h.Kill(ctx)
}

// prepare puts the script and all it needs on the host, outside the time that
// is measured.
func (r *recovering) prepare(ctx context.Context, h *lab.Host) error {
	root, err := world.Root(ctx)
	if err != nil {
		return err
	}
	script, err := os.ReadFile(filepath.Join(root, "bench", "recover", "baseline.sh"))
	if err != nil {
		return err
	}
	environment := fmt.Sprintf("export POSTGRES_PASSWORD=%s RCLONE_CONFIG_NAS_TYPE=webdav RCLONE_CONFIG_NAS_VENDOR=other RCLONE_CONFIG_NAS_URL=%s RCLONE_CONFIG_NAS_USER=%s REMOTE_PASSWORD=%s\n",
		blogPassword, r.Remote.WebDAV(), r.Remote.User, r.Remote.Password)
	files := map[string]string{"baseline.sh": string(script), "repositories": r.repositories, "environment": environment}
	sources, err := filepath.Glob(filepath.Join(r.Dir, "stacks", "*", "*"))
	if err != nil {
		return err
	}
	pages, err := filepath.Glob(filepath.Join(r.Dir, "stacks", "*", "*", "*"))
	if err != nil {
		return err
	}
	for _, source := range append(sources, pages...) {
		info, err := os.Stat(source)
		if err != nil || info.IsDir() {
			continue // a folder; what is in it comes with it
		}
		content, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		files[strings.TrimPrefix(source, r.Dir+"/")] = string(content)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := h.WriteFile(ctx, path.Join("/root/baseline", name), files[name]); err != nil {
			return err
		}
	}
	return nil
}

// repositories gives the script the places of the snapshots and their passwords, as
// the lost host's seals have them.
func (s *six) repositories(ctx context.Context) (string, error) {
	identity, err := s.alpha.Exec(ctx, "cat", "/etc/salvor/host.age")
	if err != nil {
		return "", err
	}
	file := filepath.Join(s.Lab.Folder(), "alpha.age")
	if err := os.WriteFile(file, []byte(identity), 0o600); err != nil {
		return "", err
	}
	key, err := agekey.OpenHost(file)
	if err != nil {
		return "", err
	}
	signers, err := os.ReadFile(filepath.Join(s.Dir, fleet.FleetSignersFile))
	if err != nil {
		return "", err
	}
	trusted, err := sign.ParseSigners(signers)
	if err != nil {
		return "", err
	}
	var lines strings.Builder
	for _, name := range s.names {
		at := seal.Placement{Host: "alpha", Stack: name, Epoch: 1}
		sealed, err := os.ReadFile(filepath.Join(s.Dir, at.Path()))
		if err != nil {
			return "", err
		}
		signature, err := os.ReadFile(filepath.Join(s.Dir, seal.SignaturePath(at.Path())))
		if err != nil {
			return "", err
		}
		opened, err := seal.Signed{File: sealed, Signature: signature}.Open(trusted, key, at, "")
		if err != nil {
			return "", err
		}
		volume := "data"
		if name == "blog" {
			volume = "db"
		}
		for id, password := range opened.Repositories {
			fmt.Fprintf(&lines, "%s %s salvor/snapshots/%s/%s %s\n", name, volume, name, id, password)
		}
	}
	return lines.String(), nil
}
