package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"salvor/internal/atomicfile"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/snapshot/nsexec"
	"salvor/internal/snapshot/repository"
	"salvor/internal/snapshot/restic"
	"salvor/internal/snapshot/restserver"
)

// RestoreJob says what to bring back.
type RestoreJob struct {
	Fleet, Stack string
	Epoch        int
	Repository   Repository
	Origin       string   // names the data, see Identity; "" for Repository's own id
	Snapshot     string   // full id or the beginning of one, "" for the newest usable
	Volumes      []Volume // those to restore
	Wish         string   // what is wished once: the volumes' markers have it as soon as their data is in place; "" for none
	Database     Database // for volumes that hold a dump; may be nil where none does
	// Hold may delay the download; it gets the number of bytes to come. Nil delays
	// nothing.
	Hold func(ctx context.Context, bytes int64) error
	Room *Room // what other restores of the run write; nil when there are none
	// Holds is as in Job: a damaged index is rebuilt, and the old one deleted.
	Holds func(context.Context) error
}

// Fetched is a snapshot's data on this host, verified, next to its final place.
type Fetched struct {
	Info    Info
	Meta    Meta
	Compose []byte // the resolved Compose file from that time
	job     RestoreJob
	Reused  bool // it lay here already, from a run that was interrupted
}

// fetchState is State/staging/<stack>/fetch.json: how far a restore has come. A
// volume is "placing" from just before the first rename until its marker is ready, so
// that a run interrupted there is distinguished from one that never began.
type fetchState struct {
	Schema   int              `json:"schema"`
	Snapshot string           `json:"snapshot"`
	Volumes  map[string]stage `json:"volumes"`
}

type stage string

const (
	fetching stage = "fetching"
	fetched  stage = "fetched"
	loaded   stage = "loaded" // a dump has become a database's files
	placing  stage = "placing"
	placed   stage = "placed"
)

// A fetcher gets a snapshot from a repository into staging folders, next to the data.
type fetcher struct{ engine Engine }

func (g fetcher) fetchPath(stack string) string {
	return g.engine.Dirs.Fetched(stack)
}

func (g fetcher) loadFetch(stack string) (fetchState, error) {
	var s fetchState
	content, err := os.ReadFile(g.fetchPath(stack))
	if err == nil && (json.Unmarshal(content, &s) != nil || s.Schema != fleet.Schema || s.Volumes == nil) {
		err = os.ErrNotExist // a note that can't be read is as good as none: it is fetched again
	}
	if errors.Is(err, os.ErrNotExist) {
		return fetchState{Schema: fleet.Schema, Volumes: map[string]stage{}}, nil
	}
	return s, err
}

func (g fetcher) saveFetch(stack string, s fetchState) error {
	content, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(g.fetchPath(stack)), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(g.fetchPath(stack), bytes.NewReader(content), 0o600)
}

// staging is where a volume's data waits: on the file system of its path, so
// that placing it is a rename. Docker takes every folder among its volumes for a
// volume, so nothing is staged there before Docker has made the volume itself.
func (g fetcher) staging(stack string, v Volume) (string, error) {
	dir, err := g.engine.dir(hostpath.Staging, stack)
	if err != nil {
		return "", err
	}
	name := "volume-" + DirName(v.Name)
	if deviceOf(dir) == deviceOf(v.Path) {
		return filepath.Join(dir, name), nil
	}
	near := g.engine.Dirs.StagingNextToVolumes(stack)
	if strings.HasPrefix(v.Path, g.engine.Dirs.Volumes+"/") && deviceOf(near) == deviceOf(v.Path) {
		return filepath.Join(near, name), os.MkdirAll(near, 0o700)
	}
	return v.Path + ".salvor-new", nil
}

// deviceOf returns the file system on which path is or would be made.
func deviceOf(path string) uint64 {
	for ; ; path = filepath.Dir(path) {
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil || path == "/" {
			return uint64(st.Dev) //nolint:unconvert // of another type on macOS
		}
	}
}

// Fetch downloads a snapshot's volumes next to their places and verifies them against
// the repository. It needs no Docker and touches nothing that runs, so it may overlap
// other work. Interrupted, it continues where it can; a volume that Place has placed
// already is not fetched again.
func (e Engine) Fetch(ctx context.Context, j RestoreJob) (*Fetched, error) {
	f, err := fetcher{e}.fetch(ctx, j)
	if err != nil {
		return nil, fmt.Errorf("restore %s: %w", j.Stack, err)
	}
	return f, nil
}

func (g fetcher) fetch(ctx context.Context, j RestoreJob) (*Fetched, error) {
	for _, v := range j.Volumes {
		if err := ValidVolume(v); err != nil {
			return nil, err
		}
	}
	repo, err := g.openWhole(ctx, j.Repository, Claim{j.Stack, j.Epoch, j.Holds})
	if err != nil {
		return nil, err
	}
	l, _, err := usable(ctx, repo, j.Repository, j.Stack)
	if err != nil {
		return nil, err
	}
	info, err := l.choose(j.Snapshot)
	if err != nil {
		return nil, err
	}
	snapshot, err := repo.Snapshot(ctx, info.ID)
	if err != nil {
		return nil, err
	}
	f := &Fetched{Info: info, job: j}
	if f.Meta, err = readMeta(ctx, repo, snapshot, j.Stack); err != nil {
		return nil, err
	}
	if f.Compose, err = readFile(ctx, repo, snapshot, inside(j.Stack, metaDir, "compose.yaml")); err != nil {
		return nil, err
	}
	state, err := g.begin(f)
	if err != nil {
		return nil, err
	}
	var missing []Volume
	for _, v := range j.Volumes {
		if state.Volumes[v.Name] == fetching {
			missing = append(missing, v)
		}
	}
	if f.Reused = len(missing) == 0; f.Reused {
		return f, nil
	}
	if j.Hold != nil {
		if err := j.Hold(ctx, f.size(missing)); err != nil {
			return nil, err
		}
	}
	d := download{fetcher: g, fetched: f, repo: repo, snapshot: snapshot, missing: missing, state: state}
	return f, d.run(ctx)
}

// size is how many bytes the volumes have in the snapshot.
func (f *Fetched) size(volumes []Volume) int64 {
	var bytes int64
	for _, v := range volumes {
		m, _ := f.Meta.Of(v)
		bytes += m.Stats.Disk
	}
	return bytes
}

// choose picks the snapshot asked for, or the newest usable one.
func (l Listing) choose(id string) (Info, error) {
	if id == "" {
		newest, ok := Newest(l.Infos)
		if !ok {
			return Info{}, errors.Join(ErrNoSnapshot, l.Err())
		}
		return newest, nil
	}
	var found []Info
	for _, i := range slices.Concat(l.Infos, l.Unproven) { // an operator who names one may know that it is right
		if strings.HasPrefix(i.ID, id) {
			found = append(found, i)
		}
	}
	for _, d := range l.Damaged {
		if strings.HasPrefix(d.Info.ID, id) {
			return Info{}, d.Err()
		}
	}
	switch len(found) {
	case 0:
		return Info{}, fmt.Errorf("snapshot %s: %w", id, ErrNoSnapshot)
	case 1:
		return found[0], nil
	}
	return Info{}, fmt.Errorf("%d snapshots begin with %s", len(found), id)
}

// openWhole opens a repository for restic, too: what it needs to open it is restored
// from a copy, and a damaged index is rebuilt.
func (g fetcher) openWhole(ctx context.Context, r Repository, c Claim) (*repository.Repository, error) {
	repo, err := openRepository(ctx, r)
	if err != nil {
		return nil, err
	}
	if _, _, err := repo.Mend(ctx, r.Spare); err != nil {
		return nil, err
	}
	damaged, err := repo.LoadIndex(ctx)
	if err == nil && len(damaged) > 0 {
		if err = (repairer{g.engine, r, repo, c}).rebuildIndex(ctx); err == nil {
			_, err = repo.LoadIndex(ctx)
		}
	}
	return repo, err
}

// begin compares what an earlier run has left with what is wanted now. Staged
// data of another snapshot is thrown away; what was placed stays.
func (g fetcher) begin(f *Fetched) (fetchState, error) {
	j := f.job
	state, err := g.loadFetch(j.Stack)
	if err != nil {
		return state, err
	}
	if state.Snapshot != f.Info.ID {
		state = fetchState{Schema: fleet.Schema, Snapshot: f.Info.ID, Volumes: map[string]stage{}}
	}
	for _, v := range j.Volumes {
		if _, ok := f.Meta.Of(v); !ok {
			return state, fmt.Errorf("volume %s is not in snapshot %s: %w", v.Name, repository.ShortID(f.Info.ID), ErrNoSnapshot)
		}
		if state.Volumes[v.Name] == placed {
			// a run that was interrupted after its last step leaves this for the next
			// one, which may have been asked for the same snapshot again
			m := g.engine.Marker(j.Stack, v.Name)
			if want := f.marker(v); m.Identity != want.Identity || m.Epoch != want.Epoch || m.State != MarkedReady || m.Snapshot != want.Snapshot || m.Wish != want.Wish {
				delete(state.Volumes, v.Name)
			}
		}
		if state.Volumes[v.Name] == "" {
			state.Volumes[v.Name] = fetching
			staging, err := g.staging(j.Stack, v)
			if err != nil {
				return state, err
			}
			if err := errors.Join(os.RemoveAll(staging), os.RemoveAll(dumpAt(staging))); err != nil {
				return state, err
			}
		}
	}
	return state, g.saveFetch(j.Stack, state)
}

// A download has restic write the missing volumes of a snapshot, all in one run.
type download struct {
	fetcher
	fetched  *Fetched
	repo     *repository.Repository
	snapshot repository.Snapshot
	missing  []Volume
	state    fetchState
}

func (d download) run(ctx context.Context) (err error) {
	j, info := d.fetched.job, d.fetched.Info
	ctx, s, err := d.engine.open(ctx, j.Repository, restserver.Options{Mode: restserver.ReadOnly}, j.Epoch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(withCause(ctx, err), s.close()) }()
	targets, err := d.engine.targets(ctx, d.fetched, d.repo, d.snapshot, d.missing)
	if err == nil {
		err = restorable(ctx, d.repo, targets)
	}
	if err != nil {
		return err
	}
	shares := sharesOf(targets, s.program.Version)
	release, err := j.Room.reserve(shares)
	if err != nil {
		return err
	}
	defer release()
	scope := d.engine.scope(j.Stack)
	end := scope.Step("download", repository.ShortID(info.ID))
	err = explainRestore(s.restore(ctx, info.ID, targets, inParts(func(done, total int64) { scope.Bytes("download", done, total) })), info)
	end(withCause(ctx, err), "")
	if err != nil {
		if full := j.Room.giveUp(shares); full != nil {
			err = fmt.Errorf("%w (%w)", full, err)
		}
		return err
	}
	end = scope.Step("verify", "")
	err = d.verify(ctx, targets, s.program.Version)
	end(err, "")
	if err != nil {
		return err
	}
	for _, v := range d.missing {
		d.state.Volumes[v.Name] = fetched
	}
	return d.saveFetch(j.Stack, d.state)
}

// verify compares each volume with the repository.
func (d download) verify(ctx context.Context, targets []target, version restic.Version) error {
	group, within := errgroup.WithContext(ctx)
	for _, t := range targets {
		group.Go(func() error { return t.verify(within, d.repo, version) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return syncTargets(targets)
}

// parts is how often at most it is said how far a download is: an operator takes only so
// much from a host, and a download may last for days.
const parts = 1000

// inParts passes on how far something is whenever it is another part further.
func inParts(say func(done, total int64)) func(done, total int64) {
	said := int64(0)
	return func(done, total int64) {
		if done-said >= max(total/parts, 1) {
			said = done
			say(done, total)
		}
	}
}

// restore has restic write the targets into the folders where they are staged.
func (s *session) restore(ctx context.Context, id string, targets []target, progress func(done, total int64)) error {
	var binds []nsexec.Bind
	var include []string
	for _, t := range targets {
		include = append(include, t.inside)
		binds = append(binds, nsexec.Bind{Source: t.path, Target: restoreRoot + t.inside, Writable: true})
	}
	return s.program.Restore(ctx, s.repo, restic.Restore{Snapshot: id, Target: restoreRoot, Include: include, Binds: binds, Progress: progress})
}

// restorable finds out before anything is downloaded whether all of it is there.
func restorable(ctx context.Context, repo *repository.Repository, targets []target) error {
	loss, _, err := repo.Survey(ctx)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if err := repo.Whole(ctx, t.node, loss.Packs); err != nil {
			return fmt.Errorf("volume %s: %w", t.volume.Name, err)
		}
	}
	return nil
}

// explainRestore says of restic's complaints what they mean: the remote has lost
// something, or the disk here is full.
func explainRestore(err error, i Info) error {
	var failed *restic.RestoreError
	switch {
	case !errors.As(err, &failed):
		return err
	case failed.Full():
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	case failed.Damaged():
		return fmt.Errorf("snapshot %s: %w: %w", repository.ShortID(i.ID), ErrDamaged, err)
	}
	return err
}
