package ssh

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"salvor/internal/machine"
	"salvor/internal/machine/local"
	"salvor/internal/machine/sshtest"
	"salvor/internal/secret"
)

// TestAClientTrustsThePinnedKey, and gets the fleet's key from memory, opened only for
// a host that is trusted and takes it.
func TestAClientTrustsThePinnedKey(t *testing.T) {
	server := sshtest.Start(t)
	if local.Find("ssh") == "" {
		sshtest.Missing(t, "no ssh: apt install openssh-client")
	}
	private, err := os.ReadFile(server.UserKey)
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(server.UserKey + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir())
	for name, c := range map[string]struct {
		pinned string
		locked error
		code   int
		opened int
		out    string
	}{
		"the pinned key":        {pinned: server.HostKey, opened: 1, out: "hello\n", code: 3},
		"another key is pinned": {pinned: strings.TrimSpace(string(public)), code: 255},
		"no key is pinned":      {code: 255},
		"it can't be opened":    {pinned: server.HostKey, locked: errors.New("wrong passphrase"), opened: 1, code: 255},
	} {
		t.Run(name, func(t *testing.T) {
			opened := 0
			o := Options{Name: "alpha", Address: "127.0.0.1", Port: server.Port}
			if c.pinned != "" {
				o.Keys = []PublicKey{PublicKey(c.pinned)}
			}
			o.Auth.Kept = []KeptKey{{Public: PublicKey(strings.TrimSpace(string(public))), Open: func(context.Context) (secret.Value, error) {
				opened++
				return secret.New(private), c.locked
			}}}
			client, err := NewClient(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			var out, errs bytes.Buffer
			err = local.Foreground(t.Context(), append(client.Argv, "--", "echo hello; exit 3"), nil, &out, &errs)
			exit, ended := errors.AsType[*machine.ExitError](err)
			if !ended || exit.Code != c.code || out.String() != c.out || opened != c.opened {
				t.Errorf("%v, %q, opened %d times\n%s", err, out.String(), opened, errs.String())
			}
			if got := client.Err(); (got == nil) != (c.locked == nil) {
				t.Errorf("it says %v", got)
			}
			client.Close()
			if _, err := os.Stat(client.Argv[2]); err == nil {
				t.Error("its configuration is still there")
			}
		})
	}
}

// TestAClientsConfigurationHasNothingElse: what comes from fleet.yaml can't add a line.
func TestAClientsConfigurationHasNothingElse(t *testing.T) {
	o := Options{Name: "alpha", Address: "192.0.2.1", User: "ops", Port: 2222, Keys: []PublicKey{"ssh-ed25519 AAAA"},
		Jump: &Options{Address: "bastion", Keys: []PublicKey{"ssh-ed25519 BBBB"}}}
	config, known, err := o.config("/tmp/%x/known_hosts", "/tmp/agent")
	if err != nil || known != "jump.salvor ssh-ed25519 BBBB\nalpha ssh-ed25519 AAAA\n" {
		t.Errorf("%q, %v", known, err)
	}
	for _, line := range []string{"Host alpha", `  HostName "192.0.2.1"`, `  Port "2222"`, `  User "ops"`, `  ProxyJump "jump.salvor"`, "Host jump.salvor",
		`  HostName "bastion"`, `  UserKnownHostsFile "/tmp/%%x/known_hosts"`, `  StrictHostKeyChecking "yes"`} {
		if !strings.Contains(config, line+"\n") {
			t.Errorf("%q is not in\n%s", line, config)
		}
	}
	for _, user := range []string{"ops\"\n  ProxyCommand \"sh", "ops\nLocalCommand x", `a\b`} {
		o.User = user
		if _, _, err := o.config("", ""); err == nil {
			t.Errorf("%q was written", user)
		}
	}
}
