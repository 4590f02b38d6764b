// Package blobtest holds an in-memory blob.Store and the conformance suite that
// every Store passes.
package blobtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"salvor/internal/blob"
)

// Memory is a blob.Store in memory. Its zero value is ready for use.
type Memory struct {
	mu      sync.Mutex // guards everything below
	objects map[string][]byte
	// Fail, when set, is asked before each call ("put", "get", "stat", "list",
	// "delete") and its error returned.
	Fail func(op, path string) error
}

var _ blob.Store = (*Memory)(nil)

func (m *Memory) before(ctx context.Context, op, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if op != "list" && !blob.ValidPath(path) || op == "list" && path != "" && !blob.ValidPath(path) {
		return fmt.Errorf("%s: %q is not a path below the folder", op, path)
	}
	if m.Fail != nil {
		return m.Fail(op, path)
	}
	return nil
}

// Put implements blob.Store.
func (m *Memory) Put(ctx context.Context, path string, content io.Reader, size int64) (blob.Proof, error) {
	if err := m.before(ctx, "put", path); err != nil {
		return blob.Proof{}, err
	}
	data, err := io.ReadAll(&untilEnded{ctx: ctx, source: content})
	if err != nil {
		return blob.Proof{}, err
	}
	if int64(len(data)) != size {
		return blob.Proof{}, fmt.Errorf("%s: %d bytes instead of %d", path, len(data), size)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects == nil {
		m.objects = map[string][]byte{}
	}
	m.objects[path] = data
	return blob.Proof{Size: size, By: "read back"}, nil
}

// Get implements blob.Store.
func (m *Memory) Get(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error) {
	if err := m.before(ctx, "get", path); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.objects[path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, blob.ErrNotExist)
	}
	data = data[min(offset, int64(len(data))):]
	if length >= 0 {
		data = data[:min(length, int64(len(data)))]
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// Stat implements blob.Store.
func (m *Memory) Stat(ctx context.Context, path string) (blob.Object, error) {
	if err := m.before(ctx, "stat", path); err != nil {
		return blob.Object{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.objects[path]
	if !ok {
		return blob.Object{}, fmt.Errorf("%s: %w", path, blob.ErrNotExist)
	}
	return blob.Object{Path: path, Size: int64(len(data))}, nil
}

// List implements blob.Store.
func (m *Memory) List(ctx context.Context, dir string) ([]blob.Object, error) {
	if err := m.before(ctx, "list", dir); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []blob.Object
	for path, data := range m.objects {
		if rest, ok := below(path, dir); ok {
			found = append(found, blob.Object{Path: rest, Size: int64(len(data))})
		}
	}
	slices.SortFunc(found, func(a, b blob.Object) int { return strings.Compare(a.Path, b.Path) })
	return found, nil
}

// untilEnded fails once its context has ended.
type untilEnded struct {
	ctx    context.Context // of the Put that made it
	source io.Reader
}

func (r *untilEnded) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.source.Read(p)
}

func below(path, dir string) (string, bool) {
	if dir == "" {
		return path, true
	}
	return strings.CutPrefix(path, dir+"/")
}

// Delete implements blob.Store.
func (m *Memory) Delete(ctx context.Context, path string) error {
	if err := m.before(ctx, "delete", path); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[path]; !ok {
		return fmt.Errorf("%s: %w", path, blob.ErrNotExist)
	}
	delete(m.objects, path)
	return nil
}
