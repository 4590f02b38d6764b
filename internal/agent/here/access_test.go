package here_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/record"
	"salvor/internal/seal"
	"salvor/internal/sign"
	"salvor/internal/storage"
)

// TestWhyNothingOpens is one of the smaller faults of issue 10: a lost host.age was
// "lstat … no such file" without a hint, and a damaged seal had none either.
func TestWhyNothingOpens(t *testing.T) {
	t.Parallel()
	g := heretest.NewGuarded(t, "alpha", t.TempDir(), "", 1)
	open := func(spoil func(st *agentapi.Stack)) error {
		st := g.Spec.Stacks[0]
		spoil(&st)
		s, err := g.At(g.Spec, st).Open()
		if (err == nil) != (s.Access != nil) {
			t.Errorf("opened %v with %v", s.Access != nil, err)
		}
		return err
	}
	if err := open(func(*agentapi.Stack) {}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil      func(st *agentapi.Stack)
		want, hint string
	}{
		"no seal":          {func(st *agentapi.Stack) { st.Sealed = nil }, "stack notes has no seal for alpha at epoch 1", "salvor apply"},
		"of another epoch": {func(st *agentapi.Stack) { st.Epoch = 2 }, "epoch", ""},
		"damaged": {func(st *agentapi.Stack) {
			st.Sealed = bytes.Clone(st.Sealed)
			st.Sealed[len(st.Sealed)-1] ^= 1
		}, "sealed/alpha/notes.age", "salvor apply seals it again"},
	} {
		if err := open(c.spoil); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.Hint(err), c.hint) {
			t.Errorf("%s: %v, hint %q", name, err, fault.Hint(err))
		}
	}
	if err := os.Remove(g.Paths.Identity()); err != nil {
		t.Fatal(err)
	}
	err := open(func(*agentapi.Stack) {})
	if err == nil || !strings.Contains(err.Error(), "the identity of alpha can't be read") || !strings.Contains(fault.Hint(err), "salvor host add alpha") {
		t.Errorf("a lost identity: %v, hint %q", err, fault.Hint(err))
	}
	if g.Recipient() != "" {
		t.Error("a lost identity has a recipient")
	}
}

// TestS07OnlyWhatTheFleetSignedOpens: who can push knows the host's public key and the
// digest of every seal.
func TestS07OnlyWhatTheFleetSignedOpens(t *testing.T) {
	t.Parallel()
	g := heretest.NewGuarded(t, "alpha", t.TempDir(), "", 1)
	good := g.Spec.Stacks[0]
	in := seal.Inputs{Placement: seal.Placement{Host: "alpha", Stack: heretest.Notes, Epoch: 1}, Recipients: []string{g.Recipient()}}
	forged, err := seal.Seal(agentapi.SealedFile{Secrets: map[string][]byte{"API_KEY": []byte("chosen by eve")}}, in, heretest.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]seal.Signed{
		"none": {File: forged.File}, "eve's": forged, "that of the seal before": {File: forged.File, Signature: good.Signature},
	} {
		st := good
		st.Sealed, st.Signature = s.File, s.Signature
		if _, err := g.At(g.Spec, st).Open(); !errors.Is(err, sign.ErrUntrusted) || fault.Hint(err) != here.UntrustedFix("sealed/alpha/notes.age") {
			t.Errorf("%s: %v", name, err)
		}
		if here.SealedDigest(st) == here.SealedDigest(good) {
			t.Errorf("%s: the digest does not tell them apart", name)
		}
	}
	older := good
	older.Inputs = "sha256:" + strings.Repeat("0", 64)
	if _, err := g.At(g.Spec, older).Open(); !errors.Is(err, seal.ErrMismatch) {
		t.Errorf("a seal that the fleet has signed for other secrets: %v", err)
	}
}

// opened is a stack whose host opens places of a remote as a test says.
func opened(t *testing.T, folders here.OpenFolder, spoil func(st *agentapi.Stack)) *here.Stack {
	t.Helper()
	g := heretest.NewGuarded(t, "alpha", t.TempDir(), "", 3)
	g.Edges.Folders = folders
	st := &g.Spec.Stacks[0]
	st.Targets = []agentapi.Target{{Name: "offsite", Where: fleet.Location{Remote: "disk", Path: "salvor"}, Repository: "aaaa0001"}}
	spoil(st)
	file := agentapi.SealedFile{Remotes: map[string]agentapi.SealedRemote{"disk": {Type: "local"}}, Repositories: map[string][]byte{"aaaa0001": []byte("secret")}}
	heretest.Seal(t, g.Host, st, "alpha", file)
	s, err := g.At(g.Spec, *st).Open()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestARepositoryIsInAFolderOfItsOwn: below the target's place, by the stack's name and
// the repository's id, with the password that was sealed.
func TestARepositoryIsInAFolderOfItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var asked []fleet.Location
	folders := func(ctx context.Context, remotes storage.Remotes, where fleet.Location) (record.Folder, error) {
		asked = append(asked, where)
		return storage.Open(ctx, remotes, fleet.Location{Remote: where.Remote, Path: dir + "/" + where.Path})
	}
	s := opened(t, folders, func(*agentapi.Stack) {})
	repo, err := s.Access.Repository(t.Context(), "notes", s.Targets[0])
	if err != nil || len(asked) != 1 || asked[0] != (fleet.Location{Remote: "disk", Path: "salvor/notes/aaaa0001"}) {
		t.Fatalf("%v, %v", asked, err)
	}
	if repo.ID != "aaaa0001" || string(repo.Password.Reveal()) != "secret" || repo.Close(t.Context()) != nil {
		t.Errorf("%+v", repo)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("something was made: %v, %v", entries, err)
	}
	unknown := s.Targets[0]
	unknown.Repository = "cccc0003"
	if _, err := s.Access.Repository(t.Context(), "notes", unknown); err == nil || !strings.Contains(err.Error(), "no password for repository cccc0003 on offsite") || fault.Hint(err) == "" || len(asked) != 1 {
		t.Errorf("one without a password: %v", err)
	}
	if _, err := s.Access.Record(t.Context(), fleet.Location{}); err == nil || len(asked) != 1 {
		t.Errorf("a fleet without a record remote: %v", err)
	}
}

// TestARemoteThatIsAway is an error of what is opened there, and nothing is left open.
func TestARemoteThatIsAway(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	s := opened(t, func(context.Context, storage.Remotes, fleet.Location) (record.Folder, error) { return nil, away }, func(*agentapi.Stack) {})
	if r, err := s.Access.Repository(t.Context(), "notes", s.Targets[0]); !errors.Is(err, away) || r != nil {
		t.Errorf("%v, %v", r, err)
	}
	if r, err := s.Access.Record(t.Context(), fleet.Location{Remote: "disk", Path: "record"}); !errors.Is(err, away) || r != nil {
		t.Errorf("%v, %v", r, err)
	}
}

// TestNothingIsDeletedOnAnAppendOnlyRemote: neither in a repository nor in the record.
func TestNothingIsDeletedOnAnAppendOnlyRemote(t *testing.T) {
	t.Parallel()
	for _, appendOnly := range []bool{true, false} {
		dir := t.TempDir()
		s := opened(t, nil, func(st *agentapi.Stack) { st.Targets[0].AppendOnly, st.Targets[0].Where.Path = appendOnly, dir })
		repo, err := s.Access.Repository(t.Context(), "notes", s.Targets[0])
		if err != nil {
			t.Fatal(err)
		}
		defer repo.Close(t.Context())
		if _, err := repo.Store.Put(t.Context(), "keys/a", strings.NewReader("a"), 1); err != nil {
			t.Fatal(err)
		}
		err = repo.Store.Delete(t.Context(), "keys/a")
		if (err != nil) != appendOnly {
			t.Errorf("append-only %v: removed with %v", appendOnly, err)
		}
	}
}

// TestTheLockedMarksAreThoseOfThePlacement: what the lock says of a later epoch is not
// believed.
func TestTheLockedMarksAreThoseOfThePlacement(t *testing.T) {
	t.Parallel()
	s := opened(t, nil, func(st *agentapi.Stack) {
		st.Proven = map[string]fleet.Proven{"aaaa0001": {Epoch: 3, Seq: 7, ID: "abcd"}, "bbbb0002": {Epoch: 4, Seq: 1, ID: "ef01"}}
	})
	if m := s.Access.Locked["aaaa0001"]; m.Seq != 7 || m.ID != "abcd" || m.Repository != "aaaa0001" || len(s.Access.Locked) != 1 {
		t.Errorf("%+v", s.Access.Locked)
	}
}

// TestNoEngine: a host that is not prepared has no engine; one that answers badly has.
func TestNoEngine(t *testing.T) {
	t.Parallel()
	got := []bool{here.NoEngine(nil), here.NoEngine(errors.New("no such container")), here.NoEngine(fs.ErrNotExist), here.NoEngine(errors.Join(errors.New("dial"), syscall.ECONNREFUSED))}
	if want := []bool{false, false, true, true}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
