package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"time"
)

// speedSize is large enough that the time of a request hardly counts, and small enough for
// a slow line.
const speedSize = 4 << 20

// A Speed is how fast one object went to a remote and came back, in bytes a second.
type Speed struct{ Up, Down int64 }

// Measure stores an object of 4 MiB under a name of its own, reads it and deletes it. The
// folder must let it delete: see Probe.
func (f *Folder) Measure(ctx context.Context) (s Speed, err error) {
	name, content := "salvor-speed-"+strings.ToLower(rand.Text()[:10]), make([]byte, speedSize)
	if _, err := rand.Read(content); err != nil {
		return s, err
	}
	began := time.Now()
	if _, err := f.Put(ctx, name, bytes.NewReader(content), speedSize); err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, f.Delete(context.WithoutCancel(ctx), name)) }()
	s.Up = perSecond(time.Since(began))
	began = time.Now()
	body, err := f.Get(ctx, name, 0, -1)
	if err != nil {
		return s, err
	}
	_, err = io.Copy(io.Discard, body)
	s.Down = perSecond(time.Since(began))
	return s, errors.Join(err, body.Close())
}

func perSecond(took time.Duration) int64 {
	return int64(speedSize / max(took.Seconds(), time.Microsecond.Seconds()))
}
