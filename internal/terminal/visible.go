// Package terminal prints what comes from elsewhere, from hosts, containers, Git,
// remotes and files, so that a person sees what it is: it can't move the cursor,
// colour, conceal or reorder the text next to it, or look like a line of Salvor's
// own. Nothing else writes to a terminal; a lint rule says so.
package terminal

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible returns text with everything that can't be seen written out: control
// characters and bytes that are not UTF-8 as `\x1b`, format characters (bidirectional
// marks, zero widths, tags) and other separators of lines as `\u202e`. Line ends and
// tabs stay.
func Visible(text string) string { return written(text, "\n\t") }

// Line returns text as part of one line: as Visible, with line ends and tabs
// written out, too.
func Line(text string) string { return written(text, "") }

// Paragraph returns text that may have several lines. Each line behind the first is
// indented, so that none of them looks like one of Salvor's own.
func Paragraph(text string) string {
	lines := strings.Split(Visible(strings.TrimRight(text, "\n")), "\n")
	for i, line := range lines[1:] {
		if !strings.HasPrefix(line, "  ") {
			lines[i+1] = "  " + line
		}
	}
	return strings.Join(lines, "\n")
}

// written writes out what can't be seen, but for what is in keep.
func written(text, keep string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return r == utf8.RuneError || hidden(r) && !strings.ContainsRune(keep, r) }) {
		return text
	}
	var out strings.Builder
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRuneInString(text[at:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, text[at])
		case hidden(r) && !strings.ContainsRune(keep, r):
			out.WriteString(code(r))
		default:
			out.WriteString(text[at : at+size])
		}
		at += size
	}
	return out.String()
}

// hidden reports whether a character does something other than be seen in its place.
func hidden(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return r < ' ' || r == 0x7f
	case r == utf8.RuneError:
		return false
	}
	return !unicode.IsGraphic(r) && !unicode.Is(unicode.Co, r) || unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

func code(r rune) string {
	switch {
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r < utf8.RuneSelf:
		return fmt.Sprintf(`\x%02x`, r)
	case r <= 0xffff:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}
