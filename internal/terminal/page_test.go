package terminal

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
)

// shown returns what a terminal of so many columns gets of what is printed.
func shown(t *testing.T, columns uint16, colors bool, print func(*Page)) string {
	t.Helper()
	person, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close(); program.Close() })
	if err := pty.Setsize(program, &pty.Winsize{Rows: 24, Cols: columns}); err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		text, _ := io.ReadAll(person) // ends with EIO when the program's end is closed
		got <- string(text)
	}()
	page := NewPage(New(program), colors)
	print(page)
	if err := page.Err(); err != nil {
		t.Error(err)
	}
	program.Close()
	return strings.ReplaceAll(<-got, "\r\n", "\n")
}

func table(p *Page) {
	p.Printf("%s of %d\n", Paint(Strong, "alpha"), 2)
	p.Table("  ",
		Row{Paint(Good, "+ volume data"), "starts empty"},
		Row{Paint(Notice, "~ services"), "image of web 1.2 → 1.3, environment of web +GREETING ~MODE, ports of web"},
		Row{"- 京都"},
		Row{"- ok", ""},
	)
}

func TestAPageFitsItsTerminal(t *testing.T) {
	if got, want := shown(t, 60, true, table), "\x1b[1malpha\x1b[22m of 2\n"+
		"  \x1b[32m+ volume data\x1b[0m   starts empty\n"+
		"  \x1b[33m~ services\x1b[0m      image of web 1.2 → 1.3, environment of web\n"+
		"                  +GREETING ~MODE, ports of web\n"+
		"  - 京都\n  - ok\n"; got != want {
		t.Error(cmp.Diff(want, got))
	}
	if got, want := shown(t, 40, false, table), "alpha of 2\n"+
		"  + volume data   starts empty\n"+
		"  ~ services\n        image of web 1.2 → 1.3,\n        environment of web +GREETING\n        ~MODE, ports of web\n"+
		"  - 京都\n  - ok\n"; got != want {
		t.Error(cmp.Diff(want, got))
	}
}

// TestAPageThatIsNoTerminal has whole lines and no colours.
func TestAPageThatIsNoTerminal(t *testing.T) {
	var out bytes.Buffer
	table(NewPage(&out, true))
	want := "alpha of 2\n  + volume data   starts empty\n" +
		"  ~ services      image of web 1.2 → 1.3, environment of web +GREETING ~MODE, ports of web\n  - 京都\n  - ok\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// TestS11PaintedTextIsVisible: what comes from elsewhere has no sequences of its own,
// in colours either.
func TestS11PaintedTextIsVisible(t *testing.T) {
	for name, text := range hostile {
		got := shown(t, 80, true, func(p *Page) {
			p.Printf("%s %s\n", Paint(Bad, text), text)
			p.Table("", Row{Paint(Good, text), text}, Row{text})
		})
		for _, ours := range []string{"\x1b[31m", "\x1b[32m", "\x1b[0m"} {
			got = strings.ReplaceAll(got, ours, "")
		}
		if strings.ContainsFunc(strings.ReplaceAll(got, "\n", ""), hidden) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestAPageKeepsItsError(t *testing.T) {
	closed, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	p := NewPage(closed, false)
	table(p)
	if p.Err() == nil {
		t.Error("a page that can't be written has no error")
	}
}
