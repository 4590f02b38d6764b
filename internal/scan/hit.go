package scan

import (
	"cmp"
	"slices"
)

// rank says how much a rule knows about what it found; the highest speaks for
// a value that several see.
type rank int

const (
	vague    rank = iota // gitleaks' generic rule
	byKey                // the key says that it is a secret
	byShape              // gitleaks knows whose key it is
	byFormat             // a private key, a URL
)

// A hit is a secret that one rule sees at bytes start to end of a text.
type hit struct {
	start, end int
	rank       rank
	rule       string
	says       string
	name       string // what names the value, "" where that is not known
	key        string // the same, "" where it is not to be shown
}

// strongest drops each hit that overlaps one of a higher rank. Ties go to the
// earlier place, and then to the name: gitleaks runs its rules in random order.
func strongest(hits []hit) []hit {
	slices.SortFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end), cmp.Compare(a.rule, b.rule), cmp.Compare(a.says, b.says))
	})
	var kept []hit // by place; none overlaps another
	for _, h := range hits {
		at, same := slices.BinarySearchFunc(kept, h.start, func(k hit, start int) int { return cmp.Compare(k.start, start) })
		if same || at > 0 && kept[at-1].end > h.start || at < len(kept) && kept[at].start < h.end {
			continue
		}
		kept = slices.Insert(kept, at, h)
	}
	return kept
}
