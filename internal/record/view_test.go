package record

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/blob/blobtest"
	"salvor/internal/sign"
	"salvor/internal/sign/signtest"
)

// viewing is a record with a view of it, and counts the calls that reach it.
type viewing struct {
	*View
	store *blobtest.Memory
	calls atomic.Int64
}

func newViewing() *viewing {
	v := &viewing{store: &blobtest.Memory{}}
	v.store.Fail = func(string, string) error { v.calls.Add(1); return nil }
	v.View = trusting(v.store).View()
	return v
}

func (v *viewing) claim(t *testing.T, stack string, epoch int) {
	t.Helper()
	if _, err := trusting(v.store).Claim(t.Context(), stack, Claim{Epoch: epoch, Host: "alpha"}, away); err != nil {
		t.Fatal(err)
	}
}

// look compares a look with what Claims returns, and returns how many calls it made.
func (v *viewing) look(t *testing.T, stacks ...string) int64 {
	t.Helper()
	before := v.calls.Load()
	seen, err := v.Look(t.Context(), stacks...)
	calls := v.calls.Load() - before
	if err != nil || len(seen) != len(stacks) {
		t.Fatalf("%d stacks: %v", len(seen), err)
	}
	for _, stack := range stacks {
		want := Claimed{Read: true}
		if want.Claims, want.Ignored, err = v.r.Claims(t.Context(), stack); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, seen[stack]); diff != "" {
			t.Errorf("%s (-Claims +Look):\n%s", stack, diff)
		}
	}
	return calls
}

func TestALookReadsWhatIsNewOnly(t *testing.T) {
	v := newViewing()
	var stacks []string
	for i := range 40 {
		stacks = append(stacks, fmt.Sprintf("s%d", i))
		v.claim(t, stacks[i], 1)
	}
	v.claim(t, "elsewhere", 1)
	stacks = append(stacks, "never")
	if calls := v.look(t, stacks...); calls != 1+40 {
		t.Errorf("the first look: %d calls", calls)
	}
	if calls := v.look(t, stacks...); calls != 1 {
		t.Errorf("nothing new: %d calls", calls)
	}
	v.claim(t, "s7", 2)
	if calls := v.look(t, stacks...); calls != 2 {
		t.Errorf("one new claim: %d calls", calls)
	}
}

func TestALookForgetsWhatIsGone(t *testing.T) {
	v := newViewing()
	v.claim(t, "notes", 1)
	v.claim(t, "notes", 2)
	v.look(t, "notes")
	claims, _, err := v.r.Claims(t.Context(), "notes")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.r.DropClaim(t.Context(), "notes", claims[0].ID); err != nil {
		t.Fatal(err)
	}
	v.look(t, "notes")
}

// TestALookReadsAgainWhatCountsForNothing: a file that was interrupted, or is not the
// fleet's, may be whole the next time.
func TestALookReadsAgainWhatCountsForNothing(t *testing.T) {
	const path = "claims/notes/3-01890000-0000-7000-8000-000000000000.json"
	const content = `{"schema":3,"host":"beta","commit":"","at":"2026-01-02T03:04:05Z"}`
	v := newViewing()
	v.claim(t, "notes", 1)
	whole := enclosed(fleetKey(), ClaimKind, path, content)
	put(t, v.store, path, strings.Repeat("x", len(whole))) // of the same size
	v.look(t, "notes")
	v.look(t, "notes")
	put(t, v.store, path, whole)
	v.look(t, "notes")
	put(t, v.store, path, "cut short")
	v.look(t, "notes")
}

func TestALookGoesByTheKeysOfNow(t *testing.T) {
	v := newViewing()
	v.claim(t, "notes", 1)
	keys := sign.Keys{fleetKey().Public()}
	v.r.trust.Keys = func() (sign.Keys, error) { return keys, nil }
	v.look(t, "notes")
	keys = sign.Keys{signtest.NewKey().Public()}
	v.look(t, "notes")
	if seen, err := v.Look(t.Context(), "notes"); err != nil || len(seen["notes"].Claims) != 0 || len(seen["notes"].Ignored) != 1 {
		t.Errorf("%+v, %v: a key that is trusted no longer counts", seen, err)
	}
}

func TestALookSaysWhatDoesNotAnswer(t *testing.T) {
	v := newViewing()
	v.claim(t, "notes", 1)
	v.claim(t, "films", 1)
	down := errors.New("down")
	v.store.Fail = func(op, path string) error {
		if op == "get" && strings.HasPrefix(path, "claims/films/") {
			return down
		}
		return nil
	}
	seen, err := v.Look(t.Context(), "notes", "films")
	if err != nil || seen["films"].Read || !seen["notes"].Read || len(seen["notes"].Claims) != 1 {
		t.Errorf("%+v, %v", seen, err)
	}
	v.store.Fail = func(op, _ string) error {
		if op == "list" {
			return down
		}
		return nil
	}
	if _, err := v.Look(t.Context(), "notes"); !errors.Is(err, down) {
		t.Error(err)
	}
}
