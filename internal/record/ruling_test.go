package record

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// branchOf knows the commits on-… to be on the branch, off-… not to be, and
// nothing about others.
func branchOf(commit string) (on, known bool) {
	switch {
	case len(commit) > 3 && commit[:3] == "on-":
		return true, true
	case len(commit) > 4 && commit[:4] == "off-":
		return false, true
	}
	return false, false
}

func TestRule(t *testing.T) {
	claim := func(epoch int, id, host, commit string) Claim {
		return Claim{Epoch: epoch, ID: id, Host: host, Commit: commit}
	}
	for _, c := range []struct {
		name   string
		claims []Claim
		epoch  int
		owner  string
	}{
		{"the stack has no claim", nil, 0, ""},
		{"one claim", []Claim{claim(3, "a", "alpha", "away")}, 3, "alpha"},
		{"one claim, its commit not on the branch", []Claim{claim(3, "a", "alpha", "off-1")}, 3, "alpha"},
		{"the higher epoch wins", []Claim{claim(9, "a", "alpha", "on-1"), claim(10, "b", "beta", "off-1")}, 10, "beta"},
		{"equal, first on the branch", []Claim{claim(2, "a", "alpha", "on-1"), claim(2, "b", "beta", "off-2")}, 2, "alpha"},
		{"equal, second on the branch", []Claim{claim(2, "a", "alpha", "off-1"), claim(2, "b", "beta", "on-2")}, 2, "beta"},
		{"equal, second on the branch, first unknown", []Claim{claim(2, "a", "alpha", "away"), claim(2, "b", "beta", "on-2")}, 2, "beta"},
		{"equal, first off the branch, second unknown", []Claim{claim(2, "a", "alpha", "off-1"), claim(2, "b", "beta", "away")}, 2, "beta"},
		{"equal, Git away", []Claim{claim(2, "b", "beta", "away-1"), claim(2, "a", "alpha", "away-2")}, 2, "alpha"},
		{"equal, none on the branch", []Claim{claim(2, "b", "beta", "off-1"), claim(2, "a", "alpha", "off-2")}, 2, "alpha"},
		{"equal, both on the branch", []Claim{claim(2, "b", "beta", "on-1"), claim(2, "a", "alpha", "on-2")}, 2, "alpha"},
		{"three, two on the branch", []Claim{claim(2, "a", "alpha", "off-1"), claim(2, "c", "gamma", "on-2"), claim(2, "b", "beta", "on-1")}, 2, "beta"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 10 { // in any order
				claims := slices.Clone(c.claims)
				rand.Shuffle(len(claims), func(i, j int) { claims[i], claims[j] = claims[j], claims[i] })
				if got := Rule(claims, branchOf); got.Epoch != c.epoch || got.Owner != c.owner {
					t.Fatalf("Rule(%v) = %+v, want epoch %d, owner %q", claims, got, c.epoch, c.owner)
				}
			}
		})
	}
}

// TestS04AClaimOffTheBranchIsNamed: it decides, since Git may have gone back, and every
// host says so.
func TestS04AClaimOffTheBranchIsNamed(t *testing.T) {
	t.Parallel()
	for commit, off := range map[string]bool{"on-1": false, "off-1": true, "away": false} {
		r := Rule([]Claim{{Epoch: 2, ID: "a", Host: "beta", Commit: commit}}, branchOf)
		v := Decide(Local{Host: "alpha", Epoch: 1}, InGit{}, OnRecord{Reached: true, Ruling: r})
		if r.Off != off || (v.Off != "") != off || v.State != Lost {
			t.Errorf("%s: %+v, %+v", commit, r, v)
		}
	}
}
