package record

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/blob"
	"salvor/internal/blob/blobtest"
	"salvor/internal/finding"
	"salvor/internal/sign"
	"salvor/internal/sign/signtest"
)

// from is the record as a host reaches it that signs with a key.
func from(s blob.Store, own sign.Key) *Record {
	return New(s).Trusting(Trust{
		Keys: func() (sign.Keys, error) { return sign.Keys{fleetKey().Public()}, nil },
		Own:  func(context.Context) (sign.Key, error) { return own, nil },
	})
}

// operator is the record for the operator, who has no key of a host.
func operator(s blob.Store, hosts map[string]sign.Public) *Record {
	return New(s).Trusting(Trust{
		Keys:  func() (sign.Keys, error) { return sign.Keys{fleetKey().Public()}, nil },
		Key:   func(context.Context) (sign.Key, error) { return fleetKey(), nil },
		Hosts: hosts,
	})
}

// TestS05AFactIsOfTheHostThatHadTheStack: alpha, which has nothing of the stack any
// more, leaves facts in its own name and in beta's, among them one that it copied.
func TestS05AFactIsOfTheHostThatHadTheStack(t *testing.T) {
	store, alpha, beta := &blobtest.Memory{}, signtest.NewKey(), signtest.NewKey()
	fleet := operator(store, map[string]sign.Public{"alpha": alpha.Public(), "beta": beta.Public()})
	claimed(t, fleet, Claim{Epoch: 1, Host: "alpha", Key: "age1alpha", Sign: alpha.Public()})
	claimed(t, fleet, Claim{Epoch: 2, Host: "beta", Key: "age1beta", Sign: beta.Public()})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	good := Fact{Epoch: 2, Host: "beta", At: at, Images: map[string]string{"web": "nginx@sha256:1"}}
	if _, err := from(store, beta).AppendFact(t.Context(), "notes", good); err != nil {
		t.Fatal(err)
	}
	evil := Fact{Epoch: 2, Host: "beta", At: at, Images: map[string]string{"web": "evil@sha256:6"}, Born: map[string]time.Time{"db": at}}
	if _, err := from(store, alpha).AppendFact(t.Context(), "notes", evil); err != nil {
		t.Fatal(err)
	}
	put(t, store, "facts/notes/2-3-beta.json", `{"schema":1,"host":"beta","commit":"","at":"2026-01-02T03:04:05Z"}`)
	put(t, store, "facts/notes/2-4-beta.json", content(t, store, "facts/notes/2-1-beta.json"))
	put(t, store, "facts/notes/2-999999999999-beta.json", "a number that counting on fails at")
	good.Seq = 1
	got, ignored, err := fleet.Facts(t.Context(), "notes", 2)
	if diff := cmp.Diff([]Fact{good}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	var subjects []string
	for _, f := range Findings("notes", ignored) {
		subjects = append(subjects, f.Subject)
		if f.Code != finding.RecordIgnored || !strings.Contains(f.Text, "facts/notes/2-") {
			t.Errorf("said as %+v", f)
		}
	}
	if want := []string{"alpha", "facts/notes/2-3-beta.json", "facts/notes/2-4-beta.json"}; !slices.Equal(subjects, want) {
		t.Errorf("findings about %q", subjects)
	}
}

// TestS05ProvenIsWhatItsHostSigned: a thief with the remote's credential notes that a
// snapshot of theirs is the newest. What a host proved counts after the stack has left
// it, and after the fleet has another signing key.
func TestS05ProvenIsWhatItsHostSigned(t *testing.T) {
	store, alpha, beta := &blobtest.Memory{}, signtest.NewKey(), signtest.NewKey()
	fleet := operator(store, map[string]sign.Public{"beta": beta.Public()})
	claimed(t, fleet, Claim{Epoch: 1, Host: "alpha", Key: "age1alpha", Sign: alpha.Public()})
	proven := Proven{Epoch: 1, Seq: 7, Repository: "aa", Snapshot: strings.Repeat("1", 64), At: time.Unix(9, 0).UTC()}
	if err := from(store, alpha).Prove(t.Context(), "notes", proven); err != nil {
		t.Fatal(err)
	}
	// alpha is lost, and its name is another machine's
	claimed(t, fleet, Claim{Epoch: 2, Host: "alpha", Key: "age1other", Sign: beta.Public()})
	for name, signer := range map[string]sign.Key{"3-1-aa-" + strings.Repeat("2", 64): beta, "2-1-aa-" + strings.Repeat("3", 64): alpha, "1-8-aa-" + strings.Repeat("4", 64): signtest.NewKey()} {
		path := "proven/notes/" + name + ".json"
		put(t, store, path, enclosed(signer, ProvenKind, path, `{"schema":1,"at":"2026-01-02T03:04:05Z"}`))
	}
	put(t, store, "proven/notes/1-9-aa-"+strings.Repeat("5", 64)+".json", `{"schema":1,"at":"2026-01-02T03:04:05Z"}`)
	check := func(when string, r *Record) {
		t.Helper()
		got, ignored, err := r.Proven(t.Context(), "notes", 3)
		if diff := cmp.Diff([]Proven{proven}, got); diff != "" || err != nil || len(ignored) != 4 {
			t.Errorf("%s: %v, ignored %v (-want +got):\n%s", when, err, ignored, diff)
		}
	}
	check("as it lies there", fleet)
	check("as the next host sees it", from(store, signtest.NewKey()))
	next := signtest.NewKey()
	if err := fleet.Resign(t.Context(), "notes", next); err != nil {
		t.Fatal(err)
	}
	check("once the fleet has another key", signedBy(store, next).Trusting(Trust{Keys: func() (sign.Keys, error) { return sign.Keys{next.Public()}, nil }}))
}

func content(t *testing.T, s blob.Store, path string) string {
	t.Helper()
	data, err := New(s).read(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func FuzzNotes(f *testing.F) {
	f.Add([]byte(enclosed(fleetKey(), FactKind, "facts/notes/1-1-a.json", `{"schema":1,"host":"a"}`)))
	f.Add([]byte(`{"schema":1,"host":"a"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		store := &blobtest.Memory{}
		put(t, store, "facts/notes/1-1-a.json", string(data))
		facts, _, err := operator(store, nil).Facts(t.Context(), "notes", 1)
		if err != nil || len(facts) > 0 {
			t.Errorf("%+v, %v", facts, err)
		}
	})
}
