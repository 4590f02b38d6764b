package record

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden file")

const fencingGolden = "testdata/fencing.golden"

func locals(host string) map[string]Local {
	return map[string]Local{
		"never":  {Host: host},
		"ran 1":  {Host: host, Epoch: 1},
		"ran 2":  {Host: host, Epoch: 2},
		"lost 2": {Host: host, Epoch: 2, Lost: true},
	}
}

func gits() []InGit {
	all := []InGit{{}, {Reached: true}}
	for epoch := 1; epoch <= 3; epoch++ {
		all = append(all, InGit{true, "here", epoch}, InGit{true, "there", epoch})
	}
	return all
}

func records() []OnRecord {
	all := []OnRecord{{}, {Reached: true}}
	for epoch := 1; epoch <= 3; epoch++ {
		for _, owner := range []string{"here", "there", ""} {
			all = append(all, OnRecord{true, Ruling{Epoch: epoch, Owner: owner, Reason: "a claim"}})
		}
	}
	return all
}

func says(reached bool, host string, epoch int) string {
	switch {
	case !reached:
		return "-"
	case epoch == 0:
		return "nobody"
	case host == "":
		return fmt.Sprintf("unreadable@%d", epoch)
	}
	return fmt.Sprintf("%s@%d", host, epoch)
}

// TestDecide writes down the verdict for every combination, to be reviewed as
// text; the laws below say why it may not be otherwise.
func TestDecide(t *testing.T) {
	var table strings.Builder
	fmt.Fprintf(&table, "%-7s %-8s %-13s %-8s %-6s %-7s %s\n", "local", "git", "record", "state", "start", "change", "unfenced")
	for _, name := range []string{"never", "ran 1", "ran 2", "lost 2"} {
		for _, git := range gits() {
			for _, record := range records() {
				v := Decide(locals("here")[name], git, record)
				if v.Reason == "" {
					t.Errorf("%s, %+v, %+v: no reason", name, git, record)
				}
				fmt.Fprintf(&table, "%-7s %-8s %-13s %-8s %-6t %-7t %t\n", name, says(git.Reached, git.Host, git.Epoch),
					says(record.Reached, record.Ruling.Owner, record.Ruling.Epoch), v.State, v.MayStart, v.MayChange, v.Unfenced)
			}
		}
	}
	if *update {
		if err := os.WriteFile(fencingGolden, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(fencingGolden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), table.String()); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

func TestDecideNeverLetsTwoHostsChangeTheOutside(t *testing.T) {
	for _, git := range gits() {
		for _, record := range records() {
			for hereName, here := range locals("here") {
				for thereName, there := range locals("there") {
					a, b := Decide(here, git, record), Decide(there, git, record)
					if a.MayChange && b.MayChange {
						t.Errorf("git %+v, record %+v: both hosts own it (here %s, there %s)", git, record, hereName, thereName)
					}
				}
			}
		}
	}
}

func TestDecideLaws(t *testing.T) {
	for name, local := range locals("here") {
		for _, git := range gits() {
			for _, record := range records() {
				v := Decide(local, git, record)
				where := fmt.Sprintf("%s, git %+v, record %+v: %+v", name, git, record, v)
				if v.MayChange != (v.State == Own) || v.State == Own && !v.MayStart || v.State == Lost && v.MayStart {
					t.Errorf("%s contradicts itself", where)
				}
				if !git.Reached && !record.Reached && (v.MayChange || v.MayStart != (local.Epoch > 0 && !local.Lost) || v.Unfenced != v.MayStart) {
					t.Errorf("%s: with nothing in reach it starts what ran, and changes nothing", where)
				}
				claimedElsewhere := record.Reached && record.Ruling.Owner != "here" && record.Ruling.Epoch > max(local.Epoch, git.Epoch)
				if claimedElsewhere && v.State != Lost {
					t.Errorf("%s: the highest claim is another's", where)
				}
				if local.Epoch == 0 && v.MayStart && (!record.Reached || record.Ruling.Owner != "here") {
					t.Errorf("%s: a first start needs a claim", where)
				}
			}
		}
	}
}
