package controlrepo

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
	"salvor/internal/secret"
)

func TestEditFleet(t *testing.T) {
	const fleetFile = `# my fleet
fleet: home
hosts: # all of them
  # the first
  alpha: {address: 192.0.2.10} # old box

remotes:
  drive:
    type: drive   # Google
    token: secret:old

recipients:
  operators: {}
`
	got := []byte(fleetFile)
	edits := []func([]byte) ([]byte, error){
		func(b []byte) ([]byte, error) {
			return AddHost(b, fleet.Host{Name: "beta", Address: "2001:db8::1", User: "ops", Port: 2222})
		},
		func(b []byte) ([]byte, error) {
			return AddHost(b, fleet.Host{Name: "alpha", Address: "192.0.2.11", User: "root"})
		},
		func(b []byte) ([]byte, error) { return AddRecipient(b, "ann", testRecipient) },
		func(b []byte) ([]byte, error) { return SetRecovery(b, testRecipient) },
		func(b []byte) ([]byte, error) {
			return SetRemote(b, fleet.Remote{Name: "drive", Type: "drive", Options: map[string]secret.Setting{"token": secret.ParseSetting("secret:new"), "chunk_size": secret.ParseSetting("64")}})
		},
		func(b []byte) ([]byte, error) {
			return SetRemote(b, fleet.Remote{Name: "enc", Type: "crypt", Options: map[string]secret.Setting{"remote": secret.ParseSetting("drive:x # y")}})
		},
	}
	for _, edit := range edits {
		var err error
		if got, err = edit(got); err != nil {
			t.Fatal(err)
		}
	}
	want := `# my fleet
fleet: home
hosts: # all of them
  # the first
  alpha: {address: 192.0.2.11, user: root} # old box
  beta: {address: 2001:db8::1, user: ops, port: 2222}

remotes:
  drive:
    type: drive   # Google
    token: secret:new
    chunk_size: "64"
  enc: {type: crypt, remote: "drive:x # y"}

recipients:
  operators:
    ann: ` + testRecipient + `
  recovery: ` + testRecipient + `
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTheAreasOfAHost are written for a new host alone: what a file says of a declared one stays.
func TestTheAreasOfAHost(t *testing.T) {
	const in = "hosts:\n  alpha: {address: 192.0.2.10, manage: [time]} # mine\n"
	for name, test := range map[string]struct {
		areas fleet.Areas
		host  string
		want  string
	}{
		"new, every one":  {fleet.EveryArea(), "beta", in + "  beta: {address: 192.0.2.11, user: root, manage: [docker, time]}\n"},
		"new, none":       {fleet.Areas{}, "beta", in + "  beta: {address: 192.0.2.11, user: root, manage: []}\n"},
		"new, not looked": {nil, "beta", in + "  beta: {address: 192.0.2.11, user: root}\n"},
		"declared":        {fleet.Areas{}, "alpha", "hosts:\n  alpha: {address: 192.0.2.11, manage: [time], user: root} # mine\n"},
	} {
		got, err := AddHost([]byte(in), fleet.Host{Name: test.host, Address: "192.0.2.11", User: "root", Manage: test.areas})
		if diff := cmp.Diff(test.want, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestAddArea(t *testing.T) {
	for in, want := range map[string]string{
		"hosts:\n  alpha: {address: a, manage: []} # mine\n":                          "hosts:\n  alpha: {address: a, manage: [docker]} # mine\n",
		"hosts:\n  alpha: {address: a, manage: [time]} # mine\n":                      "hosts:\n  alpha: {address: a, manage: [time, docker]} # mine\n",
		"hosts:\n  alpha:\n    manage:\n      - time # ours\n    address: a # mine\n": "hosts:\n  alpha:\n    manage:\n      - time # ours\n      - docker\n    address: a # mine\n",
	} {
		got, err := AddArea([]byte(in), "alpha", fleet.AreaDocker)
		if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", in, err, diff)
		}
	}
}

func TestSetRevision(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"absent":  {"secrets:\n  # from the safe\n  nas: {command: [op, read, \"op://a/b\"]} # mine\nvars: {}\n", "secrets:\n  # from the safe\n  nas: {command: [op, read, \"op://a/b\"], revision: 2} # mine\nvars: {}\n"},
		"raised":  {"secrets:\n  nas:\n    revision: 1 # of many\n    command: [pass, nas]\n", "secrets:\n  nas:\n    revision: 2 # of many\n    command: [pass, nas]\n"},
		"list":    {"secrets:\n  nas:\n    command:\n    - pass\n    - nas # here\n\n# end\n", "secrets:\n  nas:\n    command:\n    - pass\n    - nas # here\n    revision: 2\n\n# end\n"},
		"slashes": {"secrets: {nas: {command: [a]}, notes/DB: {command: [b]}}\n", "secrets: {nas: {command: [a], revision: 2}, notes/DB: {command: [b]}}\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := SetRevision([]byte(test.in), "nas", 2)
			if diff := cmp.Diff(test.want, string(got)); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestEditsOfWhatInitWrites(t *testing.T) {
	files, _, err := Beginning{Name: "home"}.Commit()
	if err != nil {
		t.Fatal(err)
	}
	got, err := AddHost(files[fleet.File], fleet.Host{Name: "alpha", Address: "192.0.2.10", User: "root"})
	if err != nil || !strings.Contains(string(got), "\nhosts:\n  alpha: {address: 192.0.2.10, user: root}\n#  alpha") {
		t.Errorf("AddHost: %v\n%s", err, got)
	}
	placed, err := SetStackHost(files["stacks/hello/compose.yaml"], "alpha")
	if err != nil || !strings.Contains(string(placed), "external, none\n  host: alpha\n") {
		t.Errorf("SetStackHost: %v\n%s", err, placed)
	}
}

// TestSetStackHost: package yamldoc says how files are edited, and when not.
func TestSetStackHost(t *testing.T) {
	got, err := SetStackHost([]byte("# mine\nx-salvor: {rpo: 5m, host: alpha} # here\n"), "beta")
	if want := "# mine\nx-salvor: {rpo: 5m, host: beta} # here\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}
