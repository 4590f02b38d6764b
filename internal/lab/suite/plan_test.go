package suite

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func named(names ...string) (all []Test) {
	for _, name := range names {
		all = append(all, Test{scenarios, name})
	}
	return all
}

func names(all []planned) (names []string) {
	for _, p := range all {
		names = append(names, p.Name)
	}
	return names
}

func TestOrderIsCoreThenReachedThenDrawn(t *testing.T) {
	tests := named("TestA", "TestMove", "TestB", "TestHostLoss", "TestC", "TestD", "TestFencing", "TestByTheDocs")
	reached := func(t Test) bool { return t.Name == "TestC" || t.Name == "TestD" || t.Name == "TestMove" }
	got := names(order(tests, reached, "4e1243b"))
	if diff := cmp.Diff([]string{"TestByTheDocs", "TestHostLoss", "TestFencing", "TestMove"}, got[:4]); diff != "" {
		t.Errorf("core: %s", diff)
	}
	for where, want := range map[string][]string{"reached": {"TestC", "TestD"}, "drawn": {"TestA", "TestB"}} {
		part := map[string][]string{"reached": got[4:6], "drawn": got[6:]}[where]
		if slices.Sort(part); !slices.Equal(part, want) {
			t.Errorf("%s: got %v, want %v", where, part, want)
		}
	}
}

func TestCommitsDrawDifferentOrders(t *testing.T) {
	tests := named("TestA", "TestB", "TestC", "TestD", "TestE")
	none := func(Test) bool { return false }
	first := map[string]bool{}
	for commit := range 100 {
		one := names(order(tests, none, string(rune('a'+commit))))
		if again := names(order(tests, none, string(rune('a'+commit)))); !slices.Equal(one, again) {
			t.Fatalf("one commit draws %v and %v", one, again)
		}
		first[one[0]] = true
	}
	if len(first) != len(tests) {
		t.Errorf("over 100 commits only %v came first", first)
	}
}

func TestLongestFirst(t *testing.T) {
	known := map[Test]fact{{scenarios, "TestLong"}: {takes: time.Hour}, {scenarios, "TestShort"}: {takes: time.Second}}
	q := newQueue([]planned{{Test{scenarios, "TestShort"}, isCore}, {Test{scenarios, "TestUnknown"}, isDrawn}, {Test{scenarios, "TestLong"}, isDrawn}}, known)
	if got := q.total(); got != time.Hour+usually+time.Second {
		t.Errorf("%s in all", got)
	}
	q.longestFirst()
	if diff := cmp.Diff([]string{"TestLong", "TestUnknown", "TestShort"}, names(q.rest())); diff != "" {
		t.Error(diff)
	}
}

func TestQueueKeepsTheBudget(t *testing.T) {
	known := map[Test]fact{}
	for _, name := range []string{"TestMove", "TestLong", "TestShort"} {
		known[Test{scenarios, name}] = fact{takes: time.Minute}
	}
	known[Test{scenarios, "TestLong"}] = fact{takes: 10 * time.Minute}
	tests := []planned{{Test{scenarios, "TestMove"}, isCore}, {Test{scenarios, "TestLong"}, isReached}, {Test{scenarios, "TestShort"}, isDrawn}, {Test{scenarios, "TestUnknown"}, isDrawn}}
	for _, c := range []struct {
		name string
		left time.Duration
		slow float64 // how much longer than in the table the test before took
		want []string
		rest []string
	}{
		{"no bound", unbounded, 1, []string{"TestMove", "TestLong", "TestShort", "TestUnknown"}, nil},
		{"everything fits", 15 * time.Minute, 1, []string{"TestMove", "TestLong", "TestShort", "TestUnknown"}, nil},
		{"what is too long stays", 5 * time.Minute, 1, []string{"TestMove", "TestShort", "TestUnknown"}, []string{"TestLong"}},
		{"the unknown counts as usual", 2 * time.Minute, 1, []string{"TestMove", "TestShort"}, []string{"TestLong", "TestUnknown"}},
		{"a slow machine", 5 * time.Minute, 3, []string{"TestMove", "TestShort"}, []string{"TestLong", "TestUnknown"}},
		{"a quick machine", 6 * time.Minute, 0.5, []string{"TestMove", "TestLong", "TestShort", "TestUnknown"}, nil},
		{"the core begins with any time left", time.Second, 1, []string{"TestMove"}, []string{"TestLong", "TestShort", "TestUnknown"}},
		{"no time", 0, 1, nil, []string{"TestMove", "TestLong", "TestShort", "TestUnknown"}},
		{"overdrawn", -time.Minute, 1, nil, []string{"TestMove", "TestLong", "TestShort", "TestUnknown"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newQueue(slices.Clone(tests), known)
			q.took(Test{scenarios, "TestMove"}, time.Duration(c.slow*float64(time.Minute)))
			var got []planned
			for {
				next, ok := q.next(c.left)
				if !ok {
					break
				}
				got = append(got, next)
			}
			if diff := cmp.Diff(c.want, names(got)); diff != "" {
				t.Errorf("begun: %s", diff)
			}
			if diff := cmp.Diff(c.rest, names(q.rest())); diff != "" {
				t.Errorf("left: %s", diff)
			}
		})
	}
}
