package prune

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/blob/blobtest"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/recording"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/sign"
	"salvor/internal/snapshot"
	"salvor/internal/storage"
)

// pruned has a repository of notes on an append-only target, as restic and alpha leave
// it.
type pruned struct {
	t     *testing.T
	fleet Fleet
	rec   *record.Record
	disk  string // of the target
	dir   string // the repository
	ids   []string
	held  int   // how many hosts stand by
	away  error // why a host does not
}

const password = "of the repository"

// newPruned returns one that has no repository on its target yet.
func newPruned(t *testing.T) *pruned {
	t.Helper()
	p := &pruned{t: t, disk: t.TempDir()}
	p.dir = filepath.Join(p.disk, "snap", "notes", "0a1b2c3d")
	home, alpha := newKey(t), newKey(t)
	p.rec = record.Site{Folder: memory{&blobtest.Memory{}}}.Record(record.Trust{
		Keys: func() (sign.Keys, error) { return sign.Keys{home.Public()}, nil },
		Key:  func(context.Context) (sign.Key, error) { return home, nil },
		Own:  func(context.Context) (sign.Key, error) { return alpha, nil },
	})
	p.fleet = Fleet{Archives: recording.Archives{
		Declared: &fleet.Fleet{
			Hosts:     []fleet.Host{{Name: "alpha"}},
			Snapshots: []fleet.Target{{Name: "offsite", Where: fleet.Location{Remote: "disk", Path: strings.TrimPrefix(p.disk, "/") + "/snap"}, AppendOnly: true, Keep: fleet.Keep{Last: 1}}},
		},
		Lock:     fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 1, Repositories: map[string]string{"offsite": "0a1b2c3d"}}}},
		Stacks:   func() ([]string, error) { return []string{"notes"}, nil },
		Recovery: p.recovery,
		Open: func(ctx context.Context, where fleet.Location) (record.Folder, error) {
			return storage.Open(ctx, storage.Remotes{"disk": {Type: "local"}}, where)
		},
		With:  func(_ context.Context, work func(*record.Record) error) error { return work(p.rec) },
		Epoch: func(context.Context, string) (int, error) { return 1, nil },
	}, StandBy: func(context.Context, progress.Sink) (StandBy, error) { return p.standBy, nil }}
	_, err := p.rec.Claim(t.Context(), "notes", record.Claim{Epoch: 1, Host: "alpha", Key: "age1alpha", Sign: alpha.Public(), Commit: "c1"}, func(string) (bool, bool) { return true, true })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type memory struct{ *blobtest.Memory }

func (memory) Close(context.Context) error { return nil }

func newKey(t *testing.T) sign.Key {
	t.Helper()
	private, err := sign.NewKey("test")
	if err != nil {
		t.Fatal(err)
	}
	key, err := sign.ParseKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (p *pruned) recovery(stack string) (seal.Recovery, error) {
	known := seal.Recovery{Stack: stack}
	if stack != "notes" {
		return known, nil
	}
	return known.Add(seal.Repository{ID: "0a1b2c3d", Target: "offsite", Location: "disk:snap", Password: secret.NewString(password)})
}

func (p *pruned) standBy(ctx context.Context, host string, stacks []string) (context.Context, func(), error) {
	if p.away != nil {
		return nil, nil, p.away
	}
	if host != "alpha" || !slices.Equal(stacks, []string{"notes"}) {
		p.t.Errorf("%s stands by for %v", host, stacks)
	}
	p.held++
	return ctx, func() { p.held-- }, nil
}

// withRestic makes the repository.
func (p *pruned) withRestic() *pruned {
	p.t.Helper()
	if _, err := exec.LookPath("restic"); err != nil {
		if os.Getenv("SALVOR_LAB") == "require" {
			p.t.Fatal(err)
		}
		p.t.Skip("restic is not installed")
	}
	p.restic(nil, "init")
	return p
}

// restic runs Debian's on the repository.
func (p *pruned) restic(in []byte, args ...string) string {
	p.t.Helper()
	secretFile := filepath.Join(p.t.TempDir(), "password")
	if err := os.WriteFile(secretFile, []byte(password), 0o600); err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.CommandContext(p.t.Context(), "restic", append([]string{"--repo", p.dir, "--password-file", secretFile, "--no-cache", "--json"}, args...)...)
	cmd.Stdin = strings.NewReader(string(in))
	out, err := cmd.Output()
	if err != nil {
		exit := new(exec.ExitError)
		errors.As(err, &exit)
		p.t.Fatalf("restic %v: %v\n%s", args, err, exit.Stderr)
	}
	return string(out)
}

// take leaves a snapshot, and where it is proven the note of that.
func (p *pruned) take(seq int, at time.Time, proven bool) string {
	p.t.Helper()
	meta, err := json.Marshal(snapshot.Meta{Schema: fleet.Schema, Stack: "notes", Epoch: 1, Seq: seq, Images: map[string]string{"pad": strings.Repeat(fmt.Sprint(seq), 100_000)}})
	if err != nil {
		p.t.Fatal(err)
	}
	out := p.restic(meta, "backup", "--stdin", "--stdin-filename", "/salvor/notes/.salvor/snapshot.json", "--time", at.Format(time.DateTime),
		"--tag", fmt.Sprintf("volumes=data,epoch=1,seq=%d,commit=c0ffee", seq))
	var last struct {
		ID string `json:"snapshot_id"`
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		p.t.Fatalf("%v in %s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(p.dir, "snapshots", last.ID+"*")) // older versions say its beginning
	if err != nil || len(found) != 1 {
		p.t.Fatalf("%v, %v", found, err)
	}
	last.ID = filepath.Base(found[0])
	if proven {
		p.ids = append(p.ids, last.ID)
		if err := p.rec.Prove(p.t.Context(), "notes", record.Proven{Epoch: 1, Seq: seq, Repository: "0a1b2c3d", Snapshot: last.ID, At: at, Known: p.ids}); err != nil {
			p.t.Fatal(err)
		}
	}
	return last.ID
}

func (p *pruned) there(id string) bool {
	_, err := os.Stat(filepath.Join(p.dir, "snapshots", id))
	return err == nil
}

// TestS03TheOperatorPrunesAnAppendOnlyTarget has what the retention does not keep removed
// from the operator's computer, while the host holds; a planted snapshot pushes nothing
// out and stays, and restic finds the repository whole.
func TestS03TheOperatorPrunesAnAppendOnlyTarget(t *testing.T) {
	t.Parallel()
	p := newPruned(t).withRestic()
	began := time.Now().Add(-time.Hour)
	for seq := 1; seq <= 3; seq++ {
		p.take(seq, began.Add(time.Duration(seq)*time.Minute), true)
	}
	planted := p.take(2, began.Add(30*time.Minute), false)
	prepared := p.prepare()
	if diff := cmp.Diff([]string{"2 snapshots of notes on offsite"}, prepared.Loses); diff != "" || prepared.Question != "Remove 2 snapshots permanently, and the data that no snapshot needs any more?" || prepared.Name != "" {
		t.Errorf("%+v", prepared)
	}
	want := fmt.Sprintf("notes on offsite: 1 stay, 2 are removed; 1 more stay but do not count: they are not proven, or their time is not plausible\n  - %.8s of ", p.ids[0])
	if !strings.HasPrefix(prepared.Plan, want) || strings.Count(prepared.Plan, "\n") != 3 {
		t.Errorf("the plan is %q, want %q", prepared.Plan, want)
	}
	measured, text, err := Measure(t.Context(), &p.fleet)
	if err != nil || text != prepared.Plan || measured[0].Bytes == 0 || !p.there(p.ids[0]) {
		t.Errorf("%+v, %q, %v", measured, text, err)
	}
	p.away = errors.New("alpha is off")
	if r, err := prepared.Run(t.Context(), nil); !errors.Is(err, p.away) || !p.there(p.ids[0]) || len(r) != 1 || r[0].Why == "" || r[0].Done {
		t.Errorf("while alpha does not answer: %+v, %v", r, err)
	}
	p.away = nil
	done, err := p.prepare("notes").Run(t.Context(), nil)
	if err != nil || p.held != 0 || len(done) != 1 || !done[0].Done || done[0].Host != "alpha" || len(done[0].Forget) != 2 || done[0].Bytes != measured[0].Bytes || done[0].Packs != measured[0].Packs {
		t.Fatalf("%v, held %d, %+v", err, p.held, done)
	}
	for id, want := range map[string]bool{p.ids[0]: false, p.ids[1]: false, p.ids[2]: true, planted: true} {
		if p.there(id) != want {
			t.Errorf("snapshot %.8s is there: %v", id, !want)
		}
	}
	p.restic(nil, "check", "--read-data")
	if again := p.prepare(); len(again.Loses) > 0 || !strings.HasPrefix(again.Plan, "notes on offsite: 1 stay, 0 are removed") {
		t.Errorf("afterwards %+v", again)
	}
}

// TestS13APlantedHistoryIsNotPruned has the record forget which snapshots were proven,
// and the remote the newest one: nothing is removed, whatever else is there.
func TestS13APlantedHistoryIsNotPruned(t *testing.T) {
	t.Parallel()
	p := newPruned(t).withRestic()
	began := time.Now().Add(-time.Hour)
	p.take(1, began, true)
	newest := p.take(2, began.Add(time.Minute), true)
	if err := os.Rename(filepath.Join(p.dir, "snapshots", newest), filepath.Join(p.disk, "hidden")); err != nil {
		t.Fatal(err)
	}
	p.take(9, began.Add(2*time.Minute), false)
	prepared := p.prepare("notes")
	done, err := prepared.Run(t.Context(), nil)
	if err != nil || prepared.Question != "" || !strings.Contains(done[0].Why, newest[:8]) || len(done[0].Forget) != 0 || done[0].Done {
		t.Errorf("%+v, %v", done, err)
	}
}
