package record

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/blob"
	"salvor/internal/blob/blobtest"
	"salvor/internal/fleet"
	"salvor/internal/sign"
	"salvor/internal/sign/signtest"
)

func away(string) (on, known bool) { return false, false }

// fleetKey is the key of the fleet in these tests.
var fleetKey = sync.OnceValue(signtest.NewKey)

// trusting is the record for a reader who trusts the fleet's key.
func trusting(s blob.Store) *Record { return signedBy(s, fleetKey()) }

func signedBy(s blob.Store, key sign.Key) *Record { return New(s).Trusting(trustIn(key)) }

func fleetTrust() Trust { return trustIn(fleetKey()) }

func trustIn(key sign.Key) Trust {
	return Trust{
		Keys: func() (sign.Keys, error) { return sign.Keys{key.Public()}, nil },
		Key:  func(context.Context) (sign.Key, error) { return key, nil },
		Own:  func(context.Context) (sign.Key, error) { return key, nil },
	}
}

func enclosed(key sign.Key, kind sign.Kind, place, content string) string {
	signed, err := key.Enclose(kind, place, []byte(content))
	if err != nil {
		panic(err)
	}
	return string(signed)
}

// putClaim leaves content as a claim that the fleet signed.
func putClaim(t *testing.T, s blob.Store, path, content string) {
	t.Helper()
	signed, err := fleetKey().Enclose(ClaimKind, path, []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, path, string(signed))
}

func put(t *testing.T, s blob.Store, path, content string) {
	t.Helper()
	if _, err := s.Put(t.Context(), path, strings.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
}

func claimed(t *testing.T, r *Record, c Claim) Ruling {
	t.Helper()
	got, err := r.Claim(t.Context(), "notes", c, away)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestClaim(t *testing.T) {
	store := &blobtest.Memory{}
	r := trusting(store)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	if got := claimed(t, r, Claim{Epoch: 9, Host: "alpha", Commit: "c1", At: now}); got.Owner != "alpha" || got.Epoch != 9 {
		t.Errorf("ruling %+v", got)
	}
	if got := claimed(t, r, Claim{Epoch: 10, Host: "beta", Commit: "c2", At: now}); got.Owner != "beta" || got.Epoch != 10 {
		t.Errorf("ruling %+v", got)
	}
	claimed(t, r, Claim{Epoch: 10, Host: "beta", Commit: "c2", At: now}) // resumed
	if got := claimed(t, r, Claim{Epoch: 9, Host: "alpha", Commit: "c1", At: now}); got.Owner != "beta" {
		t.Errorf("an old claim won: %+v", got)
	}
	if got := claimed(t, r, Claim{Epoch: 10, Host: "gamma", Commit: "c3", At: now}); got.Owner != "beta" {
		t.Errorf("a later claim of the same epoch won: %+v", got)
	}
	files, err := store.List(t.Context(), "")
	if err != nil || len(files) != 2 {
		t.Errorf("%d claims written, %v; want 2: %v", len(files), err, files)
	}
	claims, _, err := r.Claims(t.Context(), "notes")
	if err != nil || len(claims) != 1 || claims[0].Host != "beta" || claims[0].At != now.UTC() {
		t.Errorf("claims %+v, %v", claims, err)
	}
}

func TestClaimResumedFromALaterCommit(t *testing.T) {
	store := &blobtest.Memory{}
	r := trusting(store)
	for _, commit := range []string{"on-1", "on-2", "on-3"} {
		got, err := r.Claim(t.Context(), "notes", Claim{Epoch: 2, Host: "beta", Commit: commit}, branchOf)
		if err != nil || got.Owner != "beta" || got.Commit != "on-1" {
			t.Errorf("ruling %+v, %v", got, err)
		}
	}
	if _, err := r.Claim(t.Context(), "blog", Claim{Epoch: 2, Host: "beta", Commit: "off-1"}, branchOf); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Claim(t.Context(), "blog", Claim{Epoch: 2, Host: "beta", Commit: "on-1"}, branchOf); err != nil || got.Commit != "on-1" {
		t.Errorf("a claim from a commit that was never published was taken for this one: %+v, %v", got, err)
	}
	for stack, want := range map[string]int{"notes": 1, "blog": 2} {
		if claims, _, err := r.Claims(t.Context(), stack); err != nil || len(claims) != want {
			t.Errorf("%s has %d claims, %v; want %d", stack, len(claims), err, want)
		}
	}
}

// TestClaimOfAnotherMachineOfTheName is fault D2: a claim is for a machine, not
// for a name, so the second machine of a name takes nothing over with it.
func TestClaimOfAnotherMachineOfTheName(t *testing.T) {
	r := trusting(&blobtest.Memory{})
	claimed(t, r, Claim{Epoch: 1, Host: "web", Key: "age1old", Commit: "on-1"})
	got, err := r.Claim(t.Context(), "notes", Claim{Epoch: 1, Host: "web", Key: "age1new", Commit: "on-2"}, branchOf)
	if err != nil || got.Key != "age1old" {
		t.Errorf("ruling %+v, %v", got, err)
	}
}

// TestClaimIsPutBack is fault V9: where the newest claim was lost or damaged, or a
// claim from a commit that never was on the branch is in its place, claiming again
// makes the placement's host the owner. TestClaimOfARenamedHost is fault V17 for
// hosts: the claim under its old name is its.
func TestClaimOfARenamedHost(t *testing.T) {
	r := trusting(&blobtest.Memory{})
	on := func(string) (bool, bool) { return true, true }
	claimed(t, r, Claim{Epoch: 1, Host: "alpha", Key: "age1a", Commit: "c1"})
	got, err := r.Claim(t.Context(), "notes", Claim{Epoch: 1, Host: "gamma", Key: "age1a", Commit: "c2"}, on)
	if claims, _, listErr := r.Claims(t.Context(), "notes"); err != nil || listErr != nil || len(claims) != 1 || got.Key != "age1a" {
		t.Errorf("%+v, %+v, %v, %v", got, claims, err, listErr)
	}
}

func TestClaimIsPutBack(t *testing.T) {
	const id = "01890000-0000-7000-8000-000000000000"
	for name, left := range map[string]string{
		"damaged": `{"schema":3,"ho`, "of a loser": `{"schema":3,"host":"alpha","commit":"off-9","at":"2026-01-02T03:04:05Z"}`,
	} {
		store := &blobtest.Memory{}
		r := trusting(store)
		claimed(t, r, Claim{Epoch: 1, Host: "alpha", Commit: "on-1"})
		putClaim(t, store, "claims/notes/2-"+id+".json", left)
		got, err := r.Claim(t.Context(), "notes", Claim{Epoch: 2, Host: "beta", Commit: "on-2"}, branchOf)
		if err != nil || got.Epoch != 2 || got.Owner != "beta" {
			t.Errorf("%s: ruling %+v, %v", name, got, err)
		}
	}
}

func TestClaimRefusesNonsense(t *testing.T) {
	r := trusting(&blobtest.Memory{})
	for _, c := range []Claim{{Epoch: 0, Host: "alpha"}, {Epoch: -1, Host: "alpha"}, {Epoch: 1}} {
		if _, err := r.Claim(t.Context(), "notes", c, away); err == nil {
			t.Errorf("%+v was claimed", c)
		}
	}
}

// TestAPlacementEnds: an ended claim gives the stack to no host, whatever comes before it, and
// the next host counts on.
func TestAPlacementEnds(t *testing.T) {
	r := trusting(&blobtest.Memory{})
	for _, c := range []Claim{{Epoch: 1, Host: "alpha", Key: "age1alpha"}, {Epoch: 2, Ended: true, Commit: "on-2"}, {Epoch: 2, Ended: true, Commit: "on-2"}} {
		if _, err := r.Claim(t.Context(), "notes", c, away); err != nil {
			t.Fatal(err)
		}
	}
	claims, ignored, err := r.Claims(t.Context(), "notes")
	if err != nil || len(claims) != 1 || len(ignored) != 0 || !claims[0].Ended {
		t.Fatalf("%+v, %+v, %v", claims, ignored, err)
	}
	ruling := Rule(claims, away)
	if ruling.Owner != "" || ruling.Epoch != 2 {
		t.Errorf("%+v", ruling)
	}
	before := Local{Host: "alpha", Key: "age1alpha", Epoch: 1}
	if v := Decide(before, InGit{}, OnRecord{Reached: true, Ruling: ruling}); v.State != Lost || v.Reason != "its placement ended at epoch 2" {
		t.Errorf("the host before: %+v", v)
	}
	next, err := r.Claim(t.Context(), "notes", Claim{Epoch: 3, Host: "beta"}, away)
	if err != nil || next.Owner != "beta" {
		t.Errorf("%+v, %v", next, err)
	}
}

// TestS04AForgedClaimRulesNothing: anyone who can write to the record remote can
// leave files there, and every host can.
func TestS04AForgedClaimRulesNothing(t *testing.T) {
	const id = "01890000-0000-7000-8000-000000000000"
	const path, good = "claims/notes/10-" + id + ".json", `{"schema":3,"host":"eve","commit":"on-1","at":"2026-01-02T03:04:05Z"}`
	for name, content := range map[string]string{
		"garbage": "\x00\xff", "empty": "", "unsigned": good, "of schema 1": `{"schema":1,"host":"eve","commit":"on-1","at":"2026-01-02T03:04:05Z"}`,
		"by another key":         enclosed(signtest.NewKey(), ClaimKind, path, good),
		"of another kind":        enclosed(fleetKey(), "salvor-fact", path, good),
		"of another stack":       enclosed(fleetKey(), ClaimKind, "claims/blog/10-"+id+".json", good),
		"of another epoch":       enclosed(fleetKey(), ClaimKind, "claims/notes/9-"+id+".json", good),
		"changed":                strings.Replace(enclosed(fleetKey(), ClaimKind, path, good), "eve", "bob", 1),
		"cut":                    enclosed(fleetKey(), ClaimKind, path, good)[:200],
		"signed, another schema": enclosed(fleetKey(), ClaimKind, path, `{"schema":1,"host":"eve"}`),
		"signed, newer":          enclosed(fleetKey(), ClaimKind, path, `{"schema":4,"host":"eve"}`),
		"signed, unknown field":  enclosed(fleetKey(), ClaimKind, path, `{"schema":3,"host":"eve","pope":true}`),
		"signed, no host":        enclosed(fleetKey(), ClaimKind, path, `{"schema":3}`),
		"signed, trailing":       enclosed(fleetKey(), ClaimKind, path, good+` {}`),
	} {
		t.Run(name, func(t *testing.T) {
			store := &blobtest.Memory{}
			r := trusting(store)
			claimed(t, r, Claim{Epoch: 9, Host: "alpha"})
			put(t, store, path, content)
			put(t, store, "claims/notes/desktop.ini", "not a claim")
			claims, ignored, err := r.Claims(t.Context(), "notes")
			if err != nil {
				t.Fatal(err)
			}
			if got := Rule(claims, away); got.Epoch != 9 || got.Owner != "alpha" {
				t.Errorf("ruling %+v", got)
			}
			if len(ignored) != 1 || ignored[0].Path != path || !strings.Contains(ignored[0].Text(), path) {
				t.Errorf("ignored %+v, want %s", ignored, path)
			}
			if (name == "unsigned" || name == "by another key") && !strings.Contains(ignored[0].Text(), "eve") {
				t.Errorf("%+v does not say whose claim it pretends to be", ignored[0])
			}
			// and it does not prevent a claim
			if got := claimed(t, r, Claim{Epoch: 10, Host: "beta"}); got.Owner != "beta" || got.Epoch != 10 {
				t.Errorf("ruling %+v", got)
			}
		})
	}
}

// TestS04AForgedClaimNamesTheHostThatSignedIt, whatever host it says to be of.
func TestS04AForgedClaimNamesTheHostThatSignedIt(t *testing.T) {
	const path = "claims/notes/10-01890000-0000-7000-8000-000000000000.json"
	store, alpha := &blobtest.Memory{}, signtest.NewKey()
	put(t, store, path, enclosed(alpha, ClaimKind, path, `{"schema":3,"host":"beta","commit":"on-1","at":"2026-01-02T03:04:05Z"}`))
	_, ignored, err := operator(store, map[string]sign.Public{"alpha": alpha.Public()}).Claims(t.Context(), "notes")
	if err != nil || len(ignored) != 1 || !ignored[0].Signed || ignored[0].Host != "alpha" {
		t.Errorf("%+v, %v", ignored, err)
	}
}

// TestS04JunkHidesNoClaim: a good claim counts, however many files are next to it.
func TestS04JunkHidesNoClaim(t *testing.T) {
	store := &blobtest.Memory{}
	r := trusting(store)
	claimed(t, r, Claim{Epoch: 3, Host: "alpha"})
	for i := range 50 {
		put(t, store, fmt.Sprintf("claims/notes/%d-01890000-0000-7000-8000-0000000000%02d.json", 1+i, i), "junk")
	}
	claims, ignored, err := r.Claims(t.Context(), "notes")
	if err != nil || len(claims) != 1 || claims[0].Host != "alpha" || len(ignored) != 48 {
		t.Errorf("%+v, %d ignored, %v", claims, len(ignored), err)
	}
	if _, err := New(store).Claim(t.Context(), "notes", Claim{Epoch: 4, Host: "beta"}, away); err == nil {
		t.Error("claimed without a key")
	}
	if claims, _, err := New(store).Claims(t.Context(), "notes"); err != nil || len(claims) != 0 {
		t.Errorf("trusted without a key: %+v, %v", claims, err)
	}
}

func TestClaimsAreSignedAgain(t *testing.T) {
	store, next := &blobtest.Memory{}, signtest.NewKey()
	r := trusting(store)
	claimed(t, r, Claim{Epoch: 1, Host: "alpha"})
	claimed(t, r, Claim{Epoch: 2, Host: "beta", Key: "age1b", Commit: "on-1", At: time.Unix(1, 0)})
	before, _, err := r.Claims(t.Context(), "notes")
	if err != nil {
		t.Fatal(err)
	}
	both := New(store).Trusting(Trust{Keys: func() (sign.Keys, error) { return sign.Keys{fleetKey().Public(), next.Public()}, nil }})
	for range 2 {
		if err := both.Resign(t.Context(), "notes", next); err != nil {
			t.Fatal(err)
		}
	}
	after, ignored, err := signedBy(store, next).Claims(t.Context(), "notes")
	if diff := cmp.Diff(before, after); err != nil || diff != "" || len(ignored) > 0 {
		t.Error(err, ignored, diff)
	}
}

// TestS23EpochsAreBounded: counting on from the highest must not overflow.
func TestS23EpochsAreBounded(t *testing.T) {
	const id = "01890000-0000-7000-8000-000000000000"
	store := &blobtest.Memory{}
	for _, epoch := range []string{"9223372036854775807", "1000000001", "99999999999999999999", "-1", "0", "01"} {
		path := "claims/notes/" + epoch + "-" + id + ".json"
		putClaim(t, store, path, `{"schema":3,"host":"eve","commit":"on-1","at":"2026-01-02T03:04:05Z"}`)
	}
	r := trusting(store)
	if claims, ignored, err := r.Claims(t.Context(), "notes"); err != nil || len(claims)+len(ignored) != 0 {
		t.Errorf("%+v, %+v, %v", claims, ignored, err)
	}
	if _, err := r.Claim(t.Context(), "notes", Claim{Epoch: fleet.MaxEpoch + 1, Host: "alpha"}, away); err == nil {
		t.Error("an epoch above the highest was claimed")
	}
}

func FuzzClaim(f *testing.F) {
	f.Add([]byte(`{"schema":3,"host":"alpha","commit":"on-1","at":"2026-01-02T03:04:05Z"}`))
	f.Add([]byte(`{"schema":3,"host":"alpha"} {}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseClaim(data)
		if err == nil && (c.Schema != claimSchema && c.Schema != endSchema || (c.Host == "") != (c.Schema == endSchema)) {
			t.Errorf("%+v", c)
		}
		if host := claimedHost(data); host != "" && fleet.ValidName(host) != nil {
			t.Errorf("%q is named", host)
		}
	})
}

// lagging is a store whose listings show new objects only after a while.
type lagging struct {
	blobtest.Memory
	lag time.Duration
	mu  sync.Mutex
	put time.Time
}

func (s *lagging) List(ctx context.Context, dir string) ([]blob.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.Memory.List(ctx, dir)
	if s.put.IsZero() {
		s.put = time.Now()
	}
	if time.Since(s.put) < s.lag {
		return nil, err
	}
	return all, err
}

func TestClaimWaitsUntilVisible(t *testing.T) {
	for _, c := range []struct {
		name string
		lag  time.Duration
		want error
	}{{"soon", 10 * time.Second, nil}, {"just in time", 50 * time.Second, nil}, {"never", time.Hour, ErrNotVisible}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := trusting(&lagging{lag: c.lag})
				began := time.Now()
				got, err := r.Claim(t.Context(), "notes", Claim{Epoch: 1, Host: "alpha"}, away)
				if !errors.Is(err, c.want) || err == nil && got.Owner != "alpha" {
					t.Errorf("ruling %+v, %v; want %v", got, err, c.want)
				}
				if took := time.Since(began); took > visibleWithin || took < min(c.lag, visibleWithin) {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func TestClaimFailsWithTheRemote(t *testing.T) {
	broken := errors.New("remote unreachable")
	for _, op := range []string{"list", "put", "get"} {
		store := &blobtest.Memory{}
		put(t, store, "claims/notes/1-01890000-0000-7000-8000-000000000000.json", "junk")
		store.Fail = func(failing, _ string) error {
			if failing == op {
				return broken
			}
			return nil
		}
		if _, err := trusting(store).Claim(t.Context(), "notes", Claim{Epoch: 2, Host: "alpha"}, away); !errors.Is(err, broken) {
			t.Errorf("%s fails, Claim says %v", op, err)
		}
	}
}

func TestFacts(t *testing.T) {
	r := trusting(&blobtest.Memory{})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := []Fact{
		{Epoch: 2, Seq: 1, Host: "alpha", Commit: "c", At: at, Born: map[string]time.Time{"db": at}},
		{Epoch: 10, Seq: 1, Host: "beta", At: at, Images: map[string]string{"web": "nginx@sha256:1"}},
		{Epoch: 10, Seq: 2, Host: "beta", At: at, Images: map[string]string{"web": "nginx@sha256:2"}},
	}
	for _, f := range want {
		seq, err := r.AppendFact(t.Context(), "notes", f)
		if err != nil || seq != f.Seq {
			t.Fatalf("AppendFact is %d, %v; want %d", seq, err, f.Seq)
		}
	}
	got, ignored, err := r.Facts(t.Context(), "notes", 10)
	if diff := cmp.Diff(want[1:], got); err != nil || diff != "" || len(ignored) > 0 {
		t.Errorf("Facts: %v %v (-want +got):\n%s", ignored, err, diff)
	}
}

func TestUnreadableFactIsNamed(t *testing.T) {
	for _, content := range []string{"garbage", `{"schema":2,"host":"alpha"}`, `{"schema":1,"host":"beta"}`} {
		store := &blobtest.Memory{}
		const path = "facts/notes/3-1-alpha.json"
		put(t, store, path, enclosed(fleetKey(), FactKind, path, content))
		if _, _, err := trusting(store).Facts(t.Context(), "notes", 3); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want an error that names the file", content, err)
		}
	}
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add([]byte(`{"schema":1,"id":"019ac000-0000-7000-8000-000000000000","at":"2026-01-02T03:04:05Z","operator":"ann","command":"apply","opened":["token"]}`))
	f.Add([]byte(`{"schema":1,"id":"../x"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if entry, err := DecodeEntry(data); err == nil && strings.Contains(entry.ID, "/") {
			t.Errorf("the id %q would leave the folder", entry.ID)
		}
	})
}

func FuzzParseClaim(f *testing.F) {
	f.Add([]byte(`{"schema":1,"host":"alpha","commit":"c","at":"2026-01-02T03:04:05Z"}`))
	f.Add([]byte(`{"schema":2}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := parseClaim(data); err == nil && (c.Host == "") != (c.Schema == endSchema) {
			t.Errorf("%q was read as %+v", data, c)
		}
	})
}

func FuzzParseFact(f *testing.F) {
	f.Add([]byte(`{"schema":1,"host":"alpha","images":{"a":"b"},"born":{"v":"2026-01-02T03:04:05Z"}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := parseFact(data); err == nil && (c.Host == "" || c.Schema != fleet.Schema) {
			t.Errorf("%q was read as %+v", data, c)
		}
	})
}

func FuzzParseNames(f *testing.F) {
	f.Add("1-01890000-0000-7000-8000-000000000000.json")
	f.Add("12-3-alpha-2.json")
	f.Add("01--.json")
	f.Fuzz(func(t *testing.T, name string) {
		if epoch, id, ok := parseClaimName(name); ok && claimName(epoch, id) != name {
			t.Errorf("%q is read as %d, %q", name, epoch, id)
		}
		if fact, ok := parseFactName(name); ok && factName(fact) != name {
			t.Errorf("%q is read as %+v", name, fact)
		}
	})
}
