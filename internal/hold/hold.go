// Package hold lets a test stop a host's work at a named step, so that power can be
// cut there or something else can happen meanwhile. On a host that is not under test
// it does nothing: there is no such file.
package hold

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"salvor/internal/hostpath"
)

// Reached is what is added to a step's name for the file that says that work
// waits there.
const Reached = ".reached"

const every = 50 * time.Millisecond

// At waits while the file of the step is there, or until ctx ends. The step's
// name is that of a file: letters, digits and dashes.
func At(ctx context.Context, step string) {
	if struck, ok := ctx.Value(key{}).(func(string)); ok {
		struck(step)
		return
	}
	Folder(hostpath.Default().Hold()).At(ctx, step)
}

type key struct{}

// With returns a context under which At calls struck with the name of each step,
// for tests without a host. Where struck ends its goroutine, what is left is what a
// killed process leaves.
func With(ctx context.Context, struck func(step string)) context.Context {
	return context.WithValue(ctx, key{}, struck)
}

// A Folder holds the files of the steps at which work waits.
type Folder string

// At is like the function At, for any folder. While it waits there is a file
// named after the step with Reached behind.
func (f Folder) At(ctx context.Context, step string) {
	file := filepath.Join(string(f), step)
	if !exists(file) {
		return
	}
	if err := os.WriteFile(file+Reached, nil, 0o600); err != nil { //nolint:forbidigo // empty, it can't be half-written
		return
	}
	defer os.Remove(file + Reached) //nolint:errcheck // the folder may be gone, too
	tick := time.NewTicker(every)
	defer tick.Stop()
	for exists(file) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}
