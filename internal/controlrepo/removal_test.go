package controlrepo

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"filippo.io/age/plugin"
	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
	"salvor/internal/yamldoc"
)

func TestRemoveHost(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"between others":   {"hosts: # all\n  # first\n  alpha: {address: a}\n  beta: {address: b} # mine\n  # third\n  gamma: {address: c}\nfleet: home\n", "hosts: # all\n  # first\n  alpha: {address: a}\n  # third\n  gamma: {address: c}\nfleet: home\n"},
		"the last of many": {"hosts:\n  alpha: {address: a}\n  beta:\n    address: b\n    # inside\n    port: 2222\n\n# end\nfleet: home\n", "hosts:\n  alpha: {address: a}\n\n# end\nfleet: home\n"},
		"the only one":     {"hosts: # all\n  beta:\n    address: b\nfleet: home\n", "hosts: {} # all\nfleet: home\n"},
		"end of the file":  {"fleet: home\nhosts:\n  beta: {address: b}", "fleet: home\nhosts: {}\n"},
		"crlf":             {"hosts:\r\n  beta: {address: b}\r\n  c: {address: c}\r\n", "hosts:\r\n  c: {address: c}\r\n"},
		"flow, first":      {"hosts: {beta: {address: b}, c: {address: 'x,y'}} # all\n", "hosts: {c: {address: 'x,y'}} # all\n"},
		"flow, last":       {"hosts: {c: {address: 'x,y'}, beta: {address: b} } # all\n", "hosts: {c: {address: 'x,y'} } # all\n"},
		"flow, only":       {"hosts: { beta: {address: b} }\n", "hosts: {}\n"},
		"flow over lines":  {"hosts: {\n  c: {address: c}, # one\n  beta: {address: b}, # two\n  d: {address: d} # three\n}\n", "hosts: {\n  c: {address: c}, # one\n  d: {address: d} # three\n}\n"},
		"flow, last line":  {"hosts: {\n  c: {address: c}, # one\n  beta: {address: b} # two\n}\n", "hosts: {\n  c: {address: c}, # one\n}\n"},
		"quoted":           {"hosts:\n  \"beta\": {address: b}\n  c: {address: c}\n", "hosts:\n  c: {address: c}\n"},
		"not there":        {"hosts:\n  c: {address: c}\n", "hosts:\n  c: {address: c}\n"},
		"no hosts":         {"fleet: home\n", "fleet: home\n"},
		"elsewhere too":    {"remotes:\n  beta: {type: local}\nhosts:\n  beta: {address: b}\n  c: {address: c}\n", "remotes:\n  beta: {type: local}\nhosts:\n  c: {address: c}\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := RemoveHost([]byte(test.in), "beta")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRemoveRecipient(t *testing.T) {
	const in = "recipients:\n  operators:\n    ann: age1a # hers\n    bob: age1b # his\n  recovery: age1r\n"
	got, err := RemoveRecipient([]byte(in), "bob")
	if want := "recipients:\n  operators:\n    ann: age1a # hers\n  recovery: age1r\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOperatorsMayHavePlugins(t *testing.T) {
	recipient := plugin.EncodeRecipient("yubikey", []byte("anything"))
	got, err := AddRecipient([]byte("fleet: home\n"), "ann", recipient)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := load(fstest.MapFS{fleet.File: {Data: got}}, "")
	if err != nil || repo.Fleet.Recipients.Operators["ann"] != recipient {
		t.Errorf("%v", err)
	}
	if _, err := SetRecovery(got, recipient); err == nil {
		t.Error("a plugin's key went onto the card")
	}
	_, err = AddRecipient(got, "bob", "AGE-PLUGIN-YUBIKEY-1QQQ")
	if err == nil || strings.Contains(err.Error(), "QQQ") {
		t.Errorf("an identity in place of a recipient: %v", err)
	}
}

func TestRemovalsThatWouldChangeMoreAreRefused(t *testing.T) {
	for name, in := range map[string]string{
		"an anchor that others use": "hosts:\n  beta: &b {address: b}\n  c: *b\n",
		"merged in":                 "x: &x\n  beta: {address: b}\nhosts:\n  <<: *x\n",
		"an alias":                  "x: &x\n  beta: {address: b}\nhosts: *x\n",
	} {
		if got, err := RemoveHost([]byte(in), "beta"); !errors.Is(err, yamldoc.ErrByHand) {
			t.Errorf("%s: %q, %v, want ErrByHand", name, got, err)
		}
	}
}

func TestRemoveHostKeys(t *testing.T) {
	const in = "# pinned\nbeta.example.net ssh-ed25519 AAAA\n[beta.example.net]:2222 ssh-ed25519 BBBB\nalpha,beta.example.net,192.0.2.1 ssh-rsa CCCC mine\n@revoked beta.example.net ssh-rsa DDDD"
	const want = "# pinned\n[beta.example.net]:2222 ssh-ed25519 BBBB\nalpha,192.0.2.1 ssh-rsa CCCC mine\n@revoked beta.example.net ssh-rsa DDDD"
	if diff := cmp.Diff(want, string(RemoveHostKeys([]byte(in), "beta.example.net"))); diff != "" {
		t.Error(diff)
	}
	if got := string(RemoveHostKeys([]byte(in), "gamma")); got != in {
		t.Errorf("a name that is not there changed %q", got)
	}
}
