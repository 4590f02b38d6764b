package record

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"salvor/internal/blob/blobtest"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
	"salvor/internal/sign/signtest"
)

func ageKey(t testing.TB) agekey.Key {
	t.Helper()
	k, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestS18TheJournalIsForOperatorsAndByThem: nothing of an entry is in plain text on
// the remote, what the fleet's key has not signed is not an entry, and junk ends no
// reading.
func TestS18TheJournalIsForOperatorsAndByThem(t *testing.T) {
	store, k, other, ann, eve := &blobtest.Memory{}, signtest.NewKey(), signtest.NewKey(), ageKey(t), ageKey(t)
	r, at := New(store), time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	add := func(operator string, after time.Duration, k sign.Key, to agekey.Key) Entry {
		t.Helper()
		e, err := NewEntry(at.Add(after), operator, "secret get token")
		if err == nil {
			e.Opened = []string{"token"}
			err = errors.Join(r.AppendEntry(t.Context(), e, k, []string{to.Recipient}), r.AppendEntry(t.Context(), e, k, []string{to.Recipient}))
		}
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	add("too old", -time.Hour, k, ann)
	first := add("ann", 0, k, ann)
	add("eve", time.Minute, other, ann)
	add("bob", 2*time.Minute, k, eve)
	last := add("ann", 3*time.Minute, k, ann)

	signed, err := r.read(t.Context(), first.path())
	if err != nil {
		t.Fatal(err)
	}
	if text := string(signed); strings.Contains(text, "ann") || strings.Contains(text, "token") {
		t.Errorf("in clear on the remote: %s", text)
	}
	clear, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	again := first
	again.At = at.Add(5 * time.Minute)
	put(t, store, again.path(), string(signed)) // said once more, at another time
	again.At = at.Add(6 * time.Minute)
	put(t, store, again.path(), string(clear))
	put(t, store, journalDir+"/junk", "junk")
	put(t, store, journalDir+"/20261128T120000.000000000Z-junk.json", strings.Repeat("[", 1<<20+5))

	entries, unread, err := r.Entries(t.Context(), at, sign.Keys{k.Public()}, ann)
	if err != nil || len(entries) != 2 || entries[0].ID != first.ID || entries[1].ID != last.ID {
		t.Fatalf("%+v, %v", entries, err)
	}
	locked := 0
	for _, u := range unread {
		if errors.Is(u.Err, secret.ErrLocked) {
			locked++
		}
	}
	if len(unread) != 6 || locked != 1 {
		t.Errorf("unread are %v", unread)
	}
	if _, _, err := r.Entries(t.Context(), at, sign.Keys{k.Public()}, locks{}); !errors.Is(err, secret.ErrLocked) {
		t.Errorf("without a key: %v", err)
	}
}

// locks is a keyring whose passphrase was wrong.
type locks struct{ agekey.Keyring }

func (locks) Identities() ([]age.Identity, error) { return nil, secret.ErrLocked }

func FuzzOpenEntry(f *testing.F) {
	store, k, ann := &blobtest.Memory{}, signtest.NewKey(), ageKey(f)
	e, err := NewEntry(time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC), "ann", "check")
	if err == nil {
		err = New(store).AppendEntry(f.Context(), e, k, []string{ann.Recipient})
	}
	if err != nil {
		f.Fatal(err)
	}
	good, err := New(store).read(f.Context(), e.path())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := openEntry(e.path(), data, sign.Keys{k.Public()}, ann)
		if err == nil && got.ID != e.ID {
			t.Errorf("%+v", got)
		}
	})
}
