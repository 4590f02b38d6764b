package explain

import (
	"testing"

	"salvor/internal/yamldoc"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a: {b\n":            "f.yaml:1:4: the bracket that begins here is not closed, or an item in it is not a value",
		"a: b\n--- \nc: d\n": "f.yaml:2:1: a second YAML document starts here, want one only",
		"a: b\n---\nc: {\n":  "f.yaml:4:1: the bracket that begins here is not closed, or an item in it is not a value",
		"a: \t- b\n\tc: d\n": "f.yaml:1:5: a list can't begin here",
		"a: *b\n":            "f.yaml:1:4: the anchor 'b' is not defined",
		"a: \xff\n":          "f.yaml:1:4: the file has a byte that is not text in UTF-8",
	} {
		if root, err := Parse("f.yaml", []byte(in)); err == nil || err.Error() != want || root != nil {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
	for _, in := range []string{"", "# only a comment\n", "---\n"} {
		if root, err := Parse("f.yaml", []byte(in)); err != nil || root != nil && !yamldoc.IsNull(root) {
			t.Errorf("%q: %+v, %v", in, root, err)
		}
	}
}
