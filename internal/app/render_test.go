package app

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/controlrepo"
	"salvor/internal/fleet"
	"salvor/internal/hostspec"
	"salvor/internal/project"
	"salvor/internal/rendering"
)

// TestAHostRendersWhatTheOperatorDoes makes alpha's part of the fleet twice: as an
// operator does, and from the commit's files alone, without a key.
func TestAHostRendersWhatTheOperatorDoes(t *testing.T) {
	k := newKeyed(t)
	k.commit(map[string][]byte{"stacks/late/compose.yaml": []byte("services:\n  web:\n    image: nginx:1\n    environment: {A: \"${MISSING:?gone}\"}\n")})
	a := k.open(k.ann)
	operators := partOf(t, &a.Checkout.Fleet, a.Checkout.Lock, a.Needs.Rendered())

	// what a host has: the files of the commit
	repo, err := controlrepo.Load(a.Checkout.Export, "")
	if err != nil {
		t.Fatal(err)
	}
	files := os.DirFS(a.Checkout.Export)
	stacks, found, err := rendering.Stacks(t.Context(), rendering.Source{Dir: a.Checkout.Export, Repository: repo, Names: rendering.NamesOf(files, repo.Fleet)})
	if err != nil || len(stacks) != len(a.Needs.Rendered()) {
		t.Fatalf("%d stacks, the operator has %d: %v", len(stacks), len(a.Needs.Rendered()), err)
	}
	if rendering.Error(found, "late") == nil || a.Broken("late") == nil {
		t.Errorf("a stack that does not load has no error: %v", found)
	}
	if theirs := partOf(t, &repo.Fleet, repo.Lock, stacks); !bytes.Equal(operators, theirs) {
		t.Errorf("the host's:\n%s\nthe operator's:\n%s", theirs, operators)
	}
}

func partOf(t *testing.T, f *fleet.Fleet, lock fleet.Lock, stacks map[string]project.Rendered) []byte {
	t.Helper()
	c := hostspec.Commit{ID: "1a2b", Fleet: f, Stacks: stacks, Git: agentapi.Git{URL: "git@example.net:fleet"}, Seal: func(string, string) (hostspec.Seal, error) { return hostspec.Seal{}, nil }}
	alpha, declared := f.Host("alpha")
	if !declared {
		t.Fatal("no alpha")
	}
	spec, err := c.Host(alpha, lock, hostspec.Said{})
	if err != nil {
		t.Fatal(err)
	}
	if len(spec.Stacks) != 1 || spec.Stacks[0].Project.Hash == "" || len(spec.Stacks[0].Project.Secrets) != 1 || len(spec.Stacks[0].Project.Env) != 1 {
		t.Errorf("alpha is asked for %+v", spec.Stacks)
	}
	out, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestNamesAreTheStores compares the names that are read without SOPS with SOPS's.
func TestNamesAreTheStores(t *testing.T) {
	k := newKeyed(t)
	k.do(func(a *App) error {
		names := rendering.NamesOf(os.DirFS(a.Checkout.Export), a.Checkout.Fleet)
		file, err := fs.ReadFile(names.Files, fleet.EnvFile("notes"))
		if err != nil {
			return err
		}
		got, err := names.EnvNames("notes")
		if err != nil || len(got) != 1 || got[0] != "DB" {
			t.Errorf("%v, %v, of\n%s", got, err, file)
		}
		theirs, err := a.Identity.Store.EnvNames("notes")
		if err != nil || len(theirs) != 1 || theirs[0] != "DB" {
			t.Errorf("%v, %v", theirs, err)
		}
		return nil
	})
}
