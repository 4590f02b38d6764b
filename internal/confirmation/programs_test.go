package confirmation

import (
	"strings"
	"testing"
)

// TestS16QuestionsShowEveryArgument shows where arguments begin and end.
func TestS16QuestionsShowEveryArgument(t *testing.T) {
	text := run{Argv: []string{"safe", "a b", "\x1b[2K"}, Program: "/usr/bin/safe"}.question("nas")
	if want := `"safe" "a b" "\x1b[2K" ("/usr/bin/safe")`; !strings.Contains(text, want) {
		t.Errorf("%s, want %s", text, want)
	}
}
