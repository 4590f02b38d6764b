package agent

import (
	"strings"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/hostprep"
	"salvor/internal/machine"
	"salvor/internal/machine/debiantest"
	"salvor/internal/project"
)

// TestMembershipIsPlanned: what makes a host a member is in the plan, with its cause, and it
// says whether that takes a key.
func TestMembershipIsPlanned(t *testing.T) {
	t.Parallel()
	const running, prefs = `{"BackendState": "Running", "TUN": true, "TailscaleIPs": ["100.64.0.7"]}`, `{"WantRunning": true, "Hostname": "alpha"}`
	for name, c := range map[string]struct {
		status, prefs string // "" without tailscale
		want          string
		node          agentapi.Node
	}{
		"a clean host": {want: "+ packages tailscale: not installed: tailscale\n+ unit tailscaled.service: tailscaled.service is not there yet\n+ tailnet alpha: tailscaled is not there yet", node: agentapi.Node{Out: true}},
		"a member":     {status: running, prefs: prefs, node: agentapi.Node{Address: "100.64.0.7"}},
		"logged out":   {status: `{"BackendState": "NeedsLogin"}`, prefs: prefs, want: "+ tailnet alpha: it is logged out: NeedsLogin", node: agentapi.Node{Out: true}},
		"renamed":      {status: running, prefs: `{"WantRunning": true, "Hostname": "omega"}`, want: `~ tailnet alpha: name is "omega", want "alpha"`, node: agentapi.Node{Address: "100.64.0.7"}},
		"moved":        {status: running, prefs: `{"WantRunning": true, "Hostname": "alpha", "ControlURL": "https://other.example"}`, want: "~ tailnet alpha: login server is https://other.example, want https://controlplane.tailscale.com", node: agentapi.Node{Address: "100.64.0.7", Out: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := debiantest.New()
			m.Available["tailscale"] = debiantest.Package{Version: "1.98.0", Unit: "tailscaled.service"}
			if c.status != "" {
				m.Programs["tailscale"] = func(_ *debiantest.Host, call machine.Cmd) (string, error) {
					if call.Argv[1] == "debug" {
						return c.prefs, nil
					}
					return c.status, nil
				}
				m.Put("/usr/local/bin/tailscale", "", 0o755)
				m.Put("/etc/systemd/system/tailscaled.service", "", 0o644)
				for _, argv := range [][]string{{"systemctl", "daemon-reload"}, {"systemctl", "enable", "tailscaled.service"}, {"systemctl", "start", "tailscaled.service"}} {
					if _, err := m.Run(t.Context(), machine.Cmd{Argv: argv}); err != nil {
						t.Fatal(err)
					}
				}
			}
			var state agentapi.HostState
			print, err := observeTailnet(t.Context(), m, hostprep.Facts{}, agentapi.Host{Name: "alpha", Tailnet: &agentapi.Tailnet{}}, &state)
			if err != nil || len(state.Findings) > 0 {
				t.Fatal(err, state.Findings)
			}
			var all []string
			for _, change := range state.Changes {
				all = append(all, change.Action+" "+change.ID+": "+change.Cause)
			}
			if got := strings.Join(all, "\n"); got != c.want || (print == "") != (got == "") || *state.Node != c.node {
				t.Errorf("%s\nwant %s\nnode %+v, fingerprint %q", got, c.want, state.Node, print)
			}
		})
	}
}

// TestATailscaledThatAnswersNonsense is a finding, and nothing else is held up.
func TestATailscaledThatAnswersNonsense(t *testing.T) {
	t.Parallel()
	m := debiantest.New()
	m.Put("/usr/local/bin/tailscale", "", 0o755)
	m.Programs["tailscale"] = func(*debiantest.Host, machine.Cmd) (string, error) { return "what?", nil }
	spec := agentapi.Host{Name: "alpha", Tailnet: &agentapi.Tailnet{}}
	var state agentapi.HostState
	if _, err := observeTailnet(t.Context(), m, hostprep.Facts{}, spec, &state); err != nil || len(state.Findings) != 1 || state.Findings[0].Code != finding.TailnetAbsent {
		t.Errorf("%v, %v", state.Findings, err)
	}
	if found := membershipFindings(t.Context(), m, spec); len(found) != 1 || found[0].Subject != "alpha" {
		t.Errorf("%v", found)
	}
	if found := tailnetFindings(t.Context(), &here.Host{Machine: m}, agentapi.Host{Name: "alpha"}, &state); found != nil {
		t.Errorf("a host that is in no tailnet: %v", found)
	}
	spec.Stacks = []agentapi.Stack{{Name: "web", Project: project.Project{Env: []string{project.TailnetIP}}}}
	for _, out := range []bool{false, true} {
		state.Node = &agentapi.Node{Out: out}
		if waits := len(tailnetFindings(t.Context(), &here.Host{Machine: m}, spec, &state)) == 1; waits == out {
			t.Errorf("it is planned that the host joins: %t; the stack waits: %t", out, waits)
		}
	}
}
