package socketdir

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestALongTMPDIR: a socket can be made wherever temporary files are.
func TestALongTMPDIR(t *testing.T) {
	for _, deep := range []int{0, 20, 40, 60, 80, 100} {
		long := filepath.Join(t.TempDir(), strings.Repeat("x", deep))
		if err := os.MkdirAll(long, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("TMPDIR", long)
		dir, err := Make("salvor-agent-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		socket := filepath.Join(dir, strings.Repeat("n", 30))
		l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
		if err != nil {
			t.Errorf("TMPDIR of %d bytes: %v", len(long), err)
			continue
		}
		if len(socket) > Longest {
			t.Errorf("a path of %d bytes: %s", len(socket), socket)
		}
		l.Close()
	}
}
