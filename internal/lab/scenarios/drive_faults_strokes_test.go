package scenarios

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"salvor/internal/mount"
	"salvor/internal/storage/drivetest"
)

// A stroke is one thing that goes wrong, and for how long at most.
type stroke struct {
	name string
	do   func(d *troubledDrive, ctx context.Context)
}

// strokes are all of them.
func strokes() []stroke {
	all := []stroke{
		{"mounter killed", (*troubledDrive).killed},
		{"mounter killed", (*troubledDrive).killed},
		{"process tree killed", (*troubledDrive).treeKilled},
		{"cache disk full", (*troubledDrive).diskFull},
		{"token revoked", (*troubledDrive).revoked},
		{"claim not confirmed", (*troubledDrive).unconfirmed},
	}
	for name, fault := range map[string]drivetest.Fault{
		"403 user rate":       drivetest.Refuse(drivetest.ErrUserRateLimit),
		"403 rate":            drivetest.Refuse(drivetest.ErrRateLimit),
		"429":                 drivetest.Refuse(drivetest.ErrTooMany),
		"500":                 drivetest.Refuse(drivetest.ErrBackend),
		"503":                 drivetest.Refuse(drivetest.ErrUnavailable),
		"503 after the deed":  drivetest.RefuseLate(drivetest.ErrUnavailable),
		"quota full":          drivetest.Refuse(drivetest.ErrStorageFull),
		"cut in the request":  drivetest.CutRequest(),
		"cut in the answer":   drivetest.CutAnswer(),
		"slow":                drivetest.Slow(20 * time.Millisecond),
		"upload limit of 24h": drivetest.Refuse(drivetest.ErrDailyUpload),
	} {
		all = append(all, stroke{name, func(d *troubledDrive, ctx context.Context) {
			d.drive.Fail(drivetest.Rule{Fault: fault, Chance: 0.3})
			d.lasts(ctx, 4*time.Second)
			d.drive.Mend()
		}})
	}
	return append(all, stroke{"late listings", func(d *troubledDrive, _ context.Context) { d.drive.ListLate(d.Rand.IntN(4)) }})
}

// strike draws what goes wrong next, and waits a moment after it.
func (d *troubledDrive) strike(ctx context.Context) {
	all := strokes()
	s := all[d.Rand.IntN(len(all))]
	d.Count("times "+s.name, 1)
	d.t.Logf("%s %s", time.Now().Format("15:04:05.000"), s.name)
	s.do(d, ctx)
	d.lasts(ctx, 2*time.Second)
}

// lasts waits for a random time, limit at most.
func (d *troubledDrive) lasts(ctx context.Context, limit time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(d.Rand.Int64N(int64(limit)))):
	}
}

func (d *troubledDrive) killed(ctx context.Context) {
	d.kill()
	d.lasts(ctx, time.Second)
	d.start()
}

// kill ends the writing host's mounter.
func (d *troubledDrive) kill() {
	d.mounted.kill()
	d.served += time.Since(d.since)
}

func (d *troubledDrive) treeKilled(ctx context.Context) {
	d.kill()
	d.reading.kill()
	d.lasts(ctx, 3*time.Second)
	d.start()
	d.startReader()
}

func (d *troubledDrive) diskFull(ctx context.Context) {
	ballast := filepath.Join(d.disk, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		d.t.Error(err)
		return
	}
	for size := int64(0); ; size += 1 << 20 {
		if unix.Fallocate(int(f.Fd()), 0, size, 1<<20) != nil {
			break
		}
	}
	_ = f.Close()
	d.lasts(ctx, 5*time.Second)
	if err := os.Remove(ballast); err != nil {
		d.t.Error(err)
	}
}

// revoked ends the grant; after a while there is a new one, as salvor remote renew gives it.
func (d *troubledDrive) revoked(ctx context.Context) {
	d.drive.RevokeAll(driveOwner)
	d.lasts(ctx, 5*time.Second)
	d.job.Token = d.grant()
	d.treeKilled(ctx)
}

// unconfirmed has the daemon lose its claim for a while.
func (d *troubledDrive) unconfirmed(ctx context.Context) {
	d.mu.Lock()
	d.absent = true
	before := time.Now().Add(-2 * mount.ConfirmedFor)
	if err := os.Chtimes(d.job.Stamp, before, before); err != nil {
		d.t.Error(err)
	}
	d.mu.Unlock()
	d.lasts(ctx, 8*time.Second)
	d.mu.Lock()
	d.absent = false
	d.mu.Unlock()
}
