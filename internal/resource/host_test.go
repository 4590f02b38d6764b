package resource_test

import (
	"encoding/json"
	"os"
	"testing"

	"salvor/internal/converge"
	"salvor/internal/machine/local"
	"salvor/internal/progress"
	"salvor/internal/resource"
)

// TestKindsOnThisHost applies every kind that needs no network to the host it
// runs on, step by step as an operator changes his mind. It is compiled (go test
// -c, CGO_ENABLED=0), copied to a lab host and run there with
// SALVOR_CHANGE_THIS_HOST=yes.
func TestKindsOnThisHost(t *testing.T) {
	if os.Getenv("SALVOR_CHANGE_THIS_HOST") != "yes" {
		t.Skip("it changes the host it runs on: set SALVOR_CHANGE_THIS_HOST=yes on a lab host")
	}
	const unit = "/etc/systemd/system/try.service"
	service := func(seconds string) []byte {
		return []byte("[Service]\nExecStart=/bin/sleep " + seconds + "\n[Install]\nWantedBy=multi-user.target\n")
	}
	keys := map[string]json.RawMessage{"list": json.RawMessage(`["x"]`)}
	run := resource.Unit{Name: "try.service", Boot: resource.Enabled, Run: resource.Running, RestartOn: []string{"/etc/try/try.conf"}}
	steps := []struct {
		name      string
		resources []converge.Resource
		right     bool // nothing to do
	}{
		{name: "from nothing", resources: []converge.Resource{
			resource.Group{Name: "trygroup", System: true},
			resource.User{Name: "try", System: true, Home: "/etc/try", Shell: "/usr/sbin/nologin", Groups: []string{"trygroup"}},
			resource.Directory{Path: "/etc/try", Mode: 0o750, Owner: "try", Group: "trygroup"},
			resource.File{Path: "/etc/try/try.conf", Content: []byte("one\n"), Mode: 0o640, Owner: "try", Group: "trygroup"},
			resource.File{Path: unit, Content: service("1000001"), Mode: 0o644},
			run,
			resource.JSONFile{Path: "/etc/try/x.json", Keys: keys, Mode: 0o600},
			resource.Sysctl{Key: "net.ipv4.conf.all.log_martians", Value: "1"},
			resource.Directory{Path: "/mnt/try", Mode: 0o755},
			resource.Mount{What: "tmpfs", Where: "/mnt/try/my-mount", Type: "tmpfs", Options: "size=1m"},
			resource.Command{Name: "touch", Guard: []string{"test", "-e", "/etc/try/touched"}, Argv: []string{"touch", "/etc/try/touched"}, Cause: "is not touched", Needs: []string{"directory /etc/try"}},
		}},
		{name: "a new configuration", resources: []converge.Resource{resource.File{Path: "/etc/try/try.conf", Content: []byte("two\n"), Mode: 0o600}, run}},
		{name: "a new unit file", resources: []converge.Resource{resource.File{Path: unit, Content: service("1000002"), Mode: 0o644}, run}},
		{name: "other mount options", resources: []converge.Resource{resource.Mount{What: "tmpfs", Where: "/mnt/try/my-mount", Type: "tmpfs", Options: "size=2m"}}},
		{name: "masked", resources: []converge.Resource{resource.Unit{Name: "systemd-pstore.service", Boot: resource.Masked, Run: resource.Stopped}}},
		{name: "unmasked again", resources: []converge.Resource{resource.Unit{Name: "systemd-pstore.service", Boot: resource.Enabled}}},
		{name: "a condition that does not hold here", resources: []converge.Resource{resource.Unit{Name: "systemd-pstore.service", Run: resource.Running}}, right: true},
		{name: "stopped", resources: []converge.Resource{resource.Unit{Name: "try.service", Boot: resource.Disabled, Run: resource.Stopped}}},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			p, err := converge.NewPlan(t.Context(), local.Machine{}, step.resources)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("plan:\n%s", p)
			if p.Empty() != step.right {
				t.Errorf("nothing to do: %t, want %t", p.Empty(), step.right)
			}
			if _, err := p.Apply(t.Context(), progress.Scope{Sink: progress.Discard()}); err != nil {
				t.Fatal(err)
			}
			again, err := converge.NewPlan(t.Context(), local.Machine{}, step.resources)
			if err != nil {
				t.Fatal(err)
			}
			if !again.Empty() {
				t.Errorf("there is a plan after apply:\n%s", again)
			}
		})
	}
}
