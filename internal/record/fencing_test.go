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
		all = append(all, InGit{Reached: true, Host: "here", Epoch: epoch}, InGit{Reached: true, Host: "there", Epoch: epoch})
	}
	return all
}

func records() []OnRecord {
	all := []OnRecord{{}, {Reached: true}}
	for epoch := 1; epoch <= 3; epoch++ {
		for _, owner := range []string{"here", "there"} {
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

// TestGitDecidesWhileTheClaimIsMissing is fault V9: alpha ran epoch 1; Git, in
// reach, places epoch 2 on beta, and the record shows only the claim of epoch 1.
func TestGitDecidesWhileTheClaimIsMissing(t *testing.T) {
	git := InGit{Reached: true, Host: "beta", Key: "age1beta", Epoch: 2}
	old := OnRecord{true, Ruling{Epoch: 1, Owner: "alpha", Key: "age1alpha"}}
	alpha, beta := Local{Host: "alpha", Key: "age1alpha", Epoch: 1}, Local{Host: "beta", Key: "age1beta", Epoch: 2}
	for _, c := range []struct {
		name    string
		local   Local
		git     InGit
		record  OnRecord
		state   State
		problem bool // with the claim
	}{
		{"the old host", alpha, git, old, Lost, false},
		{"the old host, which lost it before, when Git is away", Local{Host: "alpha", Key: "age1alpha", Epoch: 1, Lost: true}, InGit{}, old, Lost, false},
		{"the new host, which runs it", beta, git, old, Own, true},
		{"the new host, which runs it, when Git is away", beta, InGit{}, old, Unknown, true},
		{"the new host, which has not started it", Local{Host: "beta", Key: "age1beta"}, git, old, Unknown, true},
		{"the new host, no claim at all", beta, git, OnRecord{Reached: true}, Own, true},
		{"a host that was stopped for a takeover which came to nothing", Local{Host: "alpha", Key: "age1alpha", Epoch: 1, Lost: true}, InGit{Reached: true, Host: "alpha", Key: "age1alpha", Epoch: 1}, old, Own, false},
	} {
		v := Decide(c.local, c.git, c.record)
		if v.State != c.state || (v.Claim != "") != c.problem {
			t.Errorf("%s: %+v, want %s", c.name, v, c.state)
		}
	}
}

// TestAHostIsItsKey is fault D2: two machines under one name. The one whose key Git
// and the claims have owns the stack; a renamed host is still itself.
func TestAHostIsItsKey(t *testing.T) {
	placed := func(host, key string, epoch int) InGit {
		return InGit{Reached: true, Host: host, Key: key, Epoch: epoch}
	}
	claim := func(host, key string, epoch int) OnRecord {
		return OnRecord{true, Ruling{Epoch: epoch, Owner: host, Key: key}}
	}
	first, second := Local{Host: "web", Key: "age1first", Epoch: 1}, Local{Host: "web", Key: "age1second"}
	for _, c := range []struct {
		name   string
		local  Local
		git    InGit
		record OnRecord
		state  State
	}{
		{"added again, the first machine", first, placed("web", "age1second", 1), claim("web", "age1first", 1), Lost},
		{"added again, the second machine", second, placed("web", "age1second", 1), claim("web", "age1first", 1), Lost},
		{"taken over, the first machine", first, placed("web", "age1second", 2), claim("web", "age1second", 2), Lost},
		{"taken over, the first machine, Git away", first, InGit{}, claim("web", "age1second", 2), Lost},
		{"taken over, the first machine, record away", first, placed("web", "age1second", 2), OnRecord{}, Lost},
		{"taken over, the second machine", second, placed("web", "age1second", 2), claim("web", "age1second", 2), Own},
		{"renamed in Git", first, placed("omega", "age1first", 1), claim("web", "age1first", 1), Own},
		{"its key can't be read", Local{Host: "web", Epoch: 1}, placed("web", "age1first", 1), claim("web", "age1first", 1), Own},
	} {
		if v := Decide(c.local, c.git, c.record); v.State != c.state {
			t.Errorf("%s: %+v, want %s", c.name, v, c.state)
		}
	}
}
