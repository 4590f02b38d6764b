package suggest

import "testing"

func TestDidYouMean(t *testing.T) {
	known := []string{"port", "address", "user", "jump", "root_folder_id"}
	for word, want := range map[string]string{
		"prot":        `, did you mean "port"?`, // two neighbours swapped are one edit
		"addrss":      `, did you mean "address"?`,
		"root_folder": `, did you mean "root_folder_id"?`, // a third of its length
		"xyz":         "",
		"":            "",
	} {
		if got := DidYouMean(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if got := Nearest("ab", []string{"ac", "aa"}); got != "aa" {
		t.Errorf("of two equally near ones %q, want the first", got)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"port", "prot", 1}, {"kitten", "sitting", 3}, {"naïve", "naive", 1}, {"ca", "abc", 3}} {
		if got := Distance(c.a, c.b); got != c.want || Distance(c.b, c.a) != c.want {
			t.Errorf("%q, %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
