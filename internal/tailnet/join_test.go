package tailnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"salvor/internal/converge"
	"salvor/internal/converge/convergetest"
	"salvor/internal/machine"
	"salvor/internal/machine/debiantest"
	"salvor/internal/progress"
	"salvor/internal/secret"
	"salvor/internal/tailnet/tailnettest"
)

const at = "/var/lib/tailscale/state"

// A node is a tailscale and its daemon on a host, which keep what they are in a file.
type node struct {
	Backend string
	prefs
}

func put(h *debiantest.Host, n node) {
	content, _ := json.Marshal(n)
	h.PutLocked(at, string(content), 0o600)
}

// host has a tailscale that joins the emulated tailnet.
func host(api *tailnettest.Server, saw *[]string) *debiantest.Host {
	h := debiantest.New()
	h.Available["tailscale"] = debiantest.Package{Version: "1.98.0", Unit: unit}
	h.Put(at, `{"Backend": "NeedsLogin"}`, 0o600)
	is := node{Backend: "NeedsLogin"}
	h.Programs["tailscale"] = func(h *debiantest.Host, c machine.Cmd) (string, error) {
		if saw != nil {
			*saw = append(*saw, strings.Join(c.Argv, " "))
		}
		switch c.Argv[1] {
		case "status":
			answer := fmt.Sprintf(`{"BackendState": %q, "Self": {}}`, is.Backend)
			return answer, nil
		case "debug":
			content, err := json.Marshal(is.prefs)
			return string(content), err
		}
		next, err := up(api, c, is)
		if err != nil {
			return "", err
		}
		is = next
		put(h, is)
		return "", nil
	}
	return h
}

// up is tailscale up.
func up(api *tailnettest.Server, c machine.Cmd, is node) (node, error) {
	n := node{Backend: "Running", prefs: prefs{WantRunning: true}}
	joins := false
	for _, arg := range c.Argv[2:] {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "--hostname":
			n.Hostname = value
		case "--accept-dns":
			n.CorpDNS = value == "true"
		case "--login-server":
			n.ControlURL = value
		case "--advertise-tags":
			n.Tags = strings.Split(value, ",")
		case "--auth-key":
			joins = value == "file:/dev/stdin"
		}
	}
	if is.Backend != "Running" && is.Backend != "Stopped" && !joins {
		return is, &machine.ExitError{Argv: c.Argv, Code: 1, Stderr: []byte("To authenticate, visit: https://login.example")}
	}
	if joins {
		key, err := io.ReadAll(c.Stdin)
		if err == nil {
			_, err = api.Join(strings.TrimSpace(string(key)), n.Hostname)
		}
		if err != nil {
			return is, &machine.ExitError{Argv: c.Argv, Code: 1, Stderr: []byte("backend error: " + err.Error())}
		}
	}
	return n, nil
}

func membership(a *API) Membership {
	return Membership{Hostname: "alpha", Tags: []string{"tag:salvor"}, AcceptDNS: true, Key: func(ctx context.Context) (secret.Value, error) {
		k, err := a.Mint(ctx, "alpha", []string{"tag:salvor"}, time.Minute)
		return k.Value, err
	}}
}

// TestMembershipUnderTheLaw: cut at every call, and run again.
func TestMembershipUnderTheLaw(t *testing.T) {
	foreign := func(s *tailnettest.Server) *debiantest.Host {
		h := host(s, nil)
		delete(h.Available, "tailscale")
		h.Put("/usr/local/bin/tailscale", "", 0o755)
		h.Put("/etc/systemd/system/"+unit, "", 0o644)
		return h
	}
	for name, c := range map[string]struct {
		from  Source
		host  func(*tailnettest.Server) *debiantest.Host
		least int // resources
	}{
		"its own repository": {Source{URL: "https://pkgs.example/stable/debian", Suite: "trixie", Key: []byte("a key")}, func(s *tailnettest.Server) *debiantest.Host { return host(s, nil) }, 5},
		"the host's sources": {Source{}, func(s *tailnettest.Server) *debiantest.Host { return host(s, nil) }, 3},
		"no package":         {Source{Foreign: true}, foreign, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s, a := emulated(t)
			if found, err := Foreign(t.Context(), c.host(s)); err != nil || found != c.from.Foreign {
				t.Errorf("it is foreign: %t, %v", found, err)
			}
			all := Resources(c.from, membership(a))
			convergetest.Law(t, func() *debiantest.Host { return c.host(s) }, all...)
			if len(all) != c.least || len(s.Devices()) < len(all) {
				t.Errorf("%d resources, %d machines joined", len(all), len(s.Devices()))
			}
		})
	}
}

// TestDrift: each is shown with its cause and repaired, with a key only where one must join.
func TestDrift(t *testing.T) {
	for name, c := range map[string]struct {
		is    func(*Membership)
		drift []string
		want  string
		joins bool
	}{
		"logged out": {drift: []string{"logout"}, want: "it is logged out: NeedsLogin", joins: true},
		"down":       {drift: []string{"down"}, want: "it is down"},
		"name":       {is: func(m *Membership) { m.Hostname = "omega" }, want: `name is "alpha", want "omega"`},
		"dns":        {is: func(m *Membership) { m.AcceptDNS = false }, want: "accept-dns is true, want false"},
		"tags":       {is: func(m *Membership) { m.Tags = []string{"tag:db", "tag:salvor"} }, want: `tags are ["tag:salvor"], want ["tag:db" "tag:salvor"]`},
		"server":     {is: func(m *Membership) { m.LoginServer = "https://headscale.example/" }, want: "login server is https://controlplane.tailscale.com, want https://headscale.example", joins: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, a := emulated(t)
			var saw []string
			h, m := host(s, &saw), membership(a)
			settle(t, h, m, "not logged in")
			program := h.Programs["tailscale"]
			if len(c.drift) > 0 {
				h.Programs["tailscale"] = drifted(program, c.drift[0])
			}
			if c.is != nil {
				c.is(&m)
			}
			saw = nil
			keys := len(s.Keys())
			if got := settle(t, h, m, c.want); !strings.Contains(got, c.want) {
				t.Errorf("the cause is %q, want %q", got, c.want)
			}
			if joined := len(s.Keys()) > keys; joined != c.joins {
				t.Errorf("a key was made: %t, want %t", joined, c.joins)
			}
			for _, line := range saw {
				for _, k := range s.Keys() {
					if strings.Contains(line, k.Value) {
						t.Errorf("a command line has the key: %s", line)
					}
				}
			}
		})
	}
}

// drifted has a tailscale say that it is logged out, or down, until it is up again.
func drifted(program func(*debiantest.Host, machine.Cmd) (string, error), how string) func(*debiantest.Host, machine.Cmd) (string, error) {
	over := false
	return func(h *debiantest.Host, c machine.Cmd) (string, error) {
		out, err := program(h, c)
		over = over || c.Argv[1] == "up" && err == nil
		switch {
		case over:
		case how == "logout":
			out = strings.Replace(out, "Running", "NeedsLogin", 1)
		case how == "down":
			out = strings.Replace(strings.Replace(out, "Running\"", "Stopped\"", 1), `"WantRunning":true`, `"WantRunning":false`, 1)
		}
		return out, err
	}
}

// settle applies one membership, returns the cause, and checks that nothing is left to do.
func settle(t *testing.T, h *debiantest.Host, m Membership, what string) string {
	t.Helper()
	p, err := converge.NewPlan(t.Context(), h, []converge.Resource{m})
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, c := range p.Changes {
		text += c.Cause
	}
	if _, err := p.Apply(t.Context(), progress.Scope{Sink: progress.Discard()}); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	again, err := converge.NewPlan(t.Context(), h, []converge.Resource{m})
	if err != nil || !again.Empty() {
		t.Fatalf("%s: afterwards %v, %v", what, again, err)
	}
	return text
}

// TestBadKeys: one clear error each, and the host is otherwise as it was.
func TestBadKeys(t *testing.T) {
	for name, c := range map[string]struct {
		key  func(*tailnettest.Server, *API) string
		want string
	}{
		"wrong": {func(*tailnettest.Server, *API) string { return "tskey-auth-none" }, "the control server refuses the key: invalid key: API key does not exist"},
		"used": {func(s *tailnettest.Server, a *API) string {
			k, err := a.Mint(t.Context(), "alpha", []string{"tag:salvor"}, time.Minute)
			if err == nil {
				_, err = s.Join(string(k.Value.Reveal()), "other")
			}
			if err != nil {
				t.Error(err)
			}
			return string(k.Value.Reveal())
		}, "the control server refuses the key: invalid key: API key already used"},
		"expired": {func(s *tailnettest.Server, a *API) string {
			k, err := a.Mint(t.Context(), "alpha", []string{"tag:salvor"}, time.Minute)
			if err != nil {
				t.Error(err)
			}
			s.Now = func() time.Time { return time.Now().Add(time.Hour) }
			return string(k.Value.Reveal())
		}, "the control server refuses the key: invalid key: API key has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			s, a := emulated(t)
			m := membership(a)
			value := c.key(s, a)
			m.Key = func(context.Context) (secret.Value, error) { return secret.NewString(value), nil }
			p, err := converge.NewPlan(t.Context(), host(s, nil), []converge.Resource{m})
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Apply(t.Context(), progress.Scope{Sink: progress.Discard()})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), value) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestAHostWithoutTheDaemon is planned as one that joins: the package comes first.
func TestAHostWithoutTheDaemon(t *testing.T) {
	_, a := emulated(t)
	p, err := converge.NewPlan(t.Context(), debiantest.New(), []converge.Resource{membership(a)})
	if err != nil || len(p.Changes) != 1 || p.Changes[0].Cause != "tailscaled is not there yet" || p.Changes[0].Action != converge.Makes {
		t.Errorf("%v, %v", p, err)
	}
}

// TestWhatKeepsAHostOut: tailscale prints it, in its own words.
func TestWhatKeepsAHostOut(t *testing.T) {
	for said, want := range map[string]error{
		"backend error: invalid authkey":                                               ErrKey,
		"backend error: invalid key: API key k1 not valid":                             ErrKey,
		"To authenticate, visit:\n\n\thttps://login.example/a/b":                       ErrKey,
		"backend error: requested tags [tag:db] are invalid or not permitted":          ErrTags,
		"timeout waiting for Tailscale service to enter a Running state; check health": ErrControl,
	} {
		err := refused(&machine.ExitError{Argv: []string{program}, Code: 1, Stderr: []byte(said + "\n")}, tailscaleServer)
		if !errors.Is(err, want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q is %v, want %v", said, err, want)
		}
	}
}
