package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
)

// TestDecideGolden writes down the decision for every combination of facts, so
// that a change to the rule is read line by line.
func TestDecideGolden(t *testing.T) {
	const id, epoch = "home/notes/db@r1", 5
	markers := []struct {
		name string
		m    Marker
	}{
		{"no marker", Marker{}},
		{"ready", Marker{Identity: id, Epoch: epoch, State: MarkedReady}},
		{"ready, older epoch", Marker{Identity: id, Epoch: epoch - 1, State: MarkedReady}},
		{"ready, newer epoch", Marker{Identity: id, Epoch: epoch + 1, State: MarkedReady}},
		{"ready, another volume's", Marker{Identity: "home/notes/db@r0", Epoch: epoch, State: MarkedReady}},
		{"hydrating", Marker{Identity: id, Epoch: epoch, State: MarkedHydrating}},
		{"hydrating, older epoch", Marker{Identity: id, Epoch: epoch - 1, State: MarkedHydrating}},
	}
	var b strings.Builder
	for _, m := range markers {
		for _, born := range []bool{false, true} {
			for _, history := range []History{HistoryNone, HistorySome, HistoryUnknown} {
				for _, consent := range []agentapi.Consent{"", agentapi.ConsentRestore, agentapi.ConsentFresh} {
					d := Decide(Facts{Marker: m.m, Identity: id, Epoch: epoch, Born: born, History: history, Consent: consent})
					fmt.Fprintf(&b, "%s | born %v | snapshots %s | %q => %s: %s\n", m.name, born, history, consent, d.Action, d.Reason)
					checkDecision(t, m.m, id, born, history, consent, d)
				}
			}
		}
	}
	golden := filepath.Join("testdata", "decide.golden")
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
}

// checkDecision holds the promises that no combination may break.
func checkDecision(t *testing.T, m Marker, id string, born bool, h History, c agentapi.Consent, d Decision) {
	t.Helper()
	ready := m.State == MarkedReady && m.Identity == id && m.Epoch == 5
	switch {
	case d.Action == Ready && !ready:
		t.Errorf("%+v starts on data that is not ready", m)
	case d.Action == StartEmpty && c != agentapi.ConsentFresh && (born || h != HistoryNone || m.Identity == id):
		t.Errorf("%+v born %v history %s starts empty unasked", m, born, h)
	case d.Action == Hydrate && h != HistorySome:
		t.Errorf("%+v hydrates from nothing", m)
	case d.Action == Hydrate && !born && m.Identity != id && c != agentapi.ConsentRestore:
		t.Errorf("%+v takes another's snapshots unasked", m)
	case (d.Action == Refuse) != (d.Hint != ""):
		t.Errorf("%+v: %s has hint %q", m, d.Action, d.Hint)
	case ready && d.Action != Ready:
		t.Errorf("an owner does not start, history %s", h)
	}
}
