package scenario

import (
	"maps"
	"slices"
	"strings"
)

// worlds are the tests in which several scenarios share a world: which, in which
// order. Each is a subtest of its name and can run without the others.
func worlds() map[string][]string {
	return map[string][]string{
		"TestApplies": {"two-operators", "interrupted-apply"},
		"TestLosses":  {"interrupted-recovery", "total-loss"},
	}
}

// Names are the scenarios of a test: TestHostLoss is host-loss alone.
func Names(test string) []string {
	if shared := worlds()[test]; shared != nil {
		return shared
	}
	return []string{name(test)}
}

// Pattern is what go test -run takes for a scenario.
func Pattern(name string) string {
	for _, test := range slices.Sorted(maps.Keys(worlds())) {
		if slices.Contains(worlds()[test], name) {
			return "^" + test + "$/^" + name + "$"
		}
	}
	return "^" + test(name) + "$"
}

// name turns TestHostLoss into host-loss.
func name(test string) string {
	test, _, _ = strings.Cut(strings.TrimPrefix(test, "Test"), "/")
	var b strings.Builder
	for i, r := range test {
		if r >= 'A' && r <= 'Z' {
			if i > 0 {
				b.WriteByte('-')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// test turns host-loss into TestHostLoss.
func test(name string) string {
	var b strings.Builder
	b.WriteString("Test")
	for word := range strings.SplitSeq(name, "-") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}
