package snapshot

import (
	"testing"

	"salvor/internal/fleet"
)

// TestNativeMethodsAreKnown: what is declared as native has a method here, and a form of
// its own that leads back to it.
func TestNativeMethodsAreKnown(t *testing.T) {
	for _, m := range []fleet.Method{fleet.Pause, fleet.Live, fleet.Postgres, fleet.MariaDB, ""} {
		n, known := Volume{Method: m}.native()
		if known != m.Native() {
			t.Errorf("%q is native: %v, has a method: %v", m, m.Native(), known)
		}
		if back, dump := n.form.native(); dump != known || known && back.Name() != n.Name() {
			t.Errorf("%q: the form %q leads to another method", m, n.form)
		}
	}
	if Files.IsDump() || Form("unheard-of").IsDump() || !PostgresDump.IsDump() || !MariaDBDump.IsDump() {
		t.Error("files are a dump, or a dump is none")
	}
}
