package yamldoc

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// decoded reads a document by a shape, and returns the first of its problems.
func decoded[T any](t *testing.T, s Shape[T], in string) (T, string) {
	t.Helper()
	root, err := Parse("f.yaml", []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	problems := &Report{}
	value := s.Read(NewReader("f.yaml", problems), root, Path{"v"})
	if all := Problems(problems.Err()); len(all) > 0 {
		return value, all[0].Error()
	}
	return value, ""
}

// check reads documents by a shape: those in good as a value, those in bad not at all.
func check[T comparable](t *testing.T, s Shape[T], good map[string]T, bad map[string]string) {
	t.Helper()
	for in, want := range good {
		if got, problem := decoded(t, s, in); got != want || problem != "" {
			t.Errorf("%s: %v, %q; want %v", in, got, problem, want)
		}
	}
	for in, want := range bad {
		if _, problem := decoded(t, s, in); problem != "f.yaml:1:1: "+want {
			t.Errorf("%s: %q, want %q", in, problem, want)
		}
	}
}

func TestScalars(t *testing.T) {
	t.Parallel()
	check(t, Text(nil), map[string]string{"a": "a", `"8080"`: "8080"}, map[string]string{
		`""`: "v is empty", "8080": `v is the number 8080, want text: write it as "8080"`, "true": `v is true, want text: write it as "true"`, "~": "v is nothing, want text", "[]": "v is a list, want text",
	})
	short := Text(func(s string) error {
		if len(s) > 2 {
			return errors.New("too long")
		}
		return nil
	})
	check(t, short, map[string]string{"ab": "ab", `""`: ""}, map[string]string{"abc": "v: too long"})
	check(t, Matching(regexp.MustCompile(`^[a-z]+$`), "a word"), map[string]string{"abc": "abc"}, map[string]string{"a1": `v: "a1" is not a word`})
	check(t, Choice("pause", "live"), map[string]string{"live": "live"}, map[string]string{
		"pauze": `v is "pauze", want one of pause, live, did you mean "pause"?`, "3": "v is the number 3, want one of pause, live",
	})
	check(t, Number(1, 65535), map[string]int{"22": 22, "0x16": 22, "65535": 65535}, map[string]string{
		"0": "v is 0, want a number from 1 to 65535", "65536": "v is 65536, want a number from 1 to 65535", "2.5": "v is the number 2.5, want a number from 1 to 65535",
		"a": "v is text, want a number from 1 to 65535", "99999999999999999999": "v is the number 99999999999999999999, want a number from 1 to 65535",
	})
	check(t, Truth(), map[string]bool{"true": true, "false": false}, map[string]string{"1": "v is the number 1, want true or false", "maybe": "v is text, want true or false"})
	check(t, Plain(), map[string]string{"8080": "8080", "true": "true", "Europe/Zurich": "Europe/Zurich", "2026-01-02": "2026-01-02"}, map[string]string{
		"{}": "v is a mapping, want text, a number, true or false", "~": "v is nothing, want text, a number, true or false",
	})
	check(t, Duration(), map[string]time.Duration{"15m": 15 * time.Minute}, map[string]string{
		"15": "v is the number 15, want a duration such as 15m, 1h or 7d", "15x": `v: "15x" is not a duration: write it like 15m, 1h or 7d`,
	})
}

// door is what the tests' objects decode into.
type door struct {
	Name string
	Open bool
	Keys []string
	Near []Entry[int]
}

func doors() Shape[door] {
	return Object(
		Key("name", "What it is called.", Text(nil), func(d *door, v string) { d.Name = v }).Must(),
		Key("open", "Whether it is.", Truth(), func(d *door, v bool) { d.Open = v }),
		Key("keys", "", List(Text(nil)), func(d *door, v []string) { d.Keys = v }),
		Key("near", "", Named(KeysLike(regexp.MustCompile(`^[a-z]+$`), "a word"), Number(1, 9)), func(d *door, v []Entry[int]) { d.Near = v }),
	)
}

func TestObjects(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in, problem string
		want        door
	}{
		"all":            {"{name: a, open: true, keys: [k, l], near: {wall: 2, floor: 3}}", "", door{"a", true, []string{"k", "l"}, []Entry[int]{{"wall", 2}, {"floor", 3}}}},
		"nothing in it":  {"{name: a, keys: , near: }", "", door{Name: "a"}},
		"no name":        {"{open: true}", `f.yaml:1:1: v has no "name"`, door{Open: true}},
		"nothing":        {"~", `f.yaml:1:1: v has no "name"`, door{}},
		"text":           {"a", "f.yaml:1:1: v is text, want a mapping", door{}},
		"misspelt":       {"{name: a, opne: true}", `f.yaml:1:11: unknown key "opne", did you mean "open"?`, door{Name: "a"}},
		"no list":        {"{name: a, keys: k}", "f.yaml:1:17: v.keys is text, want a list", door{Name: "a"}},
		"in the list":    {"{name: a, keys: [k, 2]}", `f.yaml:1:21: v.keys.1 is the number 2, want text: write it as "2"`, door{Name: "a", Keys: []string{"k", ""}}},
		"a bad name":     {"{name: a, near: {Wall: 1, floor: 2}}", `f.yaml:1:18: "Wall" is not a word`, door{Name: "a", Near: []Entry[int]{{"floor", 2}}}},
		"kept all alike": {"{name: a, near: {wall: 10}}", "f.yaml:1:24: v.near.wall is 10, want a number from 1 to 9", door{Name: "a", Near: []Entry[int]{{"wall", 10}}}},
		"an extension":   {"{name: a, x-mine: 1}", `f.yaml:1:11: unknown key "x-mine"`, door{Name: "a"}},
	} {
		got, problem := decoded(t, doors(), c.in)
		if diff := cmp.Diff(c.want, got); diff != "" || problem != c.problem {
			t.Errorf("%s: %q, want %q (-want +got):\n%s", name, problem, c.problem, diff)
		}
	}
	if got, problem := decoded(t, Extensible(doors()), "{x-mine: &m {a: b}, name: a, x-more: *m}"); got.Name != "a" || problem != "" {
		t.Errorf("with extensions: %+v, %s", got, problem)
	}
	if _, problem := decoded(t, Extensible(doors()), "{y-mine: 1, name: a}"); !strings.Contains(problem, "y-mine") {
		t.Errorf("without: %q", problem)
	}
}

// TestPlacesOfObjects: a problem that is found later has the place of its value; an
// entry's is that of its name.
func TestPlacesOfObjects(t *testing.T) {
	t.Parallel()
	root, err := Parse("f.yaml", []byte("name: a\nnear:\n  wall: 2\nkeys:\n- k\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader("f.yaml", &Report{})
	doors().Read(r, root, nil)
	for at, want := range map[string]string{"name": "f.yaml:1:7", "near.wall": "f.yaml:3:3", "keys.0": "f.yaml:5:3", "open": "f.yaml:1:1"} {
		if got := r.Places.Of(strings.Split(at, ".")...).String(); got != want {
			t.Errorf("%s is at %s, want %s", at, got, want)
		}
	}
}

// TestSchema: the shape describes itself for editors.
func TestSchema(t *testing.T) {
	t.Parallel()
	got := string(Extensible(doors()).Schema.Encode("Door", "A door."))
	for _, want := range []string{
		`"$schema": "https://json-schema.org/draft/2020-12/schema"`, `"title": "Door"`, `"description": "What it is called."`, `"additionalProperties": false`,
		`"required": [` + "\n    \"name\"\n  ]", `"type": "object"`, `"pattern": "^[a-z]+$"`, `"minimum": 1`, `"maximum": 9`, `"^x-": {}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the schema lacks %s:\n%s", want, got)
		}
	}
	if s := Text(nil).Schema; s.Describe("x") == s || s.Description != "" {
		t.Error("a description changes the shape's own schema")
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	good := map[string]time.Duration{"15m": 15 * time.Minute, "1h30m": 90 * time.Minute, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "5s": 5 * time.Second, "12w": 84 * 24 * time.Hour, "1w1d": 192 * time.Hour}
	for in, want := range good {
		if got, err := ParseDuration(in); got != want || err != nil {
			t.Errorf("ParseDuration(%q) = %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "0s", "15", "-1h", "1.5h", "m", "1m1h", "99999999999d", "40000d", "1 h"} {
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", in, got)
		}
	}
}
