package controlrepo

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/yamldoc"
)

func TestSetStackHost(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"plain":             {"x-salvor:\n  host: alpha # here\n  rpo: 5m\n", "x-salvor:\n  host: beta # here\n  rpo: 5m\n"},
		"single quotes":     {"x-salvor: {host: 'al''pha', rpo: 5m} # c\n", "x-salvor: {host: beta, rpo: 5m} # c\n"},
		"double quotes":     {"x-salvor:\n    host:   \"al\\\"pha\"   # c\n", "x-salvor:\n    host:   beta   # c\n"},
		"crlf":              {"# top\r\nx-salvor:\r\n  host: alpha\r\n\r\nservices: {}\r\n", "# top\r\nx-salvor:\r\n  host: beta\r\n\r\nservices: {}\r\n"},
		"no last newline":   {"services: {}\nx-salvor:\n  rpo: 5m", "services: {}\nx-salvor:\n  rpo: 5m\n  host: beta"},
		"crlf, inserted":    {"x-salvor:\r\n  rpo: 5m\r\nservices: {}\r\n", "x-salvor:\r\n  rpo: 5m\r\n  host: beta\r\nservices: {}\r\n"},
		"tab in comment":    {"x-salvor:\t# \ttabs\n  host: alpha\t# \tmore\n", "x-salvor:\t# \ttabs\n  host: beta\t# \tmore\n"},
		"comments around":   {"# a\nx-salvor: # b\n  # c\n  rpo: 5m # d\n  # e\n\n# f\nservices: {} # g\n# h\n", "# a\nx-salvor: # b\n  # c\n  rpo: 5m # d\n  host: beta\n  # e\n\n# f\nservices: {} # g\n# h\n"},
		"absent":            {"# top\nservices:\n  a: {image: x}\n# end\n", "# top\nservices:\n  a: {image: x}\nx-salvor:\n  host: beta\n# end\n"},
		"null":              {"x-salvor: # nothing yet\nservices: {}\n", "x-salvor: # nothing yet\n  host: beta\nservices: {}\n"},
		"tilde":             {"x-salvor: ~ # nothing yet\nservices: {}\n", "x-salvor: {host: beta} # nothing yet\nservices: {}\n"},
		"empty flow":        {"x-salvor: {} # c\nservices: {}\n", "x-salvor: # c\n  host: beta\nservices: {}\n"},
		"flow":              {"x-salvor: {rpo: 5m, needs: [a, 'b}'] }\n", "x-salvor: {rpo: 5m, needs: [a, 'b}'], host: beta }\n"},
		"flow over lines":   {"x-salvor: {\n  rpo: 5m, # it's } here\n}\nservices: {}\n", "x-salvor: {host: beta, \n  rpo: 5m, # it's } here\n}\nservices: {}\n"},
		"null host":         {"x-salvor:\n  host: null\n", "x-salvor:\n  host: beta\n"},
		"anchored alone":    {"x-salvor:\n  host: &h alpha\n", "x-salvor:\n  host: &h beta\n"},
		"alias":             {"x-h: &h alpha\nx-salvor:\n  host: *h # same\n", "x-h: &h alpha\nx-salvor:\n  host: beta # same\n"},
		"tagged":            {"x-salvor:\n  host: !!str alpha\n", "x-salvor:\n  host: !!str beta\n"},
		"nested last":       {"x-salvor:\n  volumes:\n    db:\n      protect: none\n    # c\n\nservices:\n", "x-salvor:\n  volumes:\n    db:\n      protect: none\n    # c\n  host: beta\n\nservices:\n"},
		"list at one depth": {"x-salvor:\n  needs:\n  - a\n  - b\nservices: {}\n", "x-salvor:\n  needs:\n  - a\n  - b\n  host: beta\nservices: {}\n"},
		"block text":        {"x-note: |\n  host: alpha\n\n  # no comment\nx-salvor: {host: alpha}\n", "x-note: |\n  host: alpha\n\n  # no comment\nx-salvor: {host: beta}\n"},
		"marks":             {"\ufeff---\nservices: {}\n...\n", "\ufeff---\nservices: {}\nx-salvor:\n  host: beta\n...\n"},
		"other script":      {"x-salvor: {dir: /опт/ü, host: alpha}\n", "x-salvor: {dir: /опт/ü, host: beta}\n"},
		"merged in":         {"x-d: &d {host: alpha}\nx-salvor:\n  <<: *d\n  rpo: 5m\n", "x-d: &d {host: alpha}\nx-salvor:\n  <<: *d\n  rpo: 5m\n  host: beta\n"},
		"already":           {"x-salvor: {host:   beta}", "x-salvor: {host:   beta}"},
		"empty file":        {"", "x-salvor:\n  host: beta\n"},
		"only comments":     {"# nothing\n", "# nothing\nx-salvor:\n  host: beta\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := SetStackHost([]byte(test.in), "beta")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEditsThatWouldChangeMoreAreRefused(t *testing.T) {
	tests := map[string]string{
		"an anchor that others use": "x-salvor: {host: &h alpha}\nx-other: *h\n",
		"a shared mapping":          "x-a: &a {rpo: 5m}\nx-salvor: *a\nx-b: *a\n",
		"a folded host":             "x-salvor:\n  host: >-\n    alpha\n",
		"a list":                    "x-salvor: [host]\n",
	}
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := SetStackHost([]byte(in), "beta"); !errors.Is(err, yamldoc.ErrByHand) {
				t.Errorf("= %q, %v, want ErrByHand", got, err)
			}
		})
	}
}

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
