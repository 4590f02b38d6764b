package machinetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/machine"
)

var errBroken = errors.New("cut")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

func noMixture(t *testing.T, m machine.Machine) {
	name := filepath.Join(t.TempDir(), "f")
	contents := []string{strings.Repeat("a", 1<<20), strings.Repeat("b", 1<<20)}
	if err := m.WriteFile(t.Context(), name, strings.NewReader(contents[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() {
		var err error
		for i := 1; i < 6 && err == nil; i++ {
			err = m.WriteFile(t.Context(), name, strings.NewReader(contents[i%2]), 0o600)
		}
		written <- err
	}()
	for {
		select {
		case err := <-written:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != contents[0] && string(got) != contents[1] {
			t.Fatalf("a reader sees %d bytes that are neither, %v", len(got), err)
		}
	}
}

// killedWrite cancels a write when half of it is there.
func killedWrite(t *testing.T, m machine.Machine) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	if err := m.WriteFile(t.Context(), name, strings.NewReader("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	half := io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), readerFunc(func([]byte) (int, error) {
		cancel()
		return 0, ctx.Err()
	}))
	if err := m.WriteFile(ctx, name, half, 0o600); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != "old" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	await(t, "the temporary file to go", func() bool {
		entries, err := os.ReadDir(dir)
		return err == nil && len(entries) == 1
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// largeFiles are not bound by what a command's output may be.
func largeFiles(t *testing.T, m machine.Machine) {
	name := filepath.Join(t.TempDir(), "f")
	content := bytes.Repeat([]byte("0123456789abcdef"), (machine.MaxStdout+1<<20)/16)
	if err := m.WriteFile(t.Context(), name, bytes.NewReader(content), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := m.ReadFile(t.Context(), name); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes came back, %v; want %d", len(got), err, len(content))
	}
}
