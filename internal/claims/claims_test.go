package claims

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"salvor/internal/blob/blobtest"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/record"
	"salvor/internal/sign"
	"salvor/internal/sign/signtest"
)

type disk struct{ *blobtest.Memory }

func (disk) Close(context.Context) error { return nil }

// recorded is a fleet whose record is in memory, with two claims of notes and one of web.
func recorded(t *testing.T) (Record, *record.Record) {
	t.Helper()
	key := signtest.NewKey()
	rec := record.Site{Where: fleet.Location{Remote: "nas", Path: "record"}, Folder: disk{&blobtest.Memory{}}}.Record(record.Trust{
		Keys: func() (sign.Keys, error) { return sign.Keys{key.Public()}, nil },
		Key:  func(context.Context) (sign.Key, error) { return key, nil },
	})
	r := Record{
		With:     func(_ context.Context, work func(*record.Record) error) error { return work(rec) },
		OnBranch: func(context.Context) record.OnBranch { return func(string) (bool, bool) { return true, true } },
	}
	claim(t, rec, r, "notes", 1, "alpha")
	claim(t, rec, r, "notes", 2, "beta")
	claim(t, rec, r, "web", 1, "alpha")
	return r, rec
}

func claim(t *testing.T, rec *record.Record, r Record, stack string, epoch int, host string) {
	t.Helper()
	c := record.Claim{Epoch: epoch, Host: host, Key: "age1" + host, Sign: signtest.NewKey().Public(), Commit: "c1", At: time.Now()}
	if _, err := rec.Claim(t.Context(), stack, c, r.OnBranch(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// forge writes a claim that another key signed.
func forge(t *testing.T, r Record, rec *record.Record) {
	t.Helper()
	eve := signtest.NewKey()
	claim(t, rec.Trusting(record.Trust{
		Keys: func() (sign.Keys, error) { return sign.Keys{eve.Public()}, nil },
		Key:  func(context.Context) (sign.Key, error) { return eve, nil },
	}), r, "notes", 9, "eve")
}

// TestList shows which claim rules each stack, and the files that do not count.
func TestList(t *testing.T) {
	t.Parallel()
	r, rec := recorded(t)
	forge(t, r, rec)
	rows, err := List(t.Context(), r, "")
	want := []Row{
		{Stack: "notes", Epoch: 9, Host: "eve", Ignored: "not signed"},
		{Stack: "notes", Epoch: 2, Host: "beta", Rules: true},
		{Stack: "notes", Epoch: 1, Host: "alpha"},
		{Stack: "web", Epoch: 1, Host: "alpha", Rules: true},
	}
	if diff := cmp.Diff(want, rows, cmpopts.IgnoreFields(Row{}, "ID", "Ignored")); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for _, row := range rows {
		if row.ID == "" || (row.Ignored != "") != (row.Host == "eve") {
			t.Errorf("%+v", row)
		}
	}
	if rows, err := List(t.Context(), r, "web"); err != nil || len(rows) != 1 {
		t.Errorf("of web: %+v, %v", rows, err)
	}
	if rows, err := List(t.Context(), r, "gone"); err != nil || rows == nil || len(rows) > 0 {
		t.Errorf("of a stack without claims: %+v, %v", rows, err)
	}
}

// TestDrop asks for the stack's name, says what the claim that rules is for, and leaves
// the one before it to rule.
func TestDrop(t *testing.T) {
	t.Parallel()
	r, rec := recorded(t)
	forge(t, r, rec)
	for _, want := range []string{"This deletes the file", "This deletes the claim that gives notes to its host"} {
		rows, err := List(t.Context(), r, "notes")
		if err != nil {
			t.Fatal(err)
		}
		p, err := PrepareDrop(t.Context(), r, "notes", rows[0].ID)
		if err != nil || p.Name != "notes" || !strings.HasPrefix(p.Question, want) {
			t.Fatalf("%+v, %v", p, err)
		}
		if still, err := List(t.Context(), r, "notes"); err != nil || len(still) != len(rows) {
			t.Errorf("preparing deleted: %+v, %v", still, err)
		}
		if done, err := p.Run(t.Context(), nil); err != nil || done != (Dropped{"notes", rows[0].ID}) {
			t.Errorf("%+v, %v", done, err)
		}
	}
	if rows, err := List(t.Context(), r, "notes"); err != nil || len(rows) != 1 || !rows[0].Rules || rows[0].Host != "alpha" {
		t.Errorf("left: %+v, %v", rows, err)
	}
}

// TestDropOfNothing says how to find the claims that there are.
func TestDropOfNothing(t *testing.T) {
	t.Parallel()
	r, _ := recorded(t)
	rows, err := List(t.Context(), r, "notes")
	if err != nil {
		t.Fatal(err)
	}
	misspelt := rows[0].ID[1:]
	_, err = PrepareDrop(t.Context(), r, "notes", misspelt)
	if want := fmt.Sprintf("notes has no claim %s, did you mean %q?", misspelt, rows[0].ID); err == nil || err.Error() != want || fault.Hint(err) != "salvor claim ls notes lists them" {
		t.Errorf("%v, want %s", err, want)
	}
	away := errors.New("the remote is away")
	r.With = func(context.Context, func(*record.Record) error) error { return away }
	if _, err := PrepareDrop(t.Context(), r, "notes", "x"); !errors.Is(err, away) {
		t.Errorf("%v", err)
	}
}
