package terminal

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// told splits "web-1  | text".
func told(line string) (string, string) {
	name, text, found := strings.Cut(line, " | ")
	if !found {
		return "", line
	}
	return strings.TrimSpace(name), text
}

const logged = "web-1 | hello\ndb | \x1b[31mred\x1b[0m\nno source\nweb-1 | bye"

func TestLinesHaveTheNameOfTheirSource(t *testing.T) {
	for name, c := range map[string]struct {
		colors, raw bool
		want        string
	}{
		"colours": {colors: true, want: "\x1b[36mweb-1 | \x1b[0mhello\n\x1b[33mdb    | \x1b[0m\\x1b[31mred\\x1b[0m\nno source\n\x1b[36mweb-1 | \x1b[0mbye\n"},
		"none":    {want: "web-1 | hello\ndb    | \\x1b[31mred\\x1b[0m\nno source\nweb-1 | bye\n"},
		"raw":     {raw: true, want: "web-1 | hello\ndb    | \x1b[31mred\x1b[0m\nno source\nweb-1 | bye\n"},
	} {
		got := shown(t, 80, false, func(p *Page) {
			to := NewLines(p.out, c.colors, c.raw).From(told)
			if _, err := io.Copy(struct{ io.Writer }{to}, iotest.OneByteReader(strings.NewReader(logged))); err != nil {
				t.Error(err)
			}
			if err := to.Close(); err != nil {
				t.Error(err)
			}
		})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

// TestLinesInAPipeAreAsTheyAre.
func TestLinesInAPipeAreAsTheyAre(t *testing.T) {
	var out bytes.Buffer
	to := NewLines(New(&out), true, false).From(told)
	if _, err := io.WriteString(to, logged+"\r\n"); err != nil || to.Close() != nil {
		t.Error(err)
	}
	if want := "web-1 | hello\ndb    | \x1b[31mred\x1b[0m\nno source\nweb-1 | bye\n"; out.String() != want {
		t.Errorf("%q", out.String())
	}
}

// TestS11ANameIsVisible, also where lines are raw.
func TestS11ANameIsVisible(t *testing.T) {
	for name, text := range hostile {
		var out bytes.Buffer
		if err := NewLines(&out, false, true).Write(text, ""); err != nil || strings.ContainsFunc(strings.TrimSuffix(out.String(), "\n"), hidden) {
			t.Errorf("%s: %q, %v", name, out.String(), err)
		}
	}
}
