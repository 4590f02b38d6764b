package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"

	"salvor/internal/terminal"
)

// goldenScreens compares what a command prints with testdata/NAME.golden: on a terminal of
// 80 and one of 60 columns, in colours and without, and in a pipe.
func goldenScreens(t *testing.T, name string, print func(*terminal.Page)) {
	t.Helper()
	var all strings.Builder
	for _, columns := range []uint16{80, 60} {
		for _, colors := range []bool{true, false} {
			fmt.Fprintf(&all, "== %d columns, colours: %t\n%s", columns, colors, strings.ReplaceAll(pageOn(t, columns, colors, print), "\x1b", "ESC"))
		}
	}
	var piped strings.Builder
	print(terminal.NewPage(&piped, true))
	all.WriteString("== a pipe\n" + piped.String())
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(all.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), all.String()); diff != "" {
		t.Errorf("%s (go test ./internal/cli -update) (-want +got)\n%s", file, diff)
	}
}

// pageOn is what a terminal of so many columns gets of a page.
func pageOn(t *testing.T, columns uint16, colors bool, print func(*terminal.Page)) string {
	t.Helper()
	person, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer person.Close()
	if err := pty.Setsize(program, &pty.Winsize{Rows: 24, Cols: columns}); err != nil {
		t.Fatal(err)
	}
	shown := make(chan string)
	go func() {
		text, _ := io.ReadAll(person) // ends with EIO when the program's end is closed
		shown <- string(text)
	}()
	page := terminal.NewPage(terminal.New(program), colors)
	print(page)
	program.Close()
	if err := page.Err(); err != nil {
		t.Error(err)
	}
	return strings.ReplaceAll(<-shown, "\r\n", "\n")
}
