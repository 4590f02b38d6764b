package agent

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"salvor/internal/fault"
)

// TestWhyNothingOpens is one of the smaller faults of issue 10: a lost host.age was
// "lstat … no such file" without a hint, and a damaged seal had none either.
func TestWhyNothingOpens(t *testing.T) {
	l := newLived(t)
	damaged := l.st
	damaged.Sealed = bytes.Clone(l.st.Sealed)
	damaged.Sealed[len(damaged.Sealed)-1] ^= 1
	_, err := l.base().At(l.spec, damaged).Open()
	if err == nil || !strings.Contains(fault.Hint(err), "salvor apply seals again") {
		t.Errorf("a damaged seal: %v, hint %q", err, fault.Hint(err))
	}
	if err := os.Remove(l.Paths.Identity()); err != nil {
		t.Fatal(err)
	}
	_, err = l.base().At(l.spec, l.st).Open()
	if err == nil || !strings.Contains(err.Error(), "the identity of alpha can't be read") || !strings.Contains(fault.Hint(err), "salvor host add alpha") {
		t.Errorf("a lost identity: %v, hint %q", err, fault.Hint(err))
	}
}
