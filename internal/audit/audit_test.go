package audit

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/fleetkeys/fleetkeystest"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// TestTheReportIsByTime, of the operators' commands and of what hosts were given.
func TestTheReportIsByTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	later := time.Now().Add(time.Hour).UTC()
	h.made["alpha"] = []agentapi.Delivery{{At: noon, Stack: "blog", Services: []string{"web", "db"}, Secrets: []string{"token"}}, {At: later, Stack: "wiki", Secrets: []string{"wiki/KEY"}}}
	h.made["beta"] = []agentapi.Delivery{{At: noon, Stack: "shop", Services: []string{"web"}, Secrets: []string{"token", "other"}}}
	j := h.journals()
	h.opens(j)
	if err := j.Journal(t.Context(), "secret show token"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		since time.Time
		want  []string
	}{
		{"", time.Time{}, []string{"alpha delivered to blog: web, db", "beta delivered to shop: web", "ann secret show token", "alpha delivered to wiki"}},
		{"token", time.Time{}, []string{"alpha delivered to blog: web, db", "beta delivered to shop: web", "ann secret show token"}},
		{"other", time.Time{}, []string{"beta delivered to shop: web"}},
		{"", noon.Add(time.Minute), []string{"ann secret show token", "alpha delivered to wiki"}},
		{"", later, []string{"alpha delivered to wiki"}},
		{"unknown", time.Time{}, nil},
	} {
		report, err := h.journals().Report(t.Context(), c.name, c.since)
		if err != nil || len(report.Silent)+len(report.Findings)+report.Shut != 0 || report.Events == nil {
			t.Fatalf("%+v, %v", report, err)
		}
		var got []string
		for _, e := range report.Events {
			who, _, _ := strings.Cut(e.Who, " (")
			got = append(got, who+" "+e.What)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("of %q since %s (-want +got)\n%s", c.name, c.since, diff)
		}
	}
}

// TestAHostThatCannotBeAskedIsNamed, and the others are in the report.
func TestAHostThatCannotBeAskedIsNamed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.made["beta"] = []agentapi.Delivery{{At: noon, Stack: "shop", Secrets: []string{"token"}}}
	report, err := h.journals().Report(t.Context(), "", time.Time{})
	if err != nil || len(report.Events) != 1 || report.Events[0].Who != "beta" {
		t.Errorf("%+v, %v", report.Events, err)
	}
	if diff := cmp.Diff([]string{"alpha: no route to host"}, report.Silent); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestWithoutARemoteHostsAreAsked: they note deliveries anyway.
func TestWithoutARemoteHostsAreAsked(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.made["alpha"] = []agentapi.Delivery{{At: noon, Stack: "blog", Secrets: []string{"token"}}}
	h.made["beta"] = nil
	j := h.journals()
	j.checkout.Fleet.Record = fleet.Location{}
	report, err := j.Report(t.Context(), "", time.Time{})
	if err != nil || len(report.Events) != 1 || len(report.Silent) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestEntriesThatDoNotCountAreReported: what another identity does not open is counted, and
// what the fleet has not signed is a finding.
func TestEntriesThatDoNotCountAreReported(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.made["alpha"], h.made["beta"] = nil, nil
	j := h.journals()
	h.opens(j)
	if err := j.Journal(t.Context(), "secret show token"); err != nil {
		t.Fatal(err)
	}
	stranger, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	path := h.Identity + ".stranger"
	if err := agekey.Create(path, stranger, secret.Value{}, 0); err != nil {
		t.Fatal(err)
	}
	report, err := h.of(h.OpenKeys(t, path, fleetkeystest.Yes())).Report(t.Context(), "", time.Time{})
	if err != nil || report.Shut != 1 || len(report.Events) != 0 || len(report.Findings) != 0 {
		t.Errorf("to a stranger: %+v, %v", report, err)
	}
	const junk = "journal/operators/20260102T120000.000000000Z-junk.json"
	folder, err := j.record.Open(t.Context(), j.checkout.Fleet.Record)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := folder.Put(t.Context(), junk, strings.NewReader("{}"), 2); err != nil {
		t.Fatal(err)
	}
	if err := folder.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	report, err = h.journals().Report(t.Context(), "", time.Time{})
	if err != nil || report.Shut != 0 || len(report.Events) != 1 || len(report.Findings) != 1 || report.Findings[0].Code != finding.JournalUntrusted || report.Findings[0].Subject != junk {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestAVariableIsDecryptedWithItsFile: who opened the file of a stack's variables opened all.
func TestAVariableIsDecryptedWithItsFile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		opened string
		name   string
		want   bool
	}{
		{"token", "token", true}, {"token", "tok", false}, {"blog/KEY", "blog/KEY", true}, {"blog.env", "blog/KEY", true}, {"wiki.env", "blog/KEY", false},
		{"blog.env", "blog", false}, {"blog/OTHER", "blog/KEY", false},
	} {
		if got := concerns([]string{"first", c.opened}, c.name); got != c.want {
			t.Errorf("%s opened, asked for %s: %v", c.opened, c.name, got)
		}
	}
}
