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
