package snapshot

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/blob"
	"salvor/internal/fleet"
)

var update = flag.Bool("update", false, "rewrite golden files")

// series is a stack's life: one snapshot every six hours for 500 days, a volume
// added in the middle, and a move.
func series() []Info {
	var infos []Info
	at := time.Date(2025, 1, 1, 3, 0, 0, 0, time.UTC)
	for n := range 2000 {
		volumes, epoch := []string{"db"}, 1
		if n >= 1500 {
			volumes = []string{"db", "media"}
		}
		if n >= 1800 {
			epoch = 2
		}
		infos = append(infos, Info{ID: fmt.Sprintf("%064x", n), Epoch: epoch, Seq: n, Time: at, Volumes: volumes})
		at = at.Add(6 * time.Hour)
	}
	return infos
}

func TestRetainGolden(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string]fleet.Keep{
		"last":     {Last: 3},
		"standard": {Last: 8, Daily: 14, Weekly: 8, Monthly: 12},
		"hourly":   {Hourly: 5, Yearly: 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := Retain(series(), keep)
			if len(r.Keep)+len(r.Forget) != 2000 {
				t.Fatalf("%d kept, %d forgotten of 2000", len(r.Keep), len(r.Forget))
			}
			var b strings.Builder
			for _, i := range r.Keep {
				fmt.Fprintf(&b, "%d/%d %s %s\n", i.Epoch, i.Seq, i.Time.Format(time.RFC3339), strings.Join(i.Volumes, "+"))
			}
			golden := filepath.Join("testdata", "retain-"+name+".golden")
			if *update {
				write(t, golden, b.String())
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestRetain(t *testing.T) {
	t.Parallel()
	at := func(seq int, day int, volumes ...string) Info {
		return Info{ID: fmt.Sprint(seq), Epoch: 1, Seq: seq, Time: time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC), Volumes: volumes}
	}
	diverged := at(9, 9, "db")
	diverged.Diverged = true
	later := at(1, 1, "db")
	later.ID, later.Epoch = "later epoch, earlier clock", 2
	for _, tt := range []struct {
		name   string
		infos  []Info
		keep   fleet.Keep
		forget []string
	}{
		{"nothing there", nil, fleet.Keep{Last: 1}, nil},
		{"no policy forgets nothing", []Info{at(1, 1, "db"), at(2, 2, "db")}, fleet.Keep{}, nil},
		{"newest of the day", []Info{at(1, 1, "db"), at(2, 1, "db")}, fleet.Keep{Daily: 1}, []string{"1"}},
		{"only one good", []Info{at(1, 1, "db")}, fleet.Keep{Yearly: 1}, nil},
		{"each set of volumes", []Info{at(1, 1, "db"), at(2, 2, "db", "media"), at(3, 3, "db", "media")}, fleet.Keep{Last: 1}, []string{"2"}},
		{"diverged stay and count for nothing", []Info{at(1, 1, "db"), diverged}, fleet.Keep{Last: 1}, nil},
		{"epoch beats clock", []Info{at(5, 20, "db"), later}, fleet.Keep{Last: 1}, []string{"5"}},
		{"the newest stays though its clock is wrong", []Info{at(5, 20, "db"), later}, fleet.Keep{Daily: 1}, []string{"5"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var forget []string
			for _, i := range Retain(tt.infos, tt.keep).Forget {
				forget = append(forget, i.ID)
			}
			if diff := cmp.Diff(tt.forget, forget); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func always(context.Context) error { return nil }

// TestThinEndsWithTheClaim is fault V11: the claim is lost after so many deletions.
// Nothing more goes then.
func TestThinEndsWithTheClaim(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, content := range []string{"one", "two", "three"} {
		write(t, filepath.Join(l.data, "plain"), strings.Repeat(content, 100_000))
		l.take(t, nil)
	}
	lost, asked := errors.New("beta claimed epoch 2"), 0
	for _, deletions := range []int{0, 1, 3} {
		before := objects(t, l.repo.Store)
		asked = 0
		holds := func(context.Context) error {
			if asked++; asked > deletions+1 { // once before the first
				return lost
			}
			return nil
		}
		_, err := l.ApplyRetention(t.Context(), l.repo, Claim{Stack: "notes", Epoch: 1, Holds: holds}, fleet.Keep{Last: 1})
		if !errors.Is(err, lost) {
			t.Errorf("after %d deletions it ended with %v", deletions, err)
		}
		if gone := before - objects(t, l.repo.Store); gone > deletions {
			t.Errorf("%d objects went, the claim was held for %d", gone, deletions)
		}
	}
}

// objects counts what a repository holds, locks aside.
func objects(t *testing.T, s blob.Store) int {
	t.Helper()
	all, err := s.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, o := range all {
		if !strings.HasPrefix(o.Path, "locks/") {
			n++
		}
	}
	return n
}

func TestThinRemovesDataAndKeepsTheNewest(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, content := range []string{"one", "two", "three"} {
		rich(t, l.data)
		write(t, filepath.Join(l.data, "plain"), strings.Repeat(content, 100_000))
		if r := l.take(t, nil); r.Skipped || r.Snapshot.ID == "" {
			t.Fatalf("not taken: %+v", r)
		}
		if err := os.RemoveAll(filepath.Join(l.data, "sub")); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"fifo", "sparse"} {
			if err := os.Remove(filepath.Join(l.data, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	rich(t, l.data)
	want := manifest(t, l.data)
	l.take(t, nil)
	plan, err := l.ApplyRetention(t.Context(), l.repo, Claim{Stack: "notes", Epoch: 1, Holds: always}, fleet.Keep{Last: 1})
	if err != nil || len(plan.Forget) != 3 {
		t.Fatalf("forgot %d, %v", len(plan.Forget), err)
	}
	infos, err := l.infos(t)
	if err != nil || len(infos) != 1 || infos[0].Seq != 4 {
		t.Fatalf("left %+v, %v", infos, err)
	}
	if _, err := CheckShare(t.Context(), l.repo, "notes", 0, 1); err != nil {
		t.Error(err)
	}
	l.restore(t, l.restoreJob())
	if diff := cmp.Diff(want, manifest(t, l.data)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
