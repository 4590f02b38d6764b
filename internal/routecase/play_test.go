package routecase

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const vectors = "testdata/dockflare-examples.json"

// An expectation is what a case of the vectors says of itself.
type expectation struct {
	ID          string          `json:"id"`
	Match       string          `json:"match"`
	Expected    json.RawMessage `json:"expected"`
	Checkpoints []struct {
		After    string          `json:"after"`
		Expected json.RawMessage `json:"expected"`
	} `json:"checkpoints"`
}

func expectations(t *testing.T) []expectation {
	t.Helper()
	content, err := os.ReadFile(vectors)
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Cases      []expectation `json:"cases"`
		Lifecycle  []expectation `json:"lifecycle_cases"`
		Divergence []expectation `json:"divergence_cases"`
	}
	if err := json.Unmarshal(content, &f); err != nil {
		t.Fatal(err)
	}
	return slices.Concat(f.Cases, f.Lifecycle, f.Divergence)
}

// decoded is JSON as values, with the ingress rules sorted where the order is free.
func decoded(t *testing.T, content []byte, sorted bool) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(content, &v); err != nil {
		t.Fatal(err)
	}
	if rules, is := v["ingress"].([]any); is && sorted {
		slices.SortFunc(rules, func(a, b any) int { return slices.Compare(encode(a), encode(b)) })
	}
	return v
}

// TestVectors plays every case of the file. Where DockFlare is right the result is its own;
// where it is not, what Salvor does is in testdata/ours.json.
func TestVectors(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(vectors)
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string][]json.RawMessage{}
	if own, err := os.ReadFile("testdata/ours.json"); err != nil {
		t.Fatal(err)
	} else if err := json.Unmarshal(own, &ours); err != nil {
		t.Fatal(err)
	}
	played := 0
	for _, want := range expectations(t) {
		c, err := Read(content, want.ID)
		if err != nil {
			t.Fatal(err)
		}
		got := c.Play()
		states, wanted := []State{got.State}, []json.RawMessage{want.Expected}
		if want.Checkpoints != nil {
			states, wanted = nil, nil
			for i, c := range got.Checkpoints {
				states, wanted = append(states, c.Expected), append(wanted, want.Checkpoints[i].Expected)
			}
		}
		if want.Match == "should_differ" {
			wanted = ours[want.ID]
		}
		if len(states) != len(wanted) || len(states) == 0 {
			t.Fatalf("%s: %d states, want %d", want.ID, len(states), len(wanted))
		}
		for i, state := range states {
			free := want.Match == "must_except_order"
			if diff := cmp.Diff(decoded(t, wanted[i], free), decoded(t, encode(state), free)); diff != "" {
				t.Errorf("%s, state %d (-want +got):\n%s", want.ID, i, diff)
			}
		}
		played++
	}
	if t.Logf("%d cases played", played); played != 14 {
		t.Errorf("%d cases played, want all 14", played)
	}
}
