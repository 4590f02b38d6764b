package ack

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/finding"
)

func at(day int) time.Time { return time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC) }

func TestWhatIsNews(t *testing.T) {
	warning := func(code finding.Code, subject string) finding.Finding {
		return finding.Finding{Code: code, Severity: finding.Warning, Subject: subject, Text: "as it is now"}
	}
	k := Known{
		Acks:  Acks{}.With(Ack{Code: finding.KeyUnproven, Subject: "recovery", Until: at(20)}, at(1)).With(Ack{Code: finding.MountNested, Subject: "stacks/a/compose.yaml:3:4"}, at(1)),
		Shown: Shown{Hosts: []finding.Finding{{Code: finding.SnapshotLate, Subject: "alpha/notes", Text: "as it was then"}}, Commit: []finding.Finding{{Code: finding.NotCommitted, Subject: "stacks/a"}}},
	}
	fatal := warning(finding.KeyUnproven, "recovery")
	fatal.Severity = finding.Fatal
	found := []finding.Finding{
		fatal, warning(finding.KeyUnproven, "recovery"), warning(finding.MountNested, "stacks/a/compose.yaml:9:1"), warning(finding.MountNested, "stacks/b/compose.yaml:3:4"),
		warning(finding.SnapshotLate, "alpha/notes"), warning(finding.SnapshotLate, "alpha/blog"), warning(finding.NotCommitted, "stacks/a"),
	}
	for _, c := range []struct {
		now  time.Time
		want []finding.Finding
	}{
		{at(19), []finding.Finding{fatal, found[3], found[5], found[6]}},
		{at(20), []finding.Finding{fatal, found[1], found[3], found[5], found[6]}},
	} {
		news, known := k.News(found, c.now)
		if diff := cmp.Diff(c.want, news); diff != "" || known != len(found)-len(c.want) {
			t.Errorf("%s, %d known: %s", c.now, known, diff)
		}
	}
}

// TestAnAckReplacesAnEarlierOne, and those that have ended are not kept.
func TestAnAckReplacesAnEarlierOne(t *testing.T) {
	all := Acks{}.With(Ack{Code: "b", Subject: "x:1", Until: at(2)}, at(1)).With(Ack{Code: "a", Subject: "y", Why: "later"}, at(1)).With(Ack{Code: "b", Subject: "z", Until: at(3)}, at(1))
	all = all.With(Ack{Code: "b", Subject: "x:7:3", Until: at(9)}, at(4))
	want := Acks{{Code: "a", Subject: "y", Why: "later"}, {Code: "b", Subject: "x", Until: at(9)}}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
	left, there := all.Without("b", "x:2")
	if again, twice := left.Without("b", "x"); !there || twice || len(again) != 1 {
		t.Errorf("%v, %v, %v", left, there, twice)
	}
	if got := want[1].String() + ", " + want[0].String(); got != "b x until 2026-11-09, a y: later" {
		t.Error(got)
	}
}

func FuzzDecode(f *testing.F) {
	for _, content := range []string{"", `{"schema":1,"acks":[{"code":"a","subject":"b","until":"2026-11-02T00:00:00Z","why":"c"}]}`, `{"schema":9}`, `{}`, `{"schema":1} x`} {
		f.Add([]byte(content))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		all, err := Decode(content)
		if err != nil {
			return
		}
		encoded, err := Encode(all)
		if err != nil {
			return // a time that JSON can't write
		}
		again, err := Decode(encoded)
		if diff := cmp.Diff(all, again); err != nil || len(all) > 0 && diff != "" {
			t.Errorf("%v: %s", err, diff)
		}
	})
}
