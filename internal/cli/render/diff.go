package render

import (
	"fmt"
	"strings"

	"salvor/internal/terminal"
)

// around is how many equal lines a diff shows around each change.
const around = 3

// styles are those of the lines of a diff.
var styles = map[byte]terminal.Style{'+': terminal.Good, '-': terminal.Bad}

// A line of a diff: kept (' '), gone ('-') or new ('+').
type diffLine struct {
	sign byte
	text string
}

// Diff prints how a file changes, as diff -u does. A nil side means no file.
func Diff(page *terminal.Page, path string, before, after []byte) {
	if string(before) == string(after) {
		return
	}
	from, to := path, path
	if before == nil {
		from = "/dev/null"
	}
	if after == nil {
		to = "/dev/null"
	}
	page.Printf("%s\n%s\n", terminal.Paint(terminal.Strong, "--- "+from), terminal.Paint(terminal.Strong, "+++ "+to))
	lines := compare(split(before), split(after))
	for at := 0; at < len(lines); {
		begin, end := hunk(lines, at)
		if begin == end {
			break
		}
		printHunk(page, lines, begin, end)
		at = end
	}
}

func split(content []byte) []string {
	lines := strings.SplitAfter(string(content), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// maxTable bounds what compare remembers; larger files are rarely read line by line.
const maxTable = 4 << 20

// compare finds a longest common subsequence between what both have at their begin
// and at their end. Where that is too much to compare, all of the old goes and all
// of the new comes.
func compare(a, b []string) []diffLine {
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	behind := 0
	for behind < min(len(a), len(b))-same && a[len(a)-1-behind] == b[len(b)-1-behind] {
		behind++
	}
	lines := signed(' ', a[:same])
	from, to := a[same:len(a)-behind], b[same:len(b)-behind]
	if (len(from)+1)*(len(to)+1) > maxTable {
		lines = append(append(lines, signed('-', from)...), signed('+', to)...)
	} else {
		lines = append(lines, fewest(from, to)...)
	}
	return append(lines, signed(' ', a[len(a)-behind:])...)
}

func signed(sign byte, texts []string) []diffLine {
	var lines []diffLine
	for _, text := range texts {
		lines = append(lines, diffLine{sign, text})
	}
	return lines
}

// fewest is the difference with as many lines kept as can be.
func fewest(a, b []string) []diffLine {
	longest := make([][]int, len(a)+1)
	for i := range longest {
		longest[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if longest[i][j] = max(longest[i+1][j], longest[i][j+1]); a[i] == b[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			}
		}
	}
	var lines []diffLine
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			lines = append(lines, diffLine{' ', a[i]})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || longest[i+1][j] >= longest[i][j+1]):
			lines = append(lines, diffLine{'-', a[i]})
			i++
		default:
			lines = append(lines, diffLine{'+', b[j]})
			j++
		}
	}
	return lines
}

// hunk returns the next run of lines with changes and their context, empty when
// there is none.
func hunk(lines []diffLine, from int) (begin, end int) {
	first := from
	for first < len(lines) && lines[first].sign == ' ' {
		first++
	}
	if first == len(lines) {
		return first, first
	}
	last := first
	for i := first; i < len(lines) && i-last <= 2*around; i++ {
		if lines[i].sign != ' ' {
			last = i
		}
	}
	return max(from, first-around), min(len(lines), last+1+around)
}

func printHunk(page *terminal.Page, lines []diffLine, begin, end int) {
	position := func(other byte, upTo int) (count int) {
		for _, l := range lines[:upTo] {
			if l.sign != other {
				count++
			}
		}
		return count
	}
	old, fresh := position('+', begin), position('-', begin)
	place := fmt.Sprintf("@@ -%s +%s @@", span(old, position('+', end)-old), span(fresh, position('-', end)-fresh))
	page.Printf("%s\n", terminal.Paint(terminal.Busy, place))
	for _, l := range lines[begin:end] {
		text, whole := strings.CutSuffix(l.text, "\n")
		page.Printf("%s\n", terminal.Paint(styles[l.sign], string(l.sign)+text))
		if !whole {
			page.Printf("\\ No newline at end of file\n")
		}
	}
}

// span is where a hunk is in a file: an empty one is behind a line.
func span(before, count int) string {
	if count > 0 {
		before++
	}
	return fmt.Sprintf("%d,%d", before, count)
}
