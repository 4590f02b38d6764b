package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/machine"
)

func TestForeground(t *testing.T) {
	t.Setenv("GIVEN", "yes")
	var out strings.Builder
	if err := Foreground(t.Context(), []string{"sh", "-c", `echo "$GIVEN $1"; cat`, "sh", "two words"}, strings.NewReader("typed"), &out, &out); err != nil || out.String() != "yes two words\ntyped" {
		t.Errorf("printed %q, %v", out.String(), err)
	}
	var exit *machine.ExitError
	if err := Foreground(t.Context(), []string{"sh", "-c", "exit 7"}, nil, nil, nil); !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("= %v, want exit 7", err)
	}
	if err := Foreground(t.Context(), []string{"no-such-program"}, nil, nil, nil); !errors.As(err, &exit) || exit.Code != exitNotFound {
		t.Errorf("= %v, want exit %d", err, exitNotFound)
	}
}

func TestForegroundEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	pipe := filepath.Join(t.TempDir(), "started")
	ended := make(chan error, 1)
	started, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		ended <- Foreground(ctx, []string{"sh", "-c", `trap 'echo ended >"$1"; exit 1' TERM; echo started; while :; do sleep 1; done`, "sh", pipe}, nil, w, nil)
	}()
	if _, err := started.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("= %v, want context.Canceled", err)
	}
	if said, err := os.ReadFile(pipe); err != nil || string(said) != "ended\n" {
		t.Errorf("it was not asked to end: %q, %v", said, err)
	}
}
