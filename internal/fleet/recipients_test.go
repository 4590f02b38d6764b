package fleet

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRecipientsAll(t *testing.T) {
	cases := map[string]struct {
		in   Recipients
		want []string
	}{
		"none":              {Recipients{}, nil},
		"sorted":            {Recipients{Operators: map[string]string{"ada": "age1c", "bob": "age1a"}, Recovery: "age1b"}, []string{"age1a", "age1b", "age1c"}},
		"one key two names": {Recipients{Operators: map[string]string{"ada": "age1a", "laptop": "age1a"}}, []string{"age1a"}},
	}
	for name, c := range cases {
		if diff := cmp.Diff(c.want, c.in.All()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
