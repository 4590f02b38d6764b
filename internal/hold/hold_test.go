package hold

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
)

func TestNothingIsHeldWithoutItsFile(t *testing.T) {
	dir := t.TempDir()
	touch(t, filepath.Join(dir, "another"))
	Folder(dir).At(t.Context(), "start")
	Folder(filepath.Join(dir, "missing")).At(t.Context(), "start")
	if exists(filepath.Join(dir, "start"+Reached)) {
		t.Error("a step that is not held says that it was reached")
	}
}

func TestHeldUntilTheFileIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file, done := held(t, t.Context())
		if !exists(file + Reached) {
			t.Error("nothing says that the step was reached")
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		<-done
		if exists(file + Reached) {
			t.Error("what says that the step was reached is still there")
		}
	})
}

func TestHeldUntilTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, done := held(t, ctx)
		cancel()
		<-done
	})
}

// held starts work that waits at a step, and returns the step's file.
func held(t *testing.T, ctx context.Context) (file string, done chan struct{}) {
	t.Helper()
	dir := t.TempDir()
	file, done = filepath.Join(dir, "start"), make(chan struct{})
	touch(t, file)
	go func() {
		Folder(dir).At(ctx, "start")
		close(done)
	}()
	synctest.Wait()
	select {
	case <-done:
		t.Fatal("it did not wait")
	default:
	}
	return file, done
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestStepsAreTold(t *testing.T) {
	var steps []string
	ctx := With(t.Context(), func(step string) { steps = append(steps, step) })
	At(ctx, "taken")
	At(context.WithoutCancel(ctx), "start")
	if len(steps) != 2 || steps[0] != "taken" || steps[1] != "start" {
		t.Errorf("told of %v", steps)
	}
}
