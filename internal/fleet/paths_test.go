package fleet

import "testing"

func TestAllowed(t *testing.T) {
	t.Parallel()
	for pattern, valid := range map[string]bool{
		"stacks/*/docs": true, "stacks/immich/example.env": true, "docs": true, "README.md": true,
		"*": false, "*/docs": false, "stacks": false, "secrets": false, "secrets/x": false, "fleet.yaml": false, "../x": false, "/etc": false, "": false, "stacks/[a": false, ".git/x": false,
	} {
		if err := ValidAllowed(pattern); (err == nil) != valid {
			t.Errorf("%q: %v", pattern, err)
		}
	}
	patterns := []string{"stacks/*/docs", "stacks/b/sample.*"}
	for file, want := range map[string]bool{
		"stacks/a/docs/x": true, "stacks/a/docs/x/y/z": true, "stacks/a/docs": true, "stacks/b/sample.env": true,
		"stacks/a/docsx/y": false, "stacks/a/b/docs/x": false, "stacks/a/compose.yaml": false, "docs/x": false, "stacks/a/sample.env": false,
	} {
		if got := Allowed(patterns, file); got != want {
			t.Errorf("%s: %v", file, got)
		}
	}
}
