package github_test

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"salvor/internal/fault"
	"salvor/internal/github"
	"salvor/internal/github/githubtest"
	"salvor/internal/secret"
)

const (
	classic = "ghp_hunter2"
	fine    = "github_pat_hunter2"
	small   = "github_pat_hunter2_small"
	gists   = "ghp_hunter2_gists"
	other   = "ghp_hunter2_eve"
)

// emulated starts a GitHub with tokens of several kinds.
func emulated(t *testing.T) *githubtest.Server {
	t.Helper()
	s, err := githubtest.Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.AddToken(classic, githubtest.Token{Account: "you", Scopes: []string{"repo"}})
	s.AddToken(fine, githubtest.Token{Account: "you", Permissions: map[string]string{"administration": "write", "contents": "write", "metadata": "read"}})
	s.AddToken(small, githubtest.Token{Account: "you", Permissions: map[string]string{"contents": "read", "metadata": "read"}})
	s.AddToken(gists, githubtest.Token{Account: "you", Scopes: []string{"gist"}})
	s.AddToken(other, githubtest.Token{Account: "eve", Scopes: []string{"repo"}})
	s.AddOrganization("firm", "you")
	return s
}

func with(t *testing.T, s *githubtest.Server, token string) *github.API {
	t.Helper()
	a, err := github.New(s.Site(), secret.NewString(token))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func named(t *testing.T, text string) github.Name {
	t.Helper()
	n, err := github.ParseName(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// deployKey is the n-th of many.
func deployKey(n int) string {
	return fmt.Sprintf("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA%041dA", n)
}

func TestARepositoryIsMadePrivateAndEmpty(t *testing.T) {
	t.Parallel()
	s := emulated(t)
	for token, name := range map[string]string{classic: "you/one", fine: "You/two", other: "eve/fleet"} {
		a, n := with(t, s, token), named(t, name)
		if _, err := a.Repository(t.Context(), n); !errors.Is(err, github.ErrNone) {
			t.Errorf("before: %v", err)
		}
		made, err := a.Create(t.Context(), n)
		if err != nil || !made.Private || !made.Name.Is(n) || !strings.HasPrefix(made.SSH, "ssh://git@127.0.0.1:") {
			t.Fatalf("%+v, %v", made, err)
		}
		found, err := a.Repository(t.Context(), n)
		if err != nil || found != made {
			t.Errorf("%+v, %v; made %+v", found, err, made)
		}
		if empty, err := a.Empty(t.Context(), n); err != nil || !empty {
			t.Errorf("empty %t, %v", empty, err)
		}
		if _, err := a.Create(t.Context(), n); !errors.Is(err, github.ErrExists) {
			t.Errorf("twice: %v", err)
		}
	}
	if made, err := with(t, s, classic).Create(t.Context(), named(t, "firm/fleet")); err != nil || made.Name.String() != "firm/fleet" {
		t.Errorf("of an organization: %+v, %v", made, err)
	}
	if who, err := with(t, s, other).Login(t.Context()); err != nil || who != "eve" {
		t.Errorf("%q, %v", who, err)
	}
}

func TestDeployKeysOverSeveralPages(t *testing.T) {
	t.Parallel()
	s := emulated(t)
	a, n := with(t, s, fine), named(t, "you/fleet")
	if err := s.Make(t.Context(), n.String(), true); err != nil {
		t.Fatal(err)
	}
	const many = 203
	s.Change(n.String(), func(r *githubtest.Repository) {
		for i := range many {
			r.Keys = append(r.Keys, githubtest.Key{ID: int64(1000 + i), Key: deployKey(i), Title: "other"})
		}
	})
	if err := a.AddKey(t.Context(), n, "salvor home/alpha", deployKey(many)+" alpha"); err != nil {
		t.Fatal(err)
	}
	keys, err := a.Keys(t.Context(), n)
	if err != nil || len(keys) != many+1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	added := keys[many]
	if added.Title != "salvor home/alpha" || added.Key != deployKey(many) || !added.ReadOnly {
		t.Errorf("%+v", added)
	}
	if err := a.AddKey(t.Context(), n, "again", deployKey(many)); !errors.Is(err, github.ErrInUse) {
		t.Errorf("twice: %v", err)
	}
	for range 2 {
		if err := a.DeleteKey(t.Context(), n, added.ID); err != nil {
			t.Error(err)
		}
	}
	if got := len(s.Repository(n.String()).Keys); got != many {
		t.Errorf("%d keys are left", got)
	}
}

// TestRefusals: an error names the permission that the token lacks, and never the token.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := emulated(t)
	if err := errors.Join(s.Make(t.Context(), "you/fleet", true), s.Make(t.Context(), "eve/secret", true)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token, repository string
		is                error
		want              string
	}{
		"unknown token":             {token: "ghp_hunter2_wrong", is: github.ErrToken, want: `add the deploy key "x" to you/fleet: GitHub refuses the token: Bad credentials`},
		"fine, without":             {token: small, is: github.ErrPermission, want: "the token may not do that: Resource not accessible by personal access token; it needs the permission administration=write"},
		"classic, without":          {token: gists, is: github.ErrNone, want: "it does not exist, or the token may not see it; it needs one of the scopes repo, and has gist"},
		"someone else's, private":   {token: classic, repository: "eve/secret", is: github.ErrNone, want: "eve/secret: it does not exist"},
		"none":                      {token: classic, repository: "you/none", is: github.ErrNone},
		"an organization, no admin": {token: other, repository: "firm/fleet", is: github.ErrNone},
	} {
		t.Run(name, func(t *testing.T) {
			err := with(t, s, c.token).AddKey(t.Context(), named(t, cmp.Or(c.repository, "you/fleet")), "x", deployKey(1))
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v, want %v %q", err, c.is, c.want)
			}
		})
	}
	if _, err := with(t, s, small).Create(t.Context(), named(t, "you/new")); !errors.Is(err, github.ErrPermission) || !strings.Contains(err.Error(), "administration=write") {
		t.Errorf("create: %v", err)
	}
	if _, err := with(t, s, other).Create(t.Context(), named(t, "firm/new")); !errors.Is(err, github.ErrPermission) {
		t.Errorf("create for an organization: %v", err)
	}
	if err := with(t, s, classic).AddKey(t.Context(), named(t, "you/fleet"), "x", "not a key"); err == nil || !strings.Contains(err.Error(), "key is invalid") {
		t.Errorf("a key that is none: %v", err)
	}
	if keys := s.Repository("you/fleet").Keys; len(keys) != 0 {
		t.Errorf("added %+v", keys)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	again := githubtest.Fault{Status: 429, Header: header("Retry-After", "0")}
	for name, c := range map[string]struct {
		faults []githubtest.Fault
		calls  int
		want   string // of the error, "" for none
	}{
		"too many, then not":  {faults: []githubtest.Fault{again, {Status: 403, Header: header("Retry-After", "0")}}, calls: 3},
		"the hour is used up": {faults: []githubtest.Fault{{Status: 403, Header: header("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "99999999999")}}, calls: 1, want: "too many requests"},
		"the hour is over":    {faults: []githubtest.Fault{{Status: 403, Header: header("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1")}}, calls: 2},
		"too many":            {faults: []githubtest.Fault{again, again, again, again}, calls: 4, want: "GitHub does not answer: the token has made too many requests"},
		"hangs up":            {faults: []githubtest.Fault{{}, {}}, calls: 1, want: "GitHub does not answer"},
		"fails once":          {faults: []githubtest.Fault{{Status: 502}}, calls: 2},
		"moves elsewhere":     {faults: []githubtest.Fault{{Status: 301, Header: header("Location", "http://192.0.2.1/user")}}, calls: 1, want: "status 301"},
		"moves here":          {faults: []githubtest.Fault{{Status: 307, Header: header("Location", "/api/v3/user")}}, calls: 2},
		"moves in a circle":   {faults: []githubtest.Fault{{Status: 307, Header: header("Location", "/api/v3/a")}, {Status: 307, Header: header("Location", "/api/v3/b")}, {Status: 307, Header: header("Location", "/api/v3/c")}, {Status: 307, Header: header("Location", "/api/v3/d")}}, calls: 4, want: "status 307"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := emulated(t)
			s.Fail(c.faults...)
			who, err := with(t, s, classic).Login(t.Context())
			if c.want == "" && (err != nil || who != "you") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%q, %v", who, err)
			}
			if got := len(s.Calls()); got != c.calls {
				t.Errorf("%d calls: %q", got, s.Calls())
			}
			if strings.Contains(c.want, "does not answer") {
				if code, _ := fault.Code(err); code != fault.Unreachable {
					t.Errorf("exit code %d", code)
				}
			}
		})
	}
}

// TestAnAnswerThatIsLost: what is not asked twice may have happened, and a second run
// finds it.
func TestAnAnswerThatIsLost(t *testing.T) {
	t.Parallel()
	s := emulated(t)
	a, n := with(t, s, classic), named(t, "you/fleet")
	s.Fail(githubtest.Fault{On: "POST", Done: true})
	if _, err := a.Create(t.Context(), n); !errors.Is(err, github.ErrAway) {
		t.Errorf("create: %v", err)
	}
	if empty, err := a.Empty(t.Context(), n); err != nil || !empty {
		t.Errorf("%t, %v", empty, err)
	}
	s.Fail(githubtest.Fault{On: "POST", Status: 502, Done: true})
	if err := a.AddKey(t.Context(), n, "x", deployKey(1)); !errors.Is(err, github.ErrAway) {
		t.Errorf("add: %v", err)
	}
	if keys, err := a.Keys(t.Context(), n); err != nil || len(keys) != 1 {
		t.Errorf("%+v, %v", keys, err)
	}
}

func TestATokenGoesNowhereElse(t *testing.T) {
	t.Parallel()
	for base, good := range map[string]bool{"https://api.github.com": true, "http://127.0.0.1:80": true, "http://github.example": false, "ftp://x": false, "": false} {
		if _, err := github.New(github.Site{API: base}, secret.NewString("x")); (err == nil) != good {
			t.Errorf("%q: %v", base, err)
		}
	}
	for _, token := range []string{"", "a b", "a\nb", "ä"} {
		if _, err := github.New(github.Public(), secret.NewString(token)); !errors.Is(err, github.ErrToken) {
			t.Errorf("token %q: %v", token, err)
		}
	}
}
