package yamldoc

import (
	"slices"
	"testing"
)

func TestBuiltNodesReadBack(t *testing.T) {
	m := NewMapping()
	SetEntry(m, "a", NewText("gone"))
	SetEntry(m, "list", NewList(NewText("1"), NewText("true")))
	SetEntry(m, "a", NewNumber("5"))
	SetEntry(m, "b", NewBool(false))
	content, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	if want := "list:\n  - \"1\"\n  - \"true\"\na: 5\nb: false\n"; string(content) != want {
		t.Errorf("= %s, want %s", content, want)
	}
	root, err := Parse("x", content)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for key := range Entries(root) {
		keys = append(keys, key)
	}
	if !slices.Equal(keys, []string{"list", "a", "b"}) {
		t.Errorf("keys %v", keys)
	}
}

func TestEntriesAndItemsFollowAliases(t *testing.T) {
	root, err := Parse("x", []byte("a: &a {k: v}\nb: *a\nc: &c [1, two]\nd: *c\ne: &e text\nf: *e\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := ValueOf(Find(root, "b", "k")); got != "v" {
		t.Errorf("b.k = %q", got)
	}
	if items := Items(Find(root, "d")); len(items) != 2 || ValueOf(items[1]) != "two" {
		t.Errorf("d = %v", items)
	}
	if got := ValueOf(Find(root, "f")); got != "text" {
		t.Errorf("f = %q", got)
	}
	for _, none := range []*Node{nil, root, Find(root, "e"), Find(root, "none")} {
		if len(Items(none)) != 0 || Find(none, "none") != nil {
			t.Errorf("%v has items or entries", none)
		}
	}
	if ValueOf(nil) != "" || ValueOf(root) != "" {
		t.Error("what is not a scalar has a value")
	}
}
