package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/github/githubtest"
	"salvor/internal/machine"
	"salvor/internal/secret"
)

const token = "ghp_hunter2"

// overHTTP is a repository with a commit, whose remote is a private one at GitHub, over http.
func overHTTP(t *testing.T) (*Repository, *githubtest.Server) {
	t.Helper()
	hub := githubtest.WithFleet(t, token)
	t.Setenv("TMPDIR", t.TempDir())
	g, _ := newRepo(t)
	if err := g.AddRemote(t.Context(), strings.TrimSuffix(hub.Site().API, "/api/v3")+"/you/fleet.git"); err != nil {
		t.Fatal(err)
	}
	return g, hub
}

// noting notes what git is run with.
type noting struct {
	machine.Machine
	ran *[]string
}

func (n noting) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	*n.ran = append(*n.ran, strings.Join(append(c.Argv, c.Env...), " "))
	return n.Machine.Run(ctx, c)
}

// TestATokenOverHTTPS: git gets it where it has no login of its own; it is in no argument,
// environment, setting and file.
func TestATokenOverHTTPS(t *testing.T) {
	g, hub := overHTTP(t)
	if err := g.Push(t.Context()); !errors.Is(err, ErrGitAway) {
		t.Errorf("without a token: %v", err)
	}
	given := 0
	g.UseLogin(func(context.Context, bool) (secret.Value, error) {
		given++
		return secret.NewString(token), nil
	})
	var ran []string
	g.m = noting{g.m, &ran}
	ctx := t.Context()
	if err := g.Push(ctx); err != nil {
		t.Fatal(err)
	}
	head, err := g.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if tip, err := g.Fetch(ctx); err != nil || tip != head {
		t.Errorf("%s, %v", tip, err)
	}
	if given != 3 { // push, ls-remote, fetch
		t.Errorf("given %d times", given)
	}
	if strings.Contains(strings.Join(ran, "\n"), "hunter2") {
		t.Errorf("in an argument: %q", ran)
	}
	config, err := os.ReadFile(filepath.Join(g.git, "config"))
	if err != nil || strings.Contains(string(config), "hunter2") || strings.Contains(string(config), "helper") {
		t.Errorf("settings: %s, %v", config, err)
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "salvor-git-*")); err != nil || len(left) > 0 {
		t.Errorf("left %q, %v", left, err)
	}
	if calls := strings.Join(hub.Calls(), "\n"); !strings.Contains(calls, "git receive-pack you/fleet by you over http") {
		t.Errorf("calls %s", calls)
	}
}

// TestTheOperatorsOwnLoginIsFirst: the token is not even asked for.
func TestTheOperatorsOwnLoginIsFirst(t *testing.T) {
	g, _ := overHTTP(t)
	own := filepath.Join(t.TempDir(), "own")
	if err := os.WriteFile(own, []byte("username=me\npassword="+token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := g.output(t.Context(), "config", "credential.helper", "!cat "+own+"; true"); err != nil {
		t.Fatal(err)
	}
	g.UseLogin(func(context.Context, bool) (secret.Value, error) {
		t.Error("asked for the token")
		return secret.Value{}, errors.New("not this one")
	})
	if err := g.Push(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestATokenThatIsRefused, or that can't be had, ends the command at once.
func TestATokenThatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		token string
		err   error
		want  string
	}{
		"wrong":    {token: "ghp_other", want: "Authentication failed"},
		"not here": {err: errors.New("the key is locked"), want: "the key is locked"},
	} {
		g, _ := overHTTP(t)
		g.UseLogin(func(context.Context, bool) (secret.Value, error) { return secret.NewString(c.token), c.err })
		if err := g.Push(t.Context()); !errors.Is(err, ErrGitAway) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhereATokenIsSent: over https, and to loopback.
func TestWhereATokenIsSent(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://github.com/you/fleet.git": "https://github.com", "https://git.example.net:8443/x": "https://git.example.net:8443", "http://127.0.0.1:80/x": "http://127.0.0.1:80",
		"http://git.example.net/x": "", "git@github.com:you/fleet.git": "", "ssh://git@github.com/x": "", "/srv/x": "", "https:///x": "", "ext::sh": "",
	} {
		if got, takes := takesToken(address); got != want || takes != (want != "") {
			t.Errorf("%s: %q", address, got)
		}
	}
}

// TestACloneWithAToken: git gets it as for a push, and keeps it nowhere.
func TestACloneWithAToken(t *testing.T) {
	g, _ := overHTTP(t)
	g.UseLogin(func(context.Context, bool) (secret.Value, error) { return secret.NewString(token), nil })
	ctx := t.Context()
	if err := g.Push(ctx); err != nil {
		t.Fatal(err)
	}
	address, err := g.URL(ctx, "origin")
	if err != nil {
		t.Fatal(err)
	}
	var ran []string
	m, dir := noting{g.m, &ran}, filepath.Join(t.TempDir(), "back")
	if _, err := Clone(ctx, m, Cloning{Source: address, Origin: address, Dir: dir, Environ: os.Environ()}); err == nil {
		t.Error("a private repository was cloned without a token")
	}
	cloned, err := Clone(ctx, m, Cloning{Source: address, Origin: address, Dir: dir, Environ: os.Environ(), Token: []byte(token)})
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(cloned.git, "config"))
	if err != nil || strings.Contains(string(config)+strings.Join(ran, "\n"), "hunter2") || strings.Contains(string(config), "helper") {
		t.Errorf("settings %s, run %q, %v", config, ran, err)
	}
}
