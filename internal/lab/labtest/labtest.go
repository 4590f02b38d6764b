// Package labtest gives tests a lab: skipped with the reason where none can
// run, taken down at the end, with artifacts kept when the test failed.
package labtest

import (
	"context"
	"os"
	"testing"

	"salvor/internal/lab"
)

// EnvLater set to anything has the tests that need a lab wait for a run of their
// own: each is skipped with Later as the reason, by which it is found again.
const (
	EnvLater = "SALVOR_LAB_LATER"
	Later    = "this test waits for its lab"
)

// Start starts a lab for one test. Where none can run the test is skipped, or
// fails under SALVOR_LAB=require. When the test fails, artifacts are kept under
// artifacts/<run>/ of the repository.
func Start(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	Require(t)
	if o.Log == nil {
		o.Log = t.Logf
	}
	l, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the test's own context is over by now
		if t.Failed() {
			keepArtifacts(context.Background(), t, l)
		}
		if err := l.Down(context.Background()); err != nil {
			t.Errorf("take the lab down: %v", err)
		}
	})
	return l
}

// Require skips the test where no lab can run, and fails it under
// SALVOR_LAB=require.
func Require(t *testing.T) {
	t.Helper()
	if os.Getenv(EnvLater) != "" {
		t.Skip(Later)
	}
	if testing.Short() {
		t.Skip("a lab takes too long for -short")
	}
	err := lab.Available(t.Context())
	if err == nil {
		return
	}
	if os.Getenv("SALVOR_LAB") == "require" {
		t.Fatalf("SALVOR_LAB=require: %v", err)
	}
	t.Skipf("no lab here: %v", err)
}

func keepArtifacts(ctx context.Context, t *testing.T, l *lab.Lab) {
	dir, err := lab.ArtifactsFolder(ctx, l.ID)
	if err != nil {
		t.Logf("no artifacts: %v", err)
		return
	}
	if err := l.Artifacts(ctx, dir); err != nil {
		t.Logf("some artifacts are missing: %v", err)
	}
	t.Logf("artifacts: %s", dir)
}
