package parts

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/blob/blobtest"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/recording"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/sign"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
	"salvor/internal/storage"
)

// A house has a stack, notes, with a present and a former repository, as restic writes them.
type house struct {
	t      *testing.T
	disk   string
	reader Reader
	rec    *record.Record
	known  map[string][]string // proven snapshots by repository
	notes  []string            // of progress
}

const (
	present  = "0a1b2c3d"
	former   = "f0f0f0f0"
	password = "of the repositories, as long as a generated one"
)

func newHouse(t *testing.T) *house {
	t.Helper()
	if _, err := exec.LookPath("restic"); err != nil {
		if os.Getenv("SALVOR_LAB") == "require" {
			t.Fatal(err)
		}
		t.Skip("restic is not installed")
	}
	h := &house{t: t, disk: t.TempDir(), known: map[string][]string{}}
	home, alpha := newKey(t), newKey(t)
	h.rec = record.Site{Folder: memory{&blobtest.Memory{}}}.Record(record.Trust{
		Keys: func() (sign.Keys, error) { return sign.Keys{home.Public()}, nil },
		Key:  func(context.Context) (sign.Key, error) { return home, nil },
		Own:  func(context.Context) (sign.Key, error) { return alpha, nil },
	})
	h.reader = Reader{Sink: progress.SinkFunc(func(e progress.Event) {
		if e.State == progress.Note {
			h.notes = append(h.notes, e.Text)
		}
	}), Archives: &recording.Archives{
		Declared: &fleet.Fleet{Snapshots: []fleet.Target{{Name: "offsite", Where: fleet.Location{Remote: "disk", Path: strings.TrimPrefix(h.disk, "/")}}}},
		Lock: fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 1,
			Repositories: map[string]string{"offsite": present}, Former: map[string][]string{"offsite": {former}}}}},
		Stacks:   func() ([]string, error) { return []string{"notes"}, nil },
		Recovery: recovery,
		Open: func(ctx context.Context, where fleet.Location) (record.Folder, error) {
			return storage.Open(ctx, storage.Remotes{"disk": {Type: "local"}}, where)
		},
		With:  func(_ context.Context, work func(*record.Record) error) error { return work(h.rec) },
		Epoch: func(context.Context, string) (int, error) { return 1, nil },
	}}
	_, err := h.rec.Claim(t.Context(), "notes", record.Claim{Epoch: 1, Host: "alpha", Key: "age1alpha", Sign: alpha.Public(), Commit: "c1"}, func(string) (bool, bool) { return true, true })
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func recovery(stack string) (known seal.Recovery, err error) {
	known = seal.Recovery{Stack: stack}
	for _, id := range []string{former, present} {
		if stack == "notes" && err == nil {
			known, err = known.Add(seal.Repository{ID: id, Target: "offsite", Location: "disk:snap", Password: secret.NewString(password)})
		}
	}
	return known, err
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

// restic runs Debian's in a folder.
func (h *house) restic(repo, dir string, args ...string) string {
	h.t.Helper()
	secretFile := filepath.Join(h.t.TempDir(), "password")
	if err := os.WriteFile(secretFile, []byte(password), 0o600); err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.CommandContext(h.t.Context(), "restic", append([]string{"--repo", filepath.Join(h.disk, repo), "--password-file", secretFile, "--no-cache", "--json"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		exit := new(exec.ExitError)
		errors.As(err, &exit)
		h.t.Fatalf("restic %v: %v\n%s", args, err, exit.Stderr)
	}
	return string(out)
}

// A taking is a snapshot to take of some files, "data/a.txt" and the like.
type taking struct {
	stack string // notes without; what is of another one is not on the record
	repo  string // present without
	seq   int
	at    time.Time
	files map[string]string
	forms map[string]snapshot.Form // of volumes; files without
	grow  func(dir string)         // adds what is not a plain file
}

// take returns the id of a proven snapshot.
func (h *house) take(k taking) string {
	h.t.Helper()
	if k.repo == "" {
		k.repo = present
	}
	name := cmp.Or(k.stack, "notes")
	at := fleet.Location{Remote: "disk", Path: strings.TrimPrefix(filepath.Join(h.disk, name, k.repo), "/")}
	folder, err := h.reader.Archives.Open(h.t.Context(), at)
	if err == nil {
		err = repository.Create(h.t.Context(), folder, secret.NewString(password))
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		h.t.Fatal(err)
	}
	dir := h.t.TempDir()
	stack := filepath.Join(dir, "salvor", name)
	meta := snapshot.Meta{Schema: fleet.Schema, Stack: name, Epoch: 1, Seq: k.seq, Began: k.at}
	stats := map[string]snapshot.Stats{}
	for at, content := range k.files {
		h.write(filepath.Join(stack, at), content)
		volume, _, _ := strings.Cut(at, "/")
		s := stats[volume]
		s.Files, s.Bytes = s.Files+1, s.Bytes+int64(len(content))
		stats[volume] = s
	}
	var volumes []string
	for name, s := range stats {
		form := k.forms[name]
		if form == "" {
			form = snapshot.Files
		}
		meta.Volumes = append(meta.Volumes, snapshot.VolumeMeta{Name: name, Form: form, Stats: s})
		volumes = append(volumes, name)
	}
	said, err := json.Marshal(meta)
	if err != nil {
		h.t.Fatal(err)
	}
	h.write(filepath.Join(stack, ".salvor", "snapshot.json"), string(said))
	if k.grow != nil {
		k.grow(stack)
	}
	h.restic(name+"/"+k.repo, dir, "backup", "salvor", "--time", k.at.Local().Format(time.DateTime),
		"--tag", fmt.Sprintf("volumes=%s,epoch=1,seq=%d,commit=c0ffee", strings.Join(volumes, "+"), k.seq))
	var listed []struct {
		ID   string    `json:"id"`
		Time time.Time `json:"time"`
	}
	if err := json.Unmarshal([]byte(h.restic(name+"/"+k.repo, "", "snapshots")), &listed); err != nil {
		h.t.Fatal(err)
	}
	newest := ""
	for _, s := range listed {
		if s.Time.Equal(k.at.Truncate(time.Second)) {
			newest = s.ID
		}
	}
	if k.stack != "" {
		return newest
	}
	h.known[k.repo] = append(h.known[k.repo], newest)
	if err := h.rec.Prove(h.t.Context(), "notes", record.Proven{Epoch: 1, Seq: k.seq, Repository: k.repo, Snapshot: newest, At: k.at, Known: h.known[k.repo]}); err != nil {
		h.t.Fatal(err)
	}
	return newest
}

func (h *house) write(at, content string) {
	h.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(content), 0o640)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) choice(ref string) Choice {
	h.t.Helper()
	r, err := ParseRef(ref)
	if err != nil {
		h.t.Fatal(err)
	}
	return Choice{Stack: "notes", Ref: r}
}
