package record

import (
	"slices"
	"strings"
)

// OnBranch says whether a commit is on the control repository's branch. Known is
// false when that is unknown because the repository is out of reach.
type OnBranch func(commit string) (on, known bool)

// A Ruling says who owns a stack by the claims. Its zero value means that it was
// never claimed.
type Ruling struct {
	Epoch  int
	ID     string // of the claim
	Owner  string
	Key    string // the owner's recipient
	Commit string
	Reason string
	Off    bool // Commit is known not to be on the branch
}

// Rule decides between claims: the highest epoch wins; of equal ones the claim
// whose commit is on the Git branch, and where Git does not decide, the lowest
// ID. The order of claims does not matter.
func Rule(claims []Claim, onBranch OnBranch) Ruling {
	if len(claims) == 0 {
		return Ruling{}
	}
	epoch := 0
	for _, c := range claims {
		epoch = max(epoch, c.Epoch)
	}
	top := keep(claims, func(c Claim) bool { return c.Epoch == epoch })
	reason := "the only claim of the highest epoch"
	if len(top) > 1 {
		top, reason = byBranch(top, onBranch)
	}
	winner := slices.MinFunc(top, func(a, b Claim) int { return strings.Compare(a.ID, b.ID) })
	on, known := onBranch(winner.Commit)
	return Ruling{Epoch: epoch, ID: winner.ID, Owner: winner.Host, Key: winner.Key, Commit: winner.Commit, Reason: reason, Off: known && !on}
}

// byBranch narrows claims of one epoch to those whose commit is on the branch,
// or else to those of which that can't be excluded.
func byBranch(claims []Claim, onBranch OnBranch) ([]Claim, string) {
	on := keep(claims, func(c Claim) bool {
		on, known := onBranch(c.Commit)
		return on && known
	})
	if len(on) > 0 {
		return on, "of several claims, the one whose commit is on the branch"
	}
	open := keep(claims, func(c Claim) bool {
		_, known := onBranch(c.Commit)
		return !known
	})
	if len(open) == 0 {
		open = claims
	}
	return open, "of several claims, the first one, since Git does not decide"
}

func keep(claims []Claim, is func(Claim) bool) []Claim {
	return slices.DeleteFunc(slices.Clone(claims), func(c Claim) bool { return !is(c) })
}
