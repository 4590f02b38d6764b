package here

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/hostpath"
	"salvor/internal/machine"
	"salvor/internal/machine/debiantest"
	"salvor/internal/project"
)

// inTailnet is a host whose tailscaled says what *said is.
func inTailnet(t *testing.T, said *string) *Host {
	t.Helper()
	m := debiantest.New()
	m.Programs["tailscale"] = func(_ *debiantest.Host, c machine.Cmd) (string, error) {
		if *said == "" {
			return "", &machine.ExitError{Argv: c.Argv, Code: 1, Stderr: []byte("failed to connect to local tailscaled; it doesn't appear to be running")}
		}
		return *said, nil
	}
	return &Host{Machine: m, Paths: hostpath.Layout{Run: t.TempDir()}}
}

const (
	up        = `{"BackendState": "Running", "TUN": true, "TailscaleIPs": ["fd7a::1", "100.64.0.7"], "Self": {"KeyExpiry": "2027-05-29T15:00:00Z"}}`
	loggedOut = `{"BackendState": "NeedsLogin", "TUN": true}`
)

// TestAStackWaitsForTheTailnet: one that uses the address, and no other.
func TestAStackWaitsForTheTailnet(t *testing.T) {
	t.Parallel()
	said := ""
	h := inTailnet(t, &said)
	uses := h.At(agentapi.Host{Name: "alpha"}, agentapi.Stack{Name: "web", Project: project.Project{Env: []string{"PW", project.TailnetIP}}})
	other := h.At(agentapi.Host{Name: "alpha"}, agentapi.Stack{Name: "other", Project: project.Project{Env: []string{"PW"}}})
	uses.Access = &Access{File: agentapi.SealedFile{Env: map[string][]byte{"PW": []byte("x")}}}
	for _, away := range []string{"", loggedOut} {
		said = away
		if err := uses.CheckPresent(t.Context()); !errors.Is(err, ErrNoTailnet) || !strings.Contains(fault.Hint(err), "starts automatically") {
			t.Errorf("%q: %v", away, err)
		}
		if _, err := os.Stat(h.Paths.Waiting("web")); err != nil {
			t.Error(err)
		}
		if _, err := uses.WithTailnet(t.Context()); !errors.Is(err, ErrNoTailnet) {
			t.Errorf("an address without a tailnet: %v", err)
		}
		if err := other.CheckPresent(t.Context()); err != nil {
			t.Errorf("a stack that does not use it waits: %v", err)
		}
	}
	said = up
	if err := uses.CheckPresent(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(h.Paths.Waiting("web")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it still waits: %v", err)
	}
	file, err := uses.WithTailnet(t.Context())
	if err != nil || string(file.Env[project.TailnetIP]) != "100.64.0.7" || string(file.Env["PW"]) != "x" {
		t.Errorf("%v, %v", file.Env, err)
	}
	if len(uses.Access.File.Env) != 1 {
		t.Error("the opened file itself was changed")
	}
}

func TestTailnetFindings(t *testing.T) {
	t.Parallel()
	said := loggedOut
	h := inTailnet(t, &said)
	spec := agentapi.Host{Name: "alpha", Stacks: []agentapi.Stack{
		{Name: "web", Project: project.Project{Env: []string{project.TailnetIP}}}, {Name: "off", Stopped: true, Project: project.Project{Env: []string{project.TailnetIP}}}, {Name: "other"},
	}}
	look := func() string {
		var all []string
		for _, f := range TailnetFindings(t.Context(), h, spec, func(stack string) bool { return stack == "web" }) {
			all = append(all, f.String())
		}
		return strings.Join(all, "; ")
	}
	if got := look(); got != "alpha/web: the host is not in the tailnet: it is logged out: NeedsLogin: what the stack publishes there can't be reached ["+string(finding.TailnetAbsent)+"]" {
		t.Errorf("logged out: %s", got)
	}
	said = up
	if got := look(); got != "" {
		t.Errorf("the owner's own tailnet: %s", got)
	}
	spec.Tailnet = &agentapi.Tailnet{}
	if got := look(); got != "alpha: its key in the tailnet expires on 2027-05-29: from then on it can't be reached there ["+string(finding.TailnetExpires)+"]" {
		t.Errorf("a key that ends: %s", got)
	}
}
