package scenario

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for name, test := range map[string]string{
		"host-loss":         "TestHostLoss",
		"move":              "TestMove",
		"restore-on-create": "TestRestoreOnCreate",
	} {
		if got := Pattern(name); got != "^"+test+"$" {
			t.Errorf("Pattern(%q) = %q, want %s alone", name, got, test)
		}
		if got := Names(test); !slices.Equal(got, []string{name}) {
			t.Errorf("Names(%q) = %q, want %q", test, got, name)
		}
	}
	if got := Pattern("total-loss"); got != "^TestLosses$/^total-loss$" {
		t.Errorf("Pattern(total-loss) = %q", got)
	}
}

// TestSharedWorldsExist keeps a scenario's name from running nothing at all.
func TestSharedWorldsExist(t *testing.T) {
	files, err := filepath.Glob("../scenarios/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	var all strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(content)
	}
	for test, names := range worlds() {
		_, body, found := strings.Cut(all.String(), "\nfunc "+test+"(")
		if !found {
			t.Errorf("there is no %s", test)
			continue
		}
		body, _, _ = strings.Cut(body, "\n}\n")
		for _, name := range names {
			if !strings.Contains(body, `t.Run("`+name+`"`) {
				t.Errorf("%s does not run %s", test, name)
			}
		}
	}
}
