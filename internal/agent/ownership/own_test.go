package ownership

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/gitread"
	"salvor/internal/hostkey"
	"salvor/internal/lockfile"
	"salvor/internal/record"
	"salvor/internal/secret/agekey"
)

// A commit is a control repository with these files.
type commit map[string][]byte

// Fetch implements here.ControlCopy.
func (c commit) Fetch(context.Context) (string, error) {
	if c == nil {
		return "", errors.New("no route to host")
	}
	return "c0ffee", nil
}

// File implements here.ControlCopy.
func (c commit) File(_, name string) ([]byte, error) {
	if content, has := c[name]; has {
		return content, nil
	}
	return nil, os.ErrNotExist
}

// Contains implements here.ControlCopy.
func (commit) Contains(string) (on, known bool) { return true, true }

func placing(t *testing.T, host, key string) commit { return placingAt(t, host, key, 1) }

func placingAt(t *testing.T, host, key string, epoch int) commit {
	t.Helper()
	lock, err := json.Marshal(fleet.Lock{Schema: fleet.Schema, Hosts: map[string]fleet.Placement{host: {Host: host, Epoch: epoch}}})
	if err != nil {
		t.Fatal(err)
	}
	file := hostkey.Path(host)
	signature, err := hostkey.Sign(file, []byte(key+"\n"), heretest.FleetKey())
	if err != nil {
		t.Fatal(err)
	}
	return commit{lockfile.Name: lock, file: []byte(key + "\n"), hostkey.SignaturePath(file): signature}
}

// TestWhoseAHostsOwnRoutesAre: a host that was recovered from comes back with what it was asked
// to publish.
func TestWhoseAHostsOwnRoutesAre(t *testing.T) {
	machine, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	other := machine.Recipient
	for name, c := range map[string]struct {
		git    func(t *testing.T, key string) commit
		claim  record.Claim
		stacks bool
		may    bool
	}{
		"placed here":                       {func(t *testing.T, key string) commit { return placing(t, "alpha", key) }, record.Claim{Epoch: 2, Host: "beta"}, true, true},
		"placed here, without stacks":       {func(t *testing.T, key string) commit { return placing(t, "alpha", key) }, record.Claim{}, false, true},
		"gone from Git":                     {func(t *testing.T, key string) commit { return placing(t, "beta", other) }, record.Claim{Epoch: 1, Host: "alpha"}, true, false},
		"another machine of its name":       {func(t *testing.T, _ string) commit { return placing(t, "alpha", other) }, record.Claim{}, false, false},
		"Git away, a stack is its own":      {func(*testing.T, string) commit { return nil }, record.Claim{Epoch: 1, Host: "alpha"}, true, true},
		"Git away, the stack is another's":  {func(*testing.T, string) commit { return nil }, record.Claim{Epoch: 2, Host: "beta", Key: other}, true, false},
		"Git away, and nothing else to ask": {func(*testing.T, string) commit { return nil }, record.Claim{}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			remote := t.TempDir()
			g := heretest.NewGuarded(t, "alpha", remote, "", 1)
			g.Spec.Git = agentapi.Git{URL: "git@example.net:fleet.git", Branch: "main"}
			g.Spec.Own = &agentapi.Stack{Name: fleet.Own("alpha"), Epoch: 1}
			copied := c.git(t, g.Recipient())
			g.Edges.Copies = func(string, gitread.Source) (here.ControlCopy, error) { return copied, nil }
			if c.claim.Host == "alpha" {
				c.claim.Key = g.Recipient()
			}
			if c.claim.Epoch > 0 {
				heretest.Claim(t, remote, c.claim)
			}
			if !c.stacks {
				g.Spec.Stacks = nil
			}
			who := New(g.Host, AskWithin)
			defer who.Close(t.Context())
			if v := who.Own(t.Context(), g.Spec, *g.Spec.Own, true); v.MayChange != c.may {
				t.Errorf("%+v", v)
			}
		})
	}
}

// TestRoutesThatAnotherHostTookOver: the epoch of what the host has of its own is Git's, so that
// what it was asked before does not count.
func TestRoutesThatAnotherHostTookOver(t *testing.T) {
	g := heretest.NewGuarded(t, "alpha", t.TempDir(), "", 1)
	g.Spec.Git = agentapi.Git{URL: "git@example.net:fleet.git", Branch: "main"}
	g.Spec.Own = &agentapi.Stack{Name: fleet.Own("alpha"), Epoch: 1}
	copied := placingAt(t, "alpha", g.Recipient(), 2)
	g.Edges.Copies = func(string, gitread.Source) (here.ControlCopy, error) { return copied, nil }
	who := New(g.Host, AskWithin)
	defer who.Close(t.Context())
	if v := who.Own(t.Context(), g.Spec, *g.Spec.Own, true); !v.MayChange || v.Epoch != 2 {
		t.Errorf("%+v", v)
	}
}
