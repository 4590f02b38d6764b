package mounter

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rclone/rclone/backend/local"
	"github.com/rclone/rclone/fs/config/configmap"
	"github.com/rclone/rclone/fs/object"
)

// counted is a line that counts what passes.
type counted struct{ up, down atomic.Int64 }

func (c *counted) Up(_ context.Context, in io.Reader) io.Reader {
	return io.TeeReader(in, adding{&c.up})
}

func (c *counted) Down(_ context.Context, in io.ReadCloser) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.TeeReader(in, adding{&c.down}), in}
}

type adding struct{ to *atomic.Int64 }

func (a adding) Write(p []byte) (int, error) {
	a.to.Add(int64(len(p)))
	return len(p), nil
}

// TestAMountGoesByTheLine with all that it uploads, new or changed, and reads.
func TestAMountGoesByTheLine(t *testing.T) {
	t.Parallel()
	ctx, dir, line := t.Context(), t.TempDir(), &counted{}
	remote, err := local.NewFs(ctx, "disk", dir, configmap.Simple{})
	if err != nil {
		t.Fatal(err)
	}
	h := hold("library", remote, func() bool { return true }, true)
	h.line = line
	content := func(text string) (io.Reader, *object.StaticObjectInfo) {
		return strings.NewReader(text), object.NewStaticObjectInfo("notes", time.Now(), int64(len(text)), true, nil, nil)
	}
	in, info := content("first")
	o, err := h.Put(ctx, in, info)
	if err != nil {
		t.Fatal(err)
	}
	in, info = content("second one")
	if err := o.Update(ctx, in, info); err != nil {
		t.Fatal(err)
	}
	body, err := o.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	read, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil || string(read) != "second one" {
		t.Errorf("%q, %v", read, err)
	}
	if sent, received := line.up.Load(), line.down.Load(); sent != 15 || received != 10 {
		t.Errorf("%d bytes were sent, %d received", sent, received)
	}
	if onDisk, err := os.ReadFile(filepath.Join(dir, "notes")); err != nil || string(onDisk) != "second one" {
		t.Errorf("%q, %v", onDisk, err)
	}
}
