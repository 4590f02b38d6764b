package app

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/secretnames"
)

// TestS06CheckNamesWhereTheFleetsKeysWouldGo: the file and the line of what may not be
// delivered, before anything is.
func TestS06CheckNamesWhereTheFleetsKeysWouldGo(t *testing.T) {
	k := newKeyed(t)
	k.do(func(a *App) error { _, err := a.Keys.PrepareSSHKey().Run(t.Context(), nil); return err })
	content, err := os.ReadFile(filepath.Join(k.dir, fleet.File))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(content), "  disk: {type: local}\n", "  disk: {type: local}\n  nas: {type: webdav, url: \"https://nas\", pass: secret:fleet_ssh_key}\n", 1) +
		"vaults: {work: secret:box_password, home: secret:notes/DB}\nregistries:\n  ghcr.io: {username: secret:fleet_sign_key, password: secret:fleet_ssh_key}\n"
	const service = "services:\n  web:\n    image: nginx\n    secrets: [innocent]\nsecrets:\n  innocent: "
	k.commit(map[string][]byte{
		fleet.File:                  []byte(text),
		"stacks/name/compose.yaml":  []byte(service + "{external: true, name: fleet_ssh_key}\n"),
		"stacks/file/compose.yaml":  []byte(service + "{file: ../../secrets/fleet_sign_key}\n"),
		"stacks/vault/compose.yaml": []byte(service + "{external: true, name: box_password}\n"),
		"stacks/build/compose.yaml": []byte("services:\n  web:\n    build: {dockerfile_inline: FROM scratch, secrets: [innocent]}\nsecrets:\n  innocent: {external: true, name: fleet_ssh_key}\n"),
	})
	found := k.open(k.ann).Findings()
	line := func(text, with string) string {
		return fmt.Sprintf("%s:%d:", fleet.File, strings.Count(text[:strings.Index(text, with)], "\n")+1)
	}
	for _, subject := range []string{
		"stacks/name/compose.yaml:6:3", "stacks/file/compose.yaml:6:3", "stacks/vault/compose.yaml:6:3", "stacks/build/compose.yaml:5:3", "stacks/notes/compose.yaml:6:",
		line(text, "nas: {"), line(text, "ghcr.io: {"),
	} {
		if !slices.ContainsFunc(found, func(f finding.Finding) bool {
			return f.Severity == finding.Fatal && strings.HasPrefix(f.Subject, subject) && strings.Contains(f.Text, "stays with the operators") && f.Fix != ""
		}) {
			t.Errorf("check does not name %s: %v", subject, found)
		}
	}
}

// TestS06SigningKeysAreDeliveredNowhere whatever their names in Git.
func TestS06SigningKeysAreDeliveredNowhere(t *testing.T) {
	k := newKeyed(t)
	a := k.open(k.ann)
	content, err := a.Needs.File("secrets/" + secretnames.SignKey)
	if err != nil {
		t.Fatal(err)
	}
	over := a.Needs.Over(map[string][]byte{"secrets/innocent": content})
	if _, err := over.Store().DeliverFile(t.Context(), "secrets/innocent"); err == nil || !strings.Contains(err.Error(), "stays with the operators") {
		t.Errorf("delivered: %v", err)
	}
}
