package scenario

import "testing"

func TestNames(t *testing.T) {
	for name, test := range map[string]string{
		"host-loss":         "TestHostLoss",
		"move":              "TestMove",
		"restore-on-create": "TestRestoreOnCreate",
	} {
		if got := Test(name); got != test {
			t.Errorf("Test(%q) = %q, want %q", name, got, test)
		}
		if got := Name(test + "/part"); got != name {
			t.Errorf("Name(%q) = %q, want %q", test, got, name)
		}
	}
}
