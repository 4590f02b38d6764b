package version

import "testing"

func TestOlder(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{{"0.1.0", "0.2", true}, {"0.2.0", "0.2", false}, {"0.10.0", "0.9.9", false}, {"1.0.0+dev", "1.0.1", true}, {"1.0.1+dev", "1.0.1", false}}
	for _, test := range tests {
		if got := Older(test.a, test.b); got != test.want {
			t.Errorf("Older(%q, %q) = %v", test.a, test.b, got)
		}
	}
}

func TestReplaces(t *testing.T) {
	const older, newer = "0.1.0+20261101000000.aaaaaaaaaaaa", "0.1.0+20261129074500.bbbbbbbbbbbb"
	cases := map[string]struct {
		own, there string
		want       bool
	}{
		"the same":                 {newer, newer, false},
		"an older build":           {newer, older, true},
		"a newer build":            {older, newer, false},
		"an older release":         {"0.2.0+20250101000000.aaaaaaaaaaaa", newer, true},
		"a newer release":          {newer, "0.2.0+20250101000000.aaaaaaaaaaaa", false},
		"of the same second":       {"0.1.0+20261129074500.cccccccccccc", newer, true},
		"theirs was made by hand":  {older, "0.1.0+dev", true},
		"ours was made by hand":    {"0.1.0+dev", newer, true},
		"both were made by hand":   {"0.1.0+dev", "0.1.0+dev", false},
		"before builds had a time": {older, "0.1.0+1a2b3c4d5e6f", true},
		"not a version":            {older, "what?", true},
	}
	for name, c := range cases {
		if got := Replaces(c.own, c.there); got != c.want {
			t.Errorf("%s: Replaces(%q, %q) = %v", name, c.own, c.there, got)
		}
	}
}

func TestIs(t *testing.T) {
	for text, want := range map[string]bool{String(): true, "0.1.0+20261129074500.1a2b3c4d5e6f": true, "": false, "0.1.0": false, "+dev": false, "hello 1.2.3+x": false, "1.2+x": false} {
		if Is(text) != want {
			t.Errorf("%q: %t", text, !want)
		}
	}
}
