package world

import (
	"regexp"
	"strings"
	"testing"
)

// person is a terminal in a home without a fleet.
func person(t *testing.T) *Terminal {
	t.Helper()
	w := &World{home: t.TempDir(), salvor: "/nonexistent/salvor"}
	term, err := w.Terminal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return term
}

func TestTerminalShowsAndAnswers(t *testing.T) {
	term := person(t)
	shown, err := term.Run(t.Context(), "cd / && pwd")
	if err != nil || !strings.Contains(shown, "\n/\n") {
		t.Errorf("got %q, %v", shown, err)
	}
	ask := `test -t 0 && read -p "Colour? " a && read -s -p "Secret: " b && echo "$PWD $a-$b"`
	shown, err = term.Run(t.Context(), ask, Answer{regexp.MustCompile(`Colour\?$`), "red"}, Answer{regexp.MustCompile(`^Secret:$`), "green"})
	if err != nil || !strings.Contains(shown, "/ red-green") || strings.Contains(shown, "Secret: green") {
		t.Errorf("got %q, %v", shown, err)
	}
}

func TestTerminalTellsHowACommandEnded(t *testing.T) {
	term := person(t)
	if _, err := term.Run(t.Context(), "printf '\\033[31mred\\033[0m\\n'; (exit 3)"); err == nil || !strings.Contains(err.Error(), "ended with 3") || !strings.Contains(err.Error(), "\nred\n") {
		t.Errorf("got %v", err)
	}
	if _, err := term.Run(t.Context(), "exit 0"); err == nil {
		t.Error("a shell that is gone came back")
	}
}
