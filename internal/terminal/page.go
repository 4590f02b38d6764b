package terminal

import (
	"io"
	"os"
	"strings"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// A Page is where a command lays out its result: as wide as the terminal, and in
// colours, where it is a terminal that shows them. Anywhere else a line is as long as
// it is, so that programs read whole lines. What it is given is made visible. It keeps
// the first error.
type Page struct {
	out     io.Writer
	width   int // columns, 0 where nothing is wrapped
	colored bool
	err     error
}

// NewPage returns a page on w. Without colors it has none, terminal or not.
func NewPage(w io.Writer, colors bool) *Page {
	if !Is(w) {
		return &Page{out: w}
	}
	return &Page{out: w, width: Columns(w), colored: colors}
}

// Columns returns how wide the terminal w is; one that can't say counts as the usual
// one, and what is not a terminal has none.
func Columns(w io.Writer) int {
	file, is := Under(w).(*os.File)
	if !is || !Is(w) {
		return 0
	}
	columns, _, err := term.GetSize(int(file.Fd()))
	if err != nil || columns == 0 {
		return 80
	}
	return columns
}

// Err returns the first error of writing.
func (p *Page) Err() error { return p.err }

// Printf prints as the function Printf does, with each Painted in its style.
func (p *Page) Printf(format string, args ...any) {
	shown := make([]any, len(args))
	for i, arg := range args {
		if painted, is := arg.(Painted); is {
			arg = inked(p.ink(painted))
		}
		shown[i] = arg
	}
	p.write(Sprintf(format, shown...))
}

// inked is text that was made visible before it was coloured.
type inked string

func (p *Page) ink(text Painted) string {
	if p.colored {
		return text.Colored()
	}
	return text.text
}

// write writes what is visible already, and may be coloured.
func (p *Page) write(text string) {
	if p.err == nil {
		p.err = pass(p.out, text)
	}
}

// least is the room, in columns, in which a text is still worth wrapping beside others.
const least = 24

// gap separates columns.
const gap = "   "

// A Row has the cells of one line of a table: text, or a Painted.
type Row []any

// Table prints rows behind an indent, each column as wide as its widest cell. Where the
// page is too narrow the last column goes on below itself, and where there is no room
// for that either, below the row: also behind a cell that takes more than half of the
// page, for which the others are not moved. Rows may have fewer cells than others.
func (p *Page) Table(indent string, rows ...Row) {
	widths := columnWidths(rows, p.width/2)
	for _, row := range rows {
		p.row(indent, row, widths)
	}
}

func columnWidths(rows []Row, most int) []int {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if w := Width(painted(cell).text); most == 0 || w <= most {
				widths[i] = max(widths[i], w)
			}
		}
	}
	return widths
}

func painted(cell any) Painted {
	if p, is := cell.(Painted); is {
		return Painted{p.style, Line(p.text)}
	}
	return Painted{text: Sprintf("%v", cell)}
}

func (p *Page) row(indent string, row Row, widths []int) {
	at, over := Width(indent), false // whether a cell is wider than its column
	var line strings.Builder
	line.WriteString(indent)
	for i, each := range row {
		cell := painted(each)
		if i < len(row)-1 {
			wide := max(widths[i], Width(cell.text))
			over = over || wide > widths[i]
			line.WriteString(p.ink(cell) + strings.Repeat(" ", wide-Width(cell.text)) + gap)
			at += wide + len(gap)
			continue
		}
		room := p.width - at
		if p.width > 0 && i > 0 && Width(cell.text) > room && (room < least || over) {
			p.write(strings.TrimRight(line.String(), " ") + "\n")
			line.Reset()
			at = Width(indent) + 2*len(gap)
			line.WriteString(strings.Repeat(" ", at))
			room = p.width - at
		}
		for j, part := range wrapped(cell.text, room) {
			if j > 0 {
				line.WriteString("\n" + strings.Repeat(" ", at))
			}
			line.WriteString(p.ink(Painted{cell.style, part}))
		}
	}
	p.write(strings.TrimRight(line.String(), " ") + "\n")
}

// wrapped breaks a text between words into lines of so many columns. A word that is
// longer stays whole; without room so does the text.
func wrapped(text string, room int) []string {
	if room <= 0 || Width(text) <= room {
		return []string{text}
	}
	var lines []string
	for _, word := range strings.Fields(text) {
		if n := len(lines); n > 0 && Width(lines[n-1])+1+Width(word) <= room {
			lines[n-1] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}

// Width returns how many columns a text takes.
func Width(text string) int { return runewidth.StringWidth(text) }

// Fit returns a text of so many columns, cut or filled up with spaces.
func Fit(text string, columns int) string {
	if columns < 2 && Width(text) > columns {
		return ""
	}
	return runewidth.FillRight(runewidth.Truncate(text, columns, "…"), columns)
}
