package reach

import (
	"os"
	"path/filepath"
	"testing"
)

// TestTheKeyThatAHostTookIsRemembered by the next command, in this clone.
func TestTheKeyThatAHostTookIsRemembered(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys.json")
	l := lastKeys{file: file}
	if l.of("192.0.2.10") != "" {
		t.Error("a key before any")
	}
	l.note("192.0.2.10", "ssh-ed25519 AAAA")
	l.note("192.0.2.10", "ssh-ed25519 BBBB")
	next := lastKeys{file: file}
	if got := next.of("192.0.2.10"); got != "ssh-ed25519 BBBB" || next.of("192.0.2.11") != "" {
		t.Errorf("remembered %q", got)
	}
	if err := os.WriteFile(file, []byte("null"), 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := lastKeys{file: file}
	damaged.note("192.0.2.10", "ssh-ed25519 CCCC")
	if got := damaged.of("192.0.2.10"); got != "ssh-ed25519 CCCC" {
		t.Errorf("after damage: %q", got)
	}
	nowhere := lastKeys{}
	nowhere.note("a", "k")
	if nowhere.of("a") != "k" {
		t.Error("without a file, it is forgotten")
	}
}
