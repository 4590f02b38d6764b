package fault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestHintAndCodeSurviveWrapping(t *testing.T) {
	base := errors.New("alpha: no route")
	err := fmt.Errorf("apply: %w", WithCode(WithHint(base, "salvor doctor"), Unreachable))
	if Hint(err) != "salvor doctor" || err.Error() != "apply: alpha: no route" || !errors.Is(err, base) {
		t.Errorf("hint %q, text %q", Hint(err), err)
	}
	if code, ok := Code(err); !ok || code != Unreachable {
		t.Errorf("code %d, %v", code, ok)
	}
	if WithHint(nil, "x") != nil || WithCode(nil, 1) != nil || Hint(base) != "" {
		t.Error("nil or plain errors got something added")
	}
}

func TestWithoutPath(t *testing.T) {
	_, err := os.Open(filepath.Join(t.TempDir(), "secret-place"))
	if got := WithoutPath(fmt.Errorf("read: %w", err)); !errors.Is(got, syscall.ENOENT) || strings.Contains(got.Error(), "secret-place") {
		t.Errorf("= %v, want %v", got, syscall.ENOENT)
	}
	if other := errors.New("other"); !errors.Is(WithoutPath(other), other) || WithoutPath(nil) != nil {
		t.Error("another error is not the same")
	}
}
