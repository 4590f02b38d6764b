package storage_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/blob"
	"salvor/internal/fleet"
	"salvor/internal/storage"
	"salvor/internal/storage/drivetest"
)

// driveFaults is what can become of one call and passes.
func driveFaults() map[string]drivetest.Fault {
	return map[string]drivetest.Fault{
		"403 user rate":       drivetest.Refuse(drivetest.ErrUserRateLimit),
		"403 rate":            drivetest.Refuse(drivetest.ErrRateLimit),
		"429":                 drivetest.Refuse(drivetest.ErrTooMany),
		"500":                 drivetest.Refuse(drivetest.ErrBackend),
		"502":                 drivetest.Refuse(drivetest.ErrBadGateway),
		"503":                 drivetest.Refuse(drivetest.ErrUnavailable),
		"504":                 drivetest.Refuse(drivetest.ErrGatewayTimeout),
		"503 after the deed":  drivetest.RefuseLate(drivetest.ErrUnavailable),
		"cut in the request":  drivetest.CutRequest(),
		"cut in the answer":   drivetest.CutAnswer(),
		"slow":                drivetest.Slow(20 * time.Millisecond),
		"upload limit of 24h": drivetest.Refuse(drivetest.ErrDailyUpload),
	}
}

// A ledger is what a folder may hold by what its calls reported. Each path has the
// contents that a reader may find; one of them alone if the last change was reported as
// done. "" is for none.
type ledger struct {
	may    map[string][]string
	acked  int
	failed int
	wrong  []string
}

func (l *ledger) put(ctx context.Context, f *storage.Folder, name, content string) {
	if _, err := f.Put(ctx, name, strings.NewReader(content), int64(len(content))); err != nil {
		l.failed++
		l.may[name] = append(l.before(name), content)
		return
	}
	l.acked++
	l.may[name] = []string{content}
}

func (l *ledger) before(name string) []string {
	if may, known := l.may[name]; known {
		return may
	}
	return []string{""}
}

func (l *ledger) delete(ctx context.Context, f *storage.Folder, name string) {
	if err := f.Delete(ctx, name); err != nil {
		l.failed++
		l.may[name] = append(l.before(name), "")
		return
	}
	l.acked++
	l.may[name] = []string{""}
}

// get reads an object, which may fail unless it must not.
func (l *ledger) get(ctx context.Context, f *storage.Folder, name string, must bool) {
	content, err := readAll(ctx, f, name)
	switch {
	case errors.Is(err, blob.ErrNotExist):
	case err != nil && !must:
		return
	case err != nil:
		l.wrong = append(l.wrong, fmt.Sprintf("%s can't be read: %v", name, err))
		return
	}
	if !slices.Contains(l.before(name), content) {
		l.wrong = append(l.wrong, fmt.Sprintf("%s holds %d bytes that were never stored there", name, len(content)))
	}
}

func readAll(ctx context.Context, f *storage.Folder, name string) (string, error) {
	r, err := f.Get(ctx, name, 0, -1)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

// list looks whether everything is listed that must be there.
func (l *ledger) list(ctx context.Context, f *storage.Folder, must bool) {
	objects, err := f.List(ctx, "")
	if err != nil {
		if must {
			l.wrong = append(l.wrong, err.Error())
		}
		return
	}
	for name, may := range l.may {
		i := slices.IndexFunc(objects, func(o blob.Object) bool { return o.Path == name })
		if i < 0 && !slices.Contains(may, "") {
			l.wrong = append(l.wrong, name+" is not listed")
		}
	}
}

const driveChunk = 256 << 10

// driveWork is what a host does with a folder: new objects, one over an old one, one in
// chunks, listings, reads, a deletion. It makes each kind of call of rclone's backend.
func driveWork(ctx context.Context, f *storage.Folder, l *ledger) {
	large := make([]byte, 2*driveChunk+1000)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(large)
	l.put(ctx, f, "snapshots/one", "first")
	l.put(ctx, f, "snapshots/one", "second and longer")
	l.put(ctx, f, "data/large", string(large))
	l.list(ctx, f, false)
	l.get(ctx, f, "data/large", false)
	l.put(ctx, f, "two", "2")
	l.delete(ctx, f, "two")
	l.get(ctx, f, "snapshots/one", false)
}

// A driveSum adds up what the runs did.
type driveSum struct {
	mu     sync.Mutex
	calls  drivetest.Counts
	struck map[string]int // by fault
	acked  int
	failed int
}

func (s *driveSum) add(fault string, struck int, calls drivetest.Counts, l *ledger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.struck[fault] += struck
	s.acked += l.acked
	s.failed += l.failed
	for kind, n := range calls {
		s.calls[kind] += n
	}
}

// driveRemotes are the three ways to use a Drive, each by the name of its remote.
func driveRemotes(d *googleDrive) storage.Remotes {
	chunks := []string{"chunk_size", "256Ki", "upload_cutoff", "256Ki"}
	return storage.Remotes{
		"plain":  d.remote(append(chunks, "root_folder_id", d.root)...),
		"shared": d.remote(append(chunks, "team_drive", d.shared)...),
		"sealed": {Type: "crypt", Options: options("remote", "plain:sealed", "password", "")}, // for which rclone has a key without scrypt, half of the test's work
	}
}

// run does the work with a fault, and then looks with a new folder, when the fault is
// over, whether everything that was reported as stored is there byte for byte.
func (d *googleDrive) run(remote string, fault func()) *ledger {
	l := &ledger{may: map[string][]string{}}
	remotes, where := driveRemotes(d), fleet.Location{Remote: remote, Path: "host"}
	fault()
	if f, err := storage.Open(d.ctx, remotes, where); err == nil {
		driveWork(d.ctx, f, l)
		_ = f.Close(d.ctx)
	}
	d.Mend()
	d.ListLate(0)
	d.SetLimit(olga, 0)
	f, err := storage.Open(d.ctx, remotes, where)
	if err != nil {
		l.wrong = append(l.wrong, err.Error())
		return l
	}
	defer f.Close(d.ctx)
	for name := range l.may {
		l.get(d.ctx, f, name, true)
	}
	l.list(d.ctx, f, true)
	if remote != "sealed" {
		l.look(d.Look(map[string]string{"plain": d.root, "shared": d.shared}[remote]))
	}
	return l
}

// look compares with what the emulator has, past rclone.
func (l *ledger) look(entries []drivetest.Entry) {
	for name, may := range l.may {
		var there []string
		for _, e := range entries {
			if e.Path == "host/"+name && !e.Trashed {
				there = append(there, e.SHA256)
			}
		}
		if len(may) == 1 && may[0] != "" && !slices.Contains(there, sum(may[0])) || len(may) == 1 && may[0] == "" && len(there) > 0 {
			l.wrong = append(l.wrong, fmt.Sprintf("of %s Drive has %d files, none of them as reported", name, len(there)))
		}
	}
}

func sum(content string) string {
	h := sha256.Sum256([]byte(content))
	return hex.EncodeToString(h[:])
}

// atOnce is how many runs there are at a time. They mostly wait, as rclone does after
// an error.
const atOnce = 180

// apart is how far apart faults of one run are: each call is struck in one of so many
// runs.
const apart = 5

// TestDriveFaults strikes each call of the work with each fault: what was reported as
// stored is there, whatever happened.
func TestDriveFaults(t *testing.T) {
	t.Parallel()
	all := &driveSum{calls: drivetest.Counts{}, struck: map[string]int{}}
	var runs errgroup.Group
	runs.SetLimit(atOnce)
	number := 0
	strike := func(remote, name string, o drivetest.Options, with func(*googleDrive) (struck func() int)) {
		t.Helper()
		number++
		d := newDrive(t, o)
		runs.Go(func() error {
			var struck func() int
			l := d.run(remote, func() { struck = with(d) })
			for _, wrong := range l.wrong {
				t.Errorf("%s, %s: %s", remote, name, wrong)
			}
			kind, _, _ := strings.Cut(name, ": ")
			all.add(kind, struck(), d.Counts(), l)
			return nil
		})
	}
	strikeStates(strike) // the longest first
	for _, remote := range []string{"plain", "shared", "sealed"} {
		calls := callsOf(t, remote)
		t.Logf("%s: %d calls without a fault", remote, len(calls))
		for at := range calls { // alone, as it ends what it strikes
			strike(remote, fmt.Sprintf("storage full: call %d, %s", at, calls[at]), drivetest.Options{}, func(d *googleDrive) func() int {
				return d.Fail(drivetest.Rule{Skip: at, Count: 1, Fault: drivetest.Refuse(drivetest.ErrStorageFull)}).Times
			})
		}
		for at := range apart {
			for name, fault := range driveFaults() {
				strike(remote, fmt.Sprintf("%s: from call %d on", name, at), drivetest.Options{}, func(d *googleDrive) func() int {
					return d.Fail(drivetest.Rule{Skip: at, Every: apart, Fault: fault}).Times
				})
			}
		}
	}
	if err := runs.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%d runs: %d changes reported as done, %d as failed; %s", number, all.acked, all.failed, all.calls)
	for _, name := range slices.Sorted(maps.Keys(all.struck)) {
		t.Logf("%-20s struck %d times", name, all.struck[name])
	}
}

// strikeStates runs the work where Drive is in a bad state: its listings are late, the
// account or the day is full in the middle of it, or each call may fail by the seed.
func strikeStates(strike func(remote, name string, o drivetest.Options, with func(*googleDrive) func() int)) {
	once := func() int { return 1 }
	for _, remote := range []string{"plain", "shared", "sealed"} {
		for _, late := range []int{1, 2, 5} {
			strike(remote, fmt.Sprintf("late listings: %d", late), drivetest.Options{}, func(d *googleDrive) func() int {
				d.ListLate(late)
				return once
			})
		}
		for _, room := range []int64{1, 10, 30, driveChunk, 2*driveChunk + 1010} {
			strike(remote, fmt.Sprintf("account full: %d bytes", room), drivetest.Options{}, func(d *googleDrive) func() int {
				d.SetLimit(olga, room)
				return once
			})
		}
		for _, room := range []int64{30, 2*driveChunk + 1020} { // few, as rclone asks again and again
			strike(remote, fmt.Sprintf("day full: %d bytes", room), drivetest.Options{DailyUpload: room}, func(*googleDrive) func() int { return once })
		}
		for seed := range uint64(4) {
			strike(remote, fmt.Sprintf("at random: seed %d", seed), drivetest.Options{Seed: seed}, func(d *googleDrive) func() int {
				return failAtRandom(d)
			})
		}
	}
}

// failAtRandom has one of a hundred calls meet each fault.
func failAtRandom(d *googleDrive) (struck func() int) {
	var all []*drivetest.Struck
	faults := driveFaults()
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		all = append(all, d.Fail(drivetest.Rule{Chance: 0.01, Fault: faults[name]}))
	}
	return func() (n int) {
		for _, each := range all {
			n += each.Times()
		}
		return n
	}
}

// callsOf are the calls of the work without a fault.
func callsOf(t *testing.T, remote string) []string {
	t.Helper()
	d := newDrive(t, drivetest.Options{})
	var calls []string
	l := &ledger{may: map[string][]string{}}
	f := d.open(t, driveRemotes(d), remote, "host")
	driveWork(d.ctx, f, l)
	calls = d.Calls()
	if l.failed > 0 || len(l.wrong) > 0 {
		t.Fatalf("%s, without a fault: %d failures, %v", remote, l.failed, l.wrong)
	}
	return calls
}
