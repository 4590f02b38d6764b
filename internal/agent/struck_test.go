package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/blob"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
	"salvor/internal/stack/stacktest"
	"salvor/internal/storage"
)

// A struck is a host whose stack has two snapshots of forty files on the target nas. Then
// something strikes it.
type struck struct {
	*here.Host
	t       *testing.T
	remote  string // nas
	spec    agentapi.Host
	stack   agentapi.Stack
	off     atomic.Int64      // nanoseconds by which the host's clock is wrong
	puts    func(path string) // called before something is written to a remote; nil for nothing
	accepts bool              // what the operator says of the next snapshot
	plan    []finding.Finding // of a plan, which no host makes
	taken   map[string]string // what the newest good snapshot has: content by path
	good    agentapi.SnapshotInfo
	first   string   // id of the one before, which has a file more: old
	packs   []string // that the first one made
}

// files are those of the stack. One more, of large bytes, is most of it: it lies in the middle of
// its pack.
const files, large = 40, 1 << 20

func newStruck(t *testing.T) *struck {
	t.Helper()
	s := &struck{Host: heretest.Host(t), t: t, remote: t.TempDir()}
	s.Stacks, s.Late = stack.New(stacktest.New()), time.Millisecond
	t.Cleanup(s.Stacks.Close)
	s.Edges.Now = func() time.Time { return time.Now().Add(time.Duration(s.off.Load())) }
	s.Snapshots.Now = s.Edges.Now
	s.Edges.Folders = s.folder
	s.stack = heretest.Sealed(t, s.Host, s.remote, 1, "cccc0003", "aaaa0001")
	s.stack.Volumes[0].Born = time.Unix(1, 0)
	s.stack.Targets[0].Name, s.stack.Targets[0].Former, s.stack.Targets[0].Every = "nas", nil, 15*time.Minute
	s.spec = agentapi.Host{Schema: agentapi.Schema, Fleet: "home", Name: "alpha", Record: fleet.Location{Remote: "disk", Path: s.remote + "/record"}}
	s.save()
	signer, err := s.EnsureSigning("alpha")
	if err = errors.Join(err, s.SaveLocal(s.stack.Name, here.Local{Epoch: 1, Reported: true})); err != nil {
		t.Fatal(err)
	}
	heretest.ClaimFor(t, s.stack.Name, s.remote+"/record", record.Claim{Epoch: 1, Host: "alpha", Key: s.Recipient(), Sign: signer})
	v := s.here().Protected()[0]
	if err := s.Snapshots.StartEmpty(s.stack.Name, v, snapshot.Marker{Identity: s.here().Identity(v.Name), Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	for n := range files {
		heretest.Write(t, s.file(n), strings.Repeat("a file of the stack\n", 50*n))
	}
	heretest.Write(t, filepath.Join(v.Path, "large"), noise(1, large))
	heretest.Write(t, filepath.Join(v.Path, "old"), noise(2, large/8))
	s.first, s.packs = s.mustTake().Snapshot.ID, s.allPacks()
	heretest.Write(t, s.file(0), "written later")
	if err := os.Remove(filepath.Join(v.Path, "old")); err != nil {
		t.Fatal(err)
	}
	s.good, s.taken = s.mustTake().Snapshot, content(t, v.Path)
	if found := s.status(); len(found) > 0 {
		t.Fatalf("before anything happens: %v", found)
	}
	return s
}

// noise does not compress.
func noise(seed uint32, size int) string {
	b := make([]byte, size)
	for i := range b {
		seed = seed*1664525 + 1013904223
		b[i] = byte(seed >> 24)
	}
	return string(b)
}

// A meddled folder has something else happen before each write.
type meddled struct {
	record.Folder
	of *struck
}

// Put implements blob.Store.
func (m meddled) Put(ctx context.Context, path string, content io.Reader, size int64) (blob.Proof, error) {
	if m.of.puts != nil {
		m.of.puts(path)
	}
	return m.Folder.Put(ctx, path, content, size)
}

func (s *struck) folder(ctx context.Context, remotes storage.Remotes, where fleet.Location) (record.Folder, error) {
	f, err := storage.Open(ctx, remotes, where)
	return meddled{f, s}, err
}

// save has the host be as declared.
func (s *struck) save() {
	s.t.Helper()
	s.spec.Stacks = []agentapi.Stack{s.stack}
	if err := s.SaveSpec(s.spec); err != nil {
		s.t.Fatal(err)
	}
}

func (s *struck) here() *here.Stack { return s.At(s.spec, s.stack) }

func (s *struck) volume() string { return s.here().Protected()[0].Path }

func (s *struck) file(n int) string { return filepath.Join(s.volume(), "file"+string(rune('A'+n))) }

// repository is the folder of the stack's snapshots.
func (s *struck) repository(elem ...string) string {
	return filepath.Join(append([]string{s.remote, s.stack.Name, "aaaa0001"}, elem...)...)
}

// largest is the pack that has most of the first snapshot's data.
func (s *struck) largest() string {
	s.t.Helper()
	return slices.MaxFunc(s.allPacks(), func(a, b string) int { return int(size(s.t, a) - size(s.t, b)) })
}

func (s *struck) allPacks() []string {
	s.t.Helper()
	packs, err := filepath.Glob(s.repository("data", "*", "*"))
	if err != nil || len(packs) == 0 {
		s.t.Fatal(packs, err)
	}
	return packs
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// take is the host's next snapshot.
func (s *struck) take() (agentapi.SnapshotReceipt, error) {
	k := keeper.New(s.Host)
	defer k.Close(s.t.Context())
	return k.Take(s.t.Context(), s.here(), keeper.Taking{Stopped: true, Accept: s.accepts, Force: s.accepts, Sink: progress.Discard()})
}

func (s *struck) mustTake() agentapi.SnapshotReceipt {
	s.t.Helper()
	r, err := s.take()
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// refused is a next snapshot that must not be taken.
func (s *struck) refused() {
	s.t.Helper()
	if r, err := s.take(); err == nil {
		s.t.Errorf("a snapshot was taken: %+v", r)
	}
}

// reread is the days until a reading back finds something, and one more.
func (s *struck) reread() {
	s.t.Helper()
	k := keeper.New(s.Host)
	defer k.Close(s.t.Context())
	day := 0
	for k.RereadStack(s.t.Context(), s.here(), day) == nil {
		if day++; day == keeper.Shares {
			s.t.Fatal("a month of readings back found nothing")
		}
	}
	if err := k.RereadStack(s.t.Context(), s.here(), day+1); err != nil {
		s.t.Errorf("the share of the day after has something else: %v", err)
	}
}

// status is what an operator is shown of the host, and of a plan.
func (s *struck) status() []finding.Finding {
	s.t.Helper()
	state, err := (*Host)(s.Host).Status(s.t.Context(), agentapi.Observe{}, progress.Discard())
	if err != nil {
		s.t.Fatal(err)
	}
	return slices.Concat(s.plan, state.Findings, hostlink.WrongClock("alpha", state.Clock, time.Now()))
}

// restic is someone's own, with the repository's password.
func (s *struck) restic(args ...string) *exec.Cmd {
	s.t.Helper()
	password := filepath.Join(s.t.TempDir(), "password")
	heretest.Write(s.t, password, strings.Repeat("aaaa0001", 20))
	return exec.CommandContext(s.t.Context(), "restic", append([]string{"--repo", s.repository(), "--password-file", password, "--no-cache"}, args...)...)
}

func (s *struck) mustRestic(args ...string) {
	s.t.Helper()
	if out, err := s.restic(args...).CombinedOutput(); err != nil {
		s.t.Errorf("restic %v: %v\n%s", args, err, out)
	}
}

// checkGood fails the test unless the newest good snapshot of before is listed, every byte of
// it is on the target, and another host gets it back as it was.
func (s *struck) checkGood() {
	s.t.Helper()
	list, err := keeper.New(s.Host).ListSnapshots(s.t.Context(), s.stack.Name)
	if err != nil {
		s.t.Fatal(err)
	}
	if !slices.ContainsFunc(list.Snapshots, func(r agentapi.SnapshotRow) bool {
		return r.ID == s.good.ID && r.Target == "nas" && r.Damaged == "" && !r.Missing && !r.Unproven && !r.Future
	}) {
		s.t.Errorf("the good snapshot %.8s is not listed: %+v", s.good.ID, list.Snapshots)
	}
	opened := agenttest.Opened(s.t, s.here())
	repo, err := keeper.ArchiveOf(opened).Repository(s.t.Context(), opened.Targets[0])
	if err != nil {
		s.t.Fatal(err)
	}
	defer repo.Close(s.t.Context())
	checked, err := snapshot.CheckAll(s.t.Context(), repo.Repository, s.stack.Name, true)
	if why, bad := checked.Damaged[s.good.ID]; bad || err != nil && !snapshot.IsDamage(err) || len(checked.Suspects) > 0 {
		s.t.Errorf("the good snapshot is not whole: %s, %+v, %v", why, checked, err)
	}
	other := heretest.Host(s.t)
	job := snapshot.RestoreJob{
		Fleet: "home", Stack: s.stack.Name, Epoch: 2, Repository: repo.Repository, Snapshot: s.good.ID,
		Volumes: []snapshot.Volume{{Name: "data", Path: filepath.Join(other.Paths.Volumes, "data"), Method: fleet.Live}},
	}
	fetched, err := other.Snapshots.Fetch(s.t.Context(), job)
	if err == nil {
		err = other.Snapshots.Place(s.t.Context(), fetched)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(s.taken, content(s.t, job.Volumes[0].Path)); diff != "" {
		s.t.Errorf("it comes back as something else: %s", diff)
	}
}

// content is what a folder has, by path.
func content(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, folder)] = string(bytes.Clone(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
