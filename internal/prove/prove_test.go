package prove

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/blob/blobtest"
	"salvor/internal/card"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/record"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
	"salvor/internal/snapshot/repository"
)

// house has notes with a present and a former repository, neither of them on its remote
// yet.
type house struct {
	fleet   Fleet
	folders map[fleet.Location]*blobtest.Memory
	files   map[string][]byte
	message string // of the last commit
	locked  string // a secret that the key does not open
}

var (
	password = secret.NewString("of the repository")
	former   = fleet.Location{Remote: "box", Path: "snapshots/notes/0a0a0a0a"}
	commit   = strings.Repeat("ab", 20)
)

func newHouse() *house {
	h := &house{folders: map[fleet.Location]*blobtest.Memory{}, files: map[string][]byte{}}
	h.fleet = Fleet{
		Declared: &fleet.Fleet{
			Recipients: fleet.Recipients{Recovery: "age1card"}, Record: fleet.Location{Remote: "box", Path: "record"},
			Snapshots: []fleet.Target{{Name: "offsite", Where: fleet.Location{Remote: "box", Path: "snapshots"}}},
		},
		Lock: fleet.Lock{Stacks: map[string]fleet.Placement{
			"notes": {Repositories: map[string]string{"offsite": "1b1b1b1b"}, Former: map[string][]string{"offsite": {"0a0a0a0a"}}},
			"web":   {},
		}},
		File:       h.file,
		Recipients: func() ([]string, error) { return []string{"age1card"}, nil },
		Secrets: func() ([]secretstore.Info, error) {
			return []secretstore.Info{{Name: "token"}, {Name: "notes/DB"}, {Name: "printed", Command: []string{"pass"}}}, nil
		},
		Secret:   h.secret,
		Recovery: h.recovery,
		Open:     h.open,
		Mirror: func(context.Context) (record.Mirror, []finding.Finding, error) {
			return record.Mirror{Commit: commit}, []finding.Finding{{Code: finding.MirrorUntrusted}}, nil
		},
		About: func(_ context.Context, c git.Commit) (string, error) { return "Ann, of " + string(c), nil },
		CommitFiles: func(_ context.Context, files map[string][]byte, message string) error {
			maps.Copy(h.files, files)
			h.message = message
			return nil
		},
	}
	return h
}

// taken makes the former repository.
func (h *house) taken(t *testing.T) {
	t.Helper()
	h.folders[former] = &blobtest.Memory{}
	if err := repository.Create(t.Context(), h.folders[former], password); err != nil {
		t.Fatal(err)
	}
}

func (h *house) file(name string) ([]byte, error) {
	if content, is := h.files[name]; is {
		return content, nil
	}
	return nil, fs.ErrNotExist
}

func (h *house) secret(_ context.Context, name string) (secret.Value, error) {
	if name == h.locked || name == "printed" {
		return secret.Value{}, secret.ErrLocked
	}
	return secret.NewString("s3cret"), nil
}

func (h *house) recovery(stack string) (seal.Recovery, error) {
	r := seal.Recovery{Stack: stack}
	if stack == "notes" {
		for _, id := range []string{"0a0a0a0a", "1b1b1b1b"} {
			r.Repositories = append(r.Repositories, seal.Repository{ID: id, Target: "offsite", Password: password})
		}
	}
	return r, nil
}

type disk struct{ *blobtest.Memory }

func (disk) Close(context.Context) error { return nil }

func (h *house) open(_ context.Context, where fleet.Location) (record.Folder, error) {
	if h.folders[where] == nil {
		h.folders[where] = &blobtest.Memory{}
	}
	return disk{h.folders[where]}, nil
}

// TestProve opens everything and commits the date, next to those of other keys.
func TestProve(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.taken(t)
	before, err := card.Proven{"age1ann": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	h.files[card.ProvenPath] = before
	p := Prepare(&h.fleet)
	if p.Question != "" || p.Name != "" || h.message != "" {
		t.Errorf("%+v", p)
	}
	proof, err := p.Run(t.Context(), nil)
	want := Proof{
		Recipients: []string{"age1card"}, Recovery: true, Secrets: 2, Repositories: 1, Mirror: commit, MirrorOf: "Ann, of " + commit,
		Findings: []finding.Finding{{Code: finding.MirrorUntrusted}},
	}
	if diff := cmp.Diff(want, proof); diff != "" || err != nil {
		t.Error(diff, err)
	}
	proven, err := card.DecodeProven(h.files[card.ProvenPath])
	if err != nil || len(proven) != 2 || proven["age1card"].IsZero() || h.message != "key prove: the recovery key opens everything" {
		t.Errorf("%v, %v, committed as %q", proven, err, h.message)
	}
	h.fleet.Recipients = func() ([]string, error) { return []string{"age1ann"}, nil }
	if proof, err := Prepare(&h.fleet).Run(t.Context(), nil); err != nil || proof.Recovery || h.message != "key prove: an operator's key opens everything" {
		t.Errorf("%+v, %v, committed as %q", proof, err, h.message)
	}
}

// TestASmallFleet has no record, no mirror and no repository that was made.
func TestASmallFleet(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.fleet.Declared.Record = fleet.Location{}
	h.fleet.Mirror = nil
	if proof, err := Prepare(&h.fleet).Run(t.Context(), nil); err != nil || proof.Repositories != 0 || proof.Mirror != "" {
		t.Errorf("%+v, %v", proof, err)
	}
	h = newHouse()
	h.fleet.Mirror = func(context.Context) (record.Mirror, []finding.Finding, error) { return record.Mirror{}, nil, nil }
	if proof, err := Prepare(&h.fleet).Run(t.Context(), nil); err != nil || proof.Mirror != "" || h.message == "" {
		t.Errorf("%+v, %v", proof, err)
	}
}

// TestWhatIsNotOpened is named, and nothing is committed.
func TestWhatIsNotOpened(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(*house){
		"secret notes/DB: ":             func(h *house) { h.locked = "notes/DB" },
		"the identity has no recipient": func(h *house) { h.fleet.Recipients = func() ([]string, error) { return nil, nil } },
		"no identity": func(h *house) {
			h.fleet.Recipients = func() ([]string, error) { return nil, errors.New("no identity") }
		},
		"no list": func(h *house) {
			h.fleet.Secrets = func() ([]secretstore.Info, error) { return nil, errors.New("no list") }
		},
		"not signed": func(h *house) {
			h.fleet.Recovery = func(string) (seal.Recovery, error) { return seal.Recovery{}, errors.New("not signed") }
		},
		"has no password of repository 1b1b1b1b": func(h *house) {
			h.fleet.Recovery = func(string) (seal.Recovery, error) {
				return seal.Recovery{Repositories: []seal.Repository{{ID: "0a0a0a0a", Password: password}}}, nil
			}
		},
		"repository 0a0a0a0a of notes: ": func(h *house) {
			h.taken(t)
			h.fleet.Recovery = func(stack string) (seal.Recovery, error) {
				r, err := h.recovery(stack)
				for i := range r.Repositories {
					r.Repositories[i].Password = secret.NewString("another")
				}
				return r, err
			}
		},
		"snapshot target offsite is not declared": func(h *house) { h.fleet.Declared.Snapshots = nil },
		"the remote is away": func(h *house) {
			h.fleet.Open = func(context.Context, fleet.Location) (record.Folder, error) {
				return nil, errors.New("the remote is away")
			}
		},
		"no mirror": func(h *house) {
			h.fleet.Mirror = func(context.Context) (record.Mirror, []finding.Finding, error) {
				return record.Mirror{}, nil, errors.New("no mirror")
			}
		},
		"another fleet's commit": func(h *house) {
			h.fleet.About = func(context.Context, git.Commit) (string, error) { return "", errors.New("another fleet's commit") }
		},
	} {
		h := newHouse()
		spoil(h)
		if _, err := Prepare(&h.fleet).Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) || h.message != "" {
			t.Errorf("%v, want %q, committed %q", err, want, h.message)
		}
	}
}

// TestAnUnknownCommit says how to learn of it.
func TestAnUnknownCommit(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.fleet.About = func(context.Context, git.Commit) (string, error) { return "", errors.New("unknown") }
	if _, err := Prepare(&h.fleet).Run(t.Context(), nil); !strings.HasPrefix(fault.Hint(err), "git pull") {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
}

// TestDue is about a recovery key that was not tried within the last year.
func TestDue(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		proven card.Proven
		stacks bool
		want   string
	}{
		"nothing is placed": {nil, false, ""},
		"never":             {nil, true, "never tried"},
		"another key":       {card.Proven{"age1ann": now}, true, "never tried"},
		"last month":        {card.Proven{"age1card": now.AddDate(0, -1, 0)}, true, ""},
		"more than a year":  {card.Proven{"age1card": now.AddDate(-1, -1, 0)}, true, "last tried on 2025-05-01"},
	} {
		h := newHouse()
		repo := &controlrepo.Repository{Fleet: *h.fleet.Declared}
		if test.stacks {
			repo.Lock = h.fleet.Lock
		}
		if test.proven != nil {
			content, err := test.proven.Encode()
			if err != nil {
				t.Fatal(err)
			}
			h.files[card.ProvenPath] = content
		}
		found, err := Due(repo, h.file, now)
		got := ""
		for _, f := range found {
			got += f.Text
		}
		if err != nil || (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	bad := func(string) ([]byte, error) { return []byte("{"), nil }
	if _, err := Due(&controlrepo.Repository{Fleet: *newHouse().fleet.Declared, Lock: newHouse().fleet.Lock}, bad, now); err == nil {
		t.Error("a broken file proves nothing")
	}
}
