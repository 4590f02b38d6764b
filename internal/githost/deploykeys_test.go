package githost

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/checkout"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/github"
	"salvor/internal/github/githubtest"
	"salvor/internal/needs/needstest"
	"salvor/internal/reach"
	"salvor/internal/secret"
)

const token = "github_pat_hunter2"

// key is the deploy key of the n-th host.
func key(n int) string {
	return fmt.Sprintf("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA%041dA", n)
}

// house is a fleet at GitHub with the hosts alpha and beta.
type house struct {
	*needstest.Fleet
	hub *githubtest.Server
}

func newHouse(t *testing.T) *house {
	t.Helper()
	hub := githubtest.WithFleet(t, token)
	h := &house{hub: hub, Fleet: needstest.New(t, map[string]string{
		fleet.File:           "hosts: {alpha: {address: 192.0.2.1}, beta: {address: 192.0.2.2}}\ngit: {url: \"ssh://git@" + hub.SSHAddress() + "/You/Fleet.git\", token: secret:github_token}\n",
		fleet.DeployKeysFile: key(1) + " alpha\n" + key(2) + " beta\n",
	}, map[string]string{"github_token": token})}
	h.git(t, "remote", "add", "origin", hub.Folder("you/fleet"))
	h.git(t, "push", "-q", "-u", "origin", "HEAD:main")
	return h
}

func (h *house) git(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", h.Dir}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

// open opens the newest commit.
func (h *house) open(t *testing.T) *Host {
	t.Helper()
	o := h.Open(t, checkout.Committed)
	return New(o.Checkout, nil, Options{Site: h.hub.Site(), Token: func(ctx context.Context) (secret.Value, error) {
		return o.Identity.Secret(ctx, "github_token")
	}})
}

// other is a second operator's clone.
func (h *house) other(t *testing.T) *house {
	t.Helper()
	second := *h.Fleet
	second.Dir = t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "git", "clone", "-q", h.hub.Folder("you/fleet"), second.Dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	o := &house{Fleet: &second, hub: h.hub}
	o.git(t, "config", "user.name", "Ben")
	o.git(t, "config", "user.email", "ben@example.net")
	return o
}

// adds has an operator add a host, as host add does: pushed, then let in.
func (h *house) adds(t *testing.T, host string, n int) {
	t.Helper()
	g := h.open(t)
	content, err := g.checkout.File(fleet.DeployKeysFile)
	if err != nil {
		t.Fatal(err)
	}
	h.Commit(t, map[string][]byte{fleet.DeployKeysFile: append(content, key(n)+" "+host+"\n"...)})
	h.git(t, "push", "-q", "origin", "HEAD:main")
	if _, err := h.open(t).KeepKeys(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

func (h *house) titles() (all []string) {
	for _, k := range h.hub.Repository("you/fleet").Keys {
		all = append(all, k.Title)
	}
	slices.Sort(all)
	return all
}

func (h *house) want(t *testing.T, titles ...string) {
	t.Helper()
	if diff := cmp.Diff(titles, h.titles()); diff != "" {
		t.Errorf("deploy keys (-want +got):\n%s", diff)
	}
}

// TestEveryHostIsLetInOnce, and what is there is not asked for again.
func TestEveryHostIsLetInOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	kept, err := h.open(t).KeysDue(t.Context(), false)
	if diff := cmp.Diff(Kept{Keeper: "You/Fleet at GitHub", Read: []string{"alpha", "beta"}, Added: []string{"alpha", "beta"}, Shut: true}, kept); err != nil || diff != "" {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	h.want(t, "salvor home/alpha", "salvor home/beta")
	asked := len(h.hub.Calls())
	if kept, err := h.open(t).KeysDue(t.Context(), false); err != nil || kept.Keeper == "" || len(h.hub.Calls()) != asked {
		t.Errorf("again: %+v, %v, requests %q", kept, err, h.hub.Calls()[asked:])
	}
	h.hub.Change("you/fleet", func(r *githubtest.Repository) { r.Keys = r.Keys[1:] })
	if kept, err := h.open(t).KeysDue(t.Context(), true); err != nil || !slices.Equal(kept.Added, []string{"alpha"}) {
		t.Errorf("a host could not read: %+v, %v", kept, err)
	}
	h.want(t, "salvor home/alpha", "salvor home/beta")
}

// TestTwoOperatorsAtOnce: neither takes the key of a host that the other has just added.
func TestTwoOperatorsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ben := h.other(t)
	before := h.open(t)
	ben.adds(t, "gamma", 3)
	if kept, err := before.KeepKeys(t.Context(), nil); err != nil || kept.Removed != 0 {
		t.Errorf("behind: %+v, %v", kept, err)
	}
	h.want(t, "salvor home/alpha", "salvor home/beta", "salvor home/gamma")

	h.git(t, "pull", "-q", "--rebase", "origin", "main")
	meanwhile := h.open(t)
	h.hub.Fail(githubtest.Fault{On: "GET /repos", Slow: time.Millisecond, Before: func() { ben.adds(t, "delta", 4) }})
	if kept, err := meanwhile.KeepKeys(t.Context(), nil); err != nil || kept.Removed != 0 {
		t.Errorf("while the keys are listed: %+v, %v", kept, err)
	}
	h.want(t, "salvor home/alpha", "salvor home/beta", "salvor home/delta", "salvor home/gamma")

	h.git(t, "pull", "-q", "--rebase", "origin", "main")
	h.hub.Change("you/fleet", func(r *githubtest.Repository) { r.Keys = r.Keys[1:] })
	h.hub.Fail(githubtest.Fault{On: "POST", Slow: time.Millisecond, Before: func() {
		h.hub.Change("you/fleet", func(r *githubtest.Repository) {
			r.Keys = append(r.Keys, githubtest.Key{ID: 77, Title: "salvor home/alpha", Key: key(1), ReadOnly: true})
		})
	}})
	if _, err := h.open(t).KeepKeys(t.Context(), nil); err != nil {
		t.Errorf("both add one: %v", err)
	}
	h.want(t, "salvor home/alpha", "salvor home/beta", "salvor home/delta", "salvor home/gamma")
}

// TestKeysThatAHostHasNoMore go, by whatever name they were added, and those of others stay.
func TestKeysThatAHostHasNoMore(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.hub.Change("you/fleet", func(r *githubtest.Repository) {
		r.Keys = []githubtest.Key{
			{ID: 1, Title: "typed by hand", Key: key(2), ReadOnly: true}, {ID: 2, Title: "ci", Key: key(8)},
			{ID: 3, Title: "salvor home/gone", Key: key(9), ReadOnly: true}, {ID: 4, Title: "salvor other/alpha", Key: key(7), ReadOnly: true},
		}
	})
	kept, err := h.open(t).KeepKeys(t.Context(), map[string]string{"beta": key(5) + " beta", "alpha": ""})
	if diff := cmp.Diff(Kept{Keeper: "You/Fleet at GitHub", Read: []string{"beta"}, Added: []string{"beta"}, Removed: 2, Shut: true}, kept); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	h.want(t, "ci", "salvor home/beta", "salvor other/alpha")
}

// TestTheTitleFollowsTheHost: the key of a host that was renamed is called after it, once the
// commit that renames it is the newest one; what a person has called one stays.
func TestTheTitleFollowsTheHost(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ben := h.other(t)
	h.hub.Change("you/fleet", func(r *githubtest.Repository) {
		r.Keys = []githubtest.Key{{ID: 1, Title: "salvor home/web", Key: key(1), ReadOnly: true}, {ID: 2, Title: "typed by hand", Key: key(2), ReadOnly: true}}
	})
	before := h.open(t)
	ben.adds(t, "gamma", 3)
	h.want(t, "salvor home/alpha", "salvor home/gamma", "typed by hand")
	h.hub.Change("you/fleet", func(r *githubtest.Repository) { r.Keys[len(r.Keys)-2].Title = "salvor home/omega" })
	titles := h.titles()
	if kept, err := before.KeepKeys(t.Context(), nil); err != nil || len(kept.Added) > 0 || len(kept.Read) != 2 {
		t.Errorf("behind: %+v, %v", kept, err)
	}
	h.want(t, titles...)
	h.git(t, "pull", "-q", "--rebase", "origin", "main")
	kept, err := h.open(t).KeepKeys(t.Context(), nil)
	if err != nil || len(kept.Added) > 0 || len(kept.Read) != 3 || kept.Removed > 0 {
		t.Errorf("%+v, %v", kept, err)
	}
	h.want(t, "salvor home/alpha", "salvor home/gamma", "typed by hand")
}

// TestCutAtEachRequest: what is left undone is done by the next run, whatever failed.
func TestCutAtEachRequest(t *testing.T) {
	t.Parallel()
	for cut := range 6 {
		for _, done := range []bool{false, true} {
			h := newHouse(t)
			h.hub.Change("you/fleet", func(r *githubtest.Repository) {
				r.Keys = []githubtest.Key{{ID: 1, Title: "mine", Key: key(2)}, {ID: 2, Title: "salvor home/gone", Key: key(9), ReadOnly: true}}
			})
			for range cut {
				h.hub.Fail(githubtest.Fault{Slow: time.Nanosecond})
			}
			h.hub.Fail(githubtest.Fault{Status: 422, Done: done})
			_, err := h.open(t).KeepKeys(t.Context(), nil)
			if last := cut == 5; (err == nil) != last {
				t.Errorf("cut %d: %v", cut, err)
			}
			h.hub.Fail(githubtest.Fault{Slow: time.Nanosecond})
			if _, err := h.open(t).KeysDue(t.Context(), false); err != nil {
				t.Errorf("cut %d, done %t, again: %v", cut, done, err)
			}
			if cut < 5 {
				h.want(t, "salvor home/alpha", "salvor home/beta")
			}
		}
	}
}

// TestWithoutAToken, or at another server, a person adds the keys.
func TestWithoutAToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, git := range map[string]fleet.Git{
		"no token": {URL: "ssh://git@127.0.0.1/you/fleet.git"}, "elsewhere": {URL: "git@git.example.net:you/fleet.git", Token: secret.ParseSetting("secret:github_token")},
		"https": {URL: "https://127.0.0.1/you/fleet.git", Token: secret.ParseSetting("secret:github_token")},
	} {
		g := h.open(t)
		g.checkout.Fleet.Git = git
		if kept, err := g.KeepKeys(t.Context(), nil); err != nil || kept.Keeper != "" || len(h.hub.Calls()) != 0 {
			t.Errorf("%s: %+v, %v", name, kept, err)
		}
	}
}

// TestWhatMendsIt: each error has a hint, and none the token.
func TestWhatMendsIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*house)
		is     error
		hint   string
	}{
		"revoked": {func(h *house) { h.hub.RevokeToken(token) }, github.ErrToken, "salvor secret set github_token"},
		"too little": {func(h *house) {
			h.hub.AddToken(token, githubtest.Token{Account: "you", Permissions: map[string]string{"metadata": "read"}})
		}, github.ErrPermission, "(Administration: read and write)"},
		"gone":           {func(h *house) { h.hub.Close() }, github.ErrAway, "salvor apply tries again"},
		"in use":         {func(h *house) { _ = h.hub.AddSSHKey("you", key(1)) }, github.ErrInUse, "remove it from that repository or account"},
		"someone else's": {func(h *house) { h.hub.AddToken(token, githubtest.Token{Account: "eve", Scopes: []string{"repo"}}) }, github.ErrNone, "salvor secret set github_token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			c.change(h)
			_, err := h.open(t).KeepKeys(t.Context(), nil)
			if !errors.Is(err, c.is) || !strings.Contains(fault.Hint(err), c.hint) || strings.Contains(err.Error()+fault.Hint(err), "hunter2") {
				t.Errorf("%v, hint %q", err, fault.Hint(err))
			}
			want := []string(nil)
			if errors.Is(c.is, github.ErrInUse) { // by alpha's, which keeps no other out
				want = []string{"salvor home/beta"}
			}
			h.want(t, want...)
		})
	}
}

// TestPublishedKeysAreTaken: no one is asked about the key of a server that its site publishes;
// about another one, the operator is.
func TestPublishedKeysAreTaken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, c := range map[string]struct {
		published []string
		asked     int
		pinned    bool
	}{
		"published":           {[]string{key(9), h.hub.HostKey}, 0, true},
		"another one is":      {[]string{key(9)}, 1, false},
		"the site has no key": {nil, 1, false},
	} {
		o := h.Open(t, checkout.Committed)
		site, asked := h.hub.Site(), 0
		site.HostKeys = c.published
		g := New(o.Checkout, reach.New(o.Checkout, reach.Options{}), Options{Site: site, Trust: func(string) error {
			asked++
			return fault.WithCode(errors.New("no one answers"), fault.Usage)
		}})
		files, err := g.WithPin(t.Context(), nil)
		if err != nil || asked != c.asked || strings.Contains(string(files[fleet.KnownHostsFile]), h.hub.HostKey) != c.pinned {
			t.Errorf("%s: asked %d times, %q, %v", name, asked, files, err)
		}
	}
}
