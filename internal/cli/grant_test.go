package cli

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/app"
	"salvor/internal/checkout"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/machine/sshtest"
	"salvor/internal/progress"
)

// TestS06YesConfirmsNoGrant: without a terminal a grant is confirmed by its name alone.
func TestS06YesConfirmsNoGrant(t *testing.T) {
	eve := []grant.Grant{grant.Operator("eve", "age1e")}
	for name, c := range map[string]struct {
		named     []string
		confirmed bool
	}{"yes": {nil, false}, "another name": {[]string{"operator/olga"}, false}, "its name": {[]string{"operator/olga", "operator/eve"}, true}} {
		g := &globals{prompts: prompts{yes: true, grants: c.named}}
		err := g.confirmGrants(eve)
		if code, _ := fault.Code(err); (err == nil) != c.confirmed || !c.confirmed && (code != fault.Usage || !strings.Contains(fault.Hint(err), "--grant NAME")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestS06GrantsAreAskedWithYesToo: at a terminal each name is a question, with --yes as well.
func TestS06GrantsAreAskedWithYesToo(t *testing.T) {
	g, screen, _ := onTerminal(t)
	g.yes = true
	ended := make(chan error)
	go func() { ended <- g.confirmGrants([]grant.Grant{grant.Operator("eve", "age1e")}) }()
	screen.await(t, "eve can open everything from now on, with the key age1e")
	screen.await(t, "[y/N] ")
	screen.send(t, "n\n")
	if err := <-ended; err == nil {
		t.Error("no confirmed it")
	}
}

// TestS17YesTrustsNoKey: `salvor --yes host add` pinned whatever key answered.
func TestS17YesTrustsNoKey(t *testing.T) {
	server := sshtest.Start(t)
	dir := filepath.Join(t.TempDir(), "fleet")
	if out, err := exec.CommandContext(t.Context(), "git", "init", "--quiet", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "fleet.yaml"), []byte("schema: 1\nfleet: home\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := app.Open(t.Context(), app.Options{Dir: dir, Files: checkout.WorkTree, Sink: progress.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	g := &globals{prompts: prompts{yes: true, output: output{Console: Console{Err: io.Discard}}}}
	h := fleet.Host{Name: "twin", Address: "127.0.0.1", Port: server.Port, User: "root"}
	_, err = g.trust(t.Context(), a, h, "", "--host-key")
	if code, _ := fault.Code(err); code != fault.Usage || !strings.Contains(fault.Hint(err), "--host-key") {
		t.Errorf("a key that nobody compared: %v", err)
	}
	shown, err := a.Reach.ScanHost(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.trust(t.Context(), a, h, shown.Fingerprint, "--host-key"); err != nil {
		t.Error(err)
	}
}
