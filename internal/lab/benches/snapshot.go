package benches

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/machine/local"
	"salvor/internal/progress"
	"salvor/internal/secret"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/cache"
	"salvor/internal/snapshot/nsexec"
	"salvor/internal/snapshot/repository"
	"salvor/internal/storage"
)

const (
	snapshotFiles  = 20_000
	snapshotSize   = (1 << 30) / snapshotFiles
	snapshotRounds = 2 // ABBA
	unchangedRuns  = 4
	secondRounds   = 4
	secondChanges  = 200 // files, a hundredth
	benchPassword  = "the password of both contenders' repositories"
)

// snapshots takes, repeats, restores and copies a snapshot of 1 GiB in 20,000 files, against
// restic alone on the same SFTP server. A stack that is paused is nothing here but a moment at
// which what has changed is read a second time, as for every stack that says nothing else.
func snapshots(ctx context.Context, log func(string, ...any), report func(Figure)) (err error) {
	server, err := serveSFTP(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.close()) }()
	b := &snapshotting{dir: server.top, source: filepath.Join(server.top, "volume"), server: server, log: log}
	if err := os.WriteFile(b.password(), []byte(benchPassword), 0o600); err != nil {
		return err
	}
	if b.client, err = b.server.client(); err != nil {
		return err
	}
	if err := errors.Join(plant(b.source, snapshotFiles, snapshotSize), b.prepare()); err != nil {
		return err
	}
	if err := run(exec.CommandContext(ctx, "sync")); err != nil {
		return err
	}
	for _, c := range []struct {
		figure       string
		rounds       int
		bound        float64
		ours, theirs func(context.Context) (time.Duration, error)
	}{
		{"snapshot.first", snapshotRounds, 1.3, b.first, b.plainFirst},
		{"snapshot.unchanged", unchangedRuns, 1.3, b.unchanged, b.plainUnchanged},
		{"snapshot.restore", snapshotRounds, 1.1, b.restore, b.plainRestore},
		{"snapshot.second", secondRounds, 0.5, b.second, b.takenThere},
	} {
		if c.figure == "snapshot.second" {
			if err := b.secondTargets(ctx, report); err != nil {
				return err
			}
		}
		pair, err := CompareTimes(ctx, c.rounds, c.ours, c.theirs)
		if err != nil {
			return err
		}
		log("%s: %.2f s against %.2f s", c.figure, pair.Ours.Seconds(), pair.Baseline.Seconds())
		report(AtMost(c.figure, pair.Ratio(), "ratio", c.bound))
	}
	report(Figure{Name: "snapshot.verify", Value: b.verify.Seconds(), Unit: "s", OK: true})
	return nil
}

// A snapshotting is the data, the server and what each contender has made last.
type snapshotting struct {
	dir, source string
	server      *sftp
	client      string // for restic
	engine      snapshot.Engine
	log         func(string, ...any)
	round       int
	repo        string // of ours that was taken last
	taken       snapshot.Result
	copied      string        // a repository of ours with copies
	there       string        // and one into which the volume is read once more
	plain       string        // restic's own repository that was made last
	verify      time.Duration // of the last restore
	began       time.Time     // of verification
}

// prepare makes the engine, as a host has it.
func (b *snapshotting) prepare() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	program, err := exec.LookPath("restic")
	if err != nil {
		return err
	}
	state := filepath.Join(b.dir, "state")
	b.engine = snapshot.Engine{
		Host: local.Machine{}, Helper: []string{self, childNamespace}, Guardian: []string{self, childGuard, filepath.Join(state, "run")}, Restic: program,
		Dirs: hostpath.Layout{State: state, Run: filepath.Join(state, "run"), Volumes: filepath.Join(b.dir, "docker")}, Progress: progress.SinkFunc(b.emit),
	}
	return os.MkdirAll(b.engine.Dirs.Run, 0o700)
}

// emit takes the time of verification.
func (b *snapshotting) emit(e progress.Event) {
	switch {
	case e.Step == "verify" && e.State == progress.Started:
		b.began = e.Time
	case e.Step == "verify" && e.State == progress.Done:
		b.verify = e.Time.Sub(b.began)
	}
}

// open reaches a repository of ours as a host does.
func (b *snapshotting) open(ctx context.Context, id string) (snapshot.Repository, func() error, error) {
	folder, err := storage.Open(ctx, storage.Remotes{"nas": b.server.remote}, fleet.Location{Remote: "nas", Path: "ours/" + id})
	if err != nil {
		return snapshot.Repository{}, nil, err
	}
	store := cache.New(folder, filepath.Join(b.dir, "objects", id))
	repo := snapshot.Repository{ID: id, Store: store, Password: secret.NewString(benchPassword)}
	return repo, func() error { return folder.Close(ctx) }, store.ListAll(ctx)
}

func (b *snapshotting) job(repo snapshot.Repository) snapshot.Job {
	return snapshot.Job{
		Fleet: "bench", Stack: "data", Host: "alpha", Epoch: 1, Commit: "c0ffee", Repository: repo, Compose: []byte("services: {}\n"), Quiescer: nothingRuns{},
		Volumes: []snapshot.Volume{{Name: "data", Path: b.source, Method: fleet.Pause}}, PauseLimit: time.Minute,
	}
}

// next makes an empty repository of ours, with the cutting of the one that a copy is made of.
func (b *snapshotting) next(ctx context.Context, like repository.Cutting) (string, error) {
	b.round++
	id := fmt.Sprintf("%08d", b.round)
	repo, end, err := b.open(ctx, id)
	if err != nil {
		return "", err
	}
	return id, errors.Join(repository.CreateLike(ctx, repo.Store, repo.Password, like), end())
}

// take is the time of one snapshot into a repository.
func (b *snapshotting) take(ctx context.Context, id string, change func(*snapshot.Job)) (took time.Duration, r snapshot.Result, err error) {
	began := time.Now()
	repo, end, err := b.open(ctx, id)
	if err != nil {
		return 0, r, err
	}
	job := b.job(repo)
	change(&job)
	r, err = b.engine.Take(ctx, job)
	err = errors.Join(err, end())
	if err == nil && r.Snapshot.ID == "" {
		err = fmt.Errorf("no snapshot was taken: %v", r.Findings)
	}
	return time.Since(began), r, err
}

func (b *snapshotting) first(ctx context.Context) (took time.Duration, err error) {
	id, err := b.next(ctx, repository.Cutting{})
	if err != nil {
		return 0, err
	}
	took, b.taken, err = b.take(ctx, id, func(*snapshot.Job) {})
	b.repo = id
	b.log("salvor: first %.2f s, %s", took.Seconds(), b.taken.Verified)
	return took, err
}

func (b *snapshotting) unchanged(ctx context.Context) (time.Duration, error) {
	took, r, err := b.take(ctx, b.repo, func(*snapshot.Job) {})
	if err == nil && !r.Skipped {
		b.log("salvor: unchanged was read again, %.2f s", took.Seconds())
	}
	return took, err
}

// copyTo copies what was taken last into another repository.
func (b *snapshotting) copyTo(ctx context.Context, id string) (time.Duration, error) {
	from, end, err := b.open(ctx, b.repo)
	if err != nil {
		return 0, err
	}
	took, _, err := b.take(ctx, id, func(j *snapshot.Job) { j.From = &snapshot.Source{Repository: from, Snapshot: b.taken.Snapshot.ID} })
	return took, errors.Join(err, end())
}

// secondTargets makes two more targets that have the snapshot that was taken last: one a copy of it, the other
// what was read for it. All of it has to be uploaded for both, so that has no goal.
func (b *snapshotting) secondTargets(ctx context.Context, report func(Figure)) error {
	cutting, err := b.taken.Spare.Cutting(secret.NewString(benchPassword))
	if err != nil {
		return err
	}
	if b.copied, err = b.next(ctx, cutting); err != nil {
		return err
	}
	if b.there, err = b.next(ctx, cutting); err != nil {
		return err
	}
	copying, err := b.copyTo(ctx, b.copied)
	if err != nil {
		return err
	}
	reading, _, err := b.take(ctx, b.there, func(*snapshot.Job) {})
	report(Figure{Name: "snapshot.second.first", Value: copying.Seconds() / reading.Seconds(), Unit: "ratio", OK: true})
	return err
}

// change writes a hundredth of the files again.
func (b *snapshotting) change() error {
	b.round++
	for n := range secondChanges {
		path := filepath.Join(b.source, fmt.Sprint(n), fmt.Sprint(100*n))
		if err := os.WriteFile(path, []byte(strings.Repeat(fmt.Sprintf("round %d, file %d\n", b.round, n), 3000)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// second is the time of a copy to a second target of what was read for the first one, when a hundredth of the
// files has changed.
func (b *snapshotting) second(ctx context.Context) (time.Duration, error) {
	err := b.change()
	if err == nil {
		_, b.taken, err = b.take(ctx, b.repo, func(*snapshot.Job) {})
	}
	if err != nil {
		return 0, err
	}
	return b.copyTo(ctx, b.copied)
}

// takenThere is the time that reading the volume again for the second target takes.
func (b *snapshotting) takenThere(ctx context.Context) (time.Duration, error) {
	if err := b.change(); err != nil {
		return 0, err
	}
	took, _, err := b.take(ctx, b.there, func(*snapshot.Job) {})
	return took, err
}

// restore is the time of a download to a clean host, without its verification.
func (b *snapshotting) restore(ctx context.Context) (time.Duration, error) {
	clean := filepath.Join(b.dir, "clean")
	engine := b.engine
	engine.Dirs.State, engine.Dirs.Run = filepath.Join(clean, "state"), filepath.Join(clean, "run")
	began := time.Now()
	repo, end, err := b.open(ctx, b.repo)
	if err != nil {
		return 0, err
	}
	volumes := []snapshot.Volume{{Name: "data", Path: filepath.Join(clean, "volumes", "data"), Method: fleet.Pause}}
	if err := os.MkdirAll(filepath.Dir(volumes[0].Path), 0o700); err != nil {
		return 0, err
	}
	_, err = engine.Fetch(ctx, snapshot.RestoreJob{Fleet: "bench", Stack: "data", Epoch: 2, Repository: repo, Volumes: volumes})
	took := time.Since(began) - b.verify
	b.log("salvor: restored in %.2f s, verified in %.2f s", took.Seconds(), b.verify.Seconds())
	return took, errors.Join(err, end(), os.RemoveAll(clean))
}

// password is the file that restic reads it from.
func (b *snapshotting) password() string { return filepath.Join(b.dir, "password") }

// restic runs Debian's on its repository by OpenSSH, with a cache of its own.
func (b *snapshotting) restic(ctx context.Context, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, "restic", append([]string{"--repo", "sftp:bench@127.0.0.1:" + b.plain, "-o", "sftp.command=" + b.client, "--password-file", b.password(), "--quiet"}, args...)...)
	cmd.Env = append(os.Environ(), "RESTIC_CACHE_DIR="+filepath.Join(b.dir, "restic", filepath.Base(b.plain)))
	began := time.Now()
	err := run(cmd)
	return time.Since(began), err
}

func (b *snapshotting) plainFirst(ctx context.Context) (time.Duration, error) {
	b.round++
	b.plain = fmt.Sprintf("/plain-%d", b.round)
	if _, err := b.restic(ctx, "init"); err != nil {
		return 0, err
	}
	return b.restic(ctx, "backup", b.source)
}

func (b *snapshotting) plainUnchanged(ctx context.Context) (time.Duration, error) {
	return b.restic(ctx, "backup", b.source)
}

// plainRestore restores without a cache, as on a clean host.
func (b *snapshotting) plainRestore(ctx context.Context) (time.Duration, error) {
	target := filepath.Join(b.dir, "plain")
	took, err := b.restic(ctx, "--no-cache", "restore", "latest", "--target", target)
	return took, errors.Join(err, os.RemoveAll(target))
}

// nothingRuns is a stack without containers.
type nothingRuns struct{}

// Pause implements snapshot.Quiescer.
func (nothingRuns) Pause(_ context.Context, record func([]string) error) error {
	return record([]string{"none"})
}

// Unpause implements snapshot.Quiescer.
func (nothingRuns) Unpause(context.Context, ...string) error { return nil }

// Started implements snapshot.Quiescer.
func (nothingRuns) Started(context.Context, time.Time) ([]string, error) { return nil, nil }

// The verbs of salvord that the engine calls, here of salvorlab.
const (
	childNamespace = "ns-exec"
	childGuard     = "guard"
)

// Child does what the snapshots engine has another process do, where the arguments say so: this
// program is salvord for a bench.
func Child(ctx context.Context, args []string, in io.Reader, out io.Writer) (is bool, err error) {
	switch {
	case len(args) == 1 && args[0] == childNamespace:
		return true, nsexec.Main(in)
	case len(args) == 3 && args[0] == childGuard && strings.HasPrefix(args[1], "/"):
		return true, snapshot.Guard(ctx, hostpath.Layout{Run: args[1]}, args[2], nothingRuns{}, in, out)
	}
	return false, nil
}
