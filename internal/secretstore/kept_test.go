package secretstore

import (
	"strings"
	"testing"

	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secret/command"
	"salvor/internal/secretnames"
)

// TestS06WhatOpensTheFleetIsKept has the passwords of vaults and identities of people
// and hosts delivered, by their names, under others, and in files and variables.
func TestS06WhatOpensTheFleetIsKept(t *testing.T) {
	s, files := newVaultStore(t)
	host, stranger := mustKey(t), mustKey(t)
	s.opts.Kept.Identities = []string{host.Recipient}
	files["secrets/copied"] = files["secrets/vault_prod"] // anyone who can push can copy what they can't read
	for name, value := range map[string]string{
		"host_key": "# created\n" + string(host.Secret.Reveal()) + "\n", "app_key": string(stranger.Secret.Reveal()), "token": canary,
		"notes/COPY": "of production", "notes/TOKEN": canary,
	} {
		commit(t, files)(s.Writer().Set(t.Context(), name, secret.NewString(value)))
	}
	for name, kept := range map[string]bool{
		"vault_password": true, "copied": true, "host_key": true, "notes/COPY": true,
		"app_key": false, "token": false, "notes/TOKEN": false,
	} {
		_, err := s.Deliver(t.Context(), name)
		if stack, key, isVariable := strings.Cut(name, "/"); isVariable {
			_, err = s.DeliverEnv(t.Context(), stack, key)
		} else if _, fileErr := s.DeliverFile(t.Context(), "secrets/"+name); (fileErr != nil) != (err != nil) {
			t.Errorf("%s: as a file %v, by its name %v", name, fileErr, err)
		}
		if (err != nil) != kept || err != nil && !strings.Contains(err.Error(), "stays with the operators") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestS06AProgramIsKeptUnderEveryName has two secrets that one program prints.
func TestS06AProgramIsKeptUnderEveryName(t *testing.T) {
	argv := []string{"pass", "show", "vault"}
	s := New(Options{
		Vaults:  map[string]secret.Setting{"default": secret.ParseSetting("secret:vault_password")},
		Secrets: []fleet.Secret{{Name: "vault_password", Command: argv}, {Name: "innocent", Command: argv}, {Name: "other", Command: []string{"pass", "show", "other"}}},
		Run:     command.Options{},
	})
	for name, kept := range map[string]bool{"vault_password": true, "innocent": true, "other": false, secretnames.SSHKey: true, secretnames.SignKey: true} {
		if err := s.Deliverable(name); (err != nil) != kept {
			t.Errorf("%s: %v", name, err)
		}
	}
}
