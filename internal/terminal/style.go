package terminal

import "github.com/fatih/color"

// A Style is how a text looks on a terminal with colours. It never says more than the
// text does: without colours nothing is lost.
type Style int

// The styles.
const (
	Plain  Style = iota
	Strong       // what a line is about
	Faint        // what can be skipped
	Good         // is there, is added
	Notice       // changes, is worth a look
	Bad          // is wrong, is taken away
	Busy         // is under way
)

// A Painted is text from anywhere in a style. Only a Page shows the style.
type Painted struct {
	style Style
	text  string
}

// Paint returns text in a style, as part of one line, in which tabs stay.
func Paint(style Style, text string) Painted { return Painted{style, written(text, "\t")} }

// String returns the text alone.
func (p Painted) String() string { return p.text }

func (s Style) attributes() []color.Attribute {
	switch s {
	case Strong:
		return []color.Attribute{color.Bold}
	case Faint:
		return []color.Attribute{color.Faint}
	case Good:
		return []color.Attribute{color.FgGreen}
	case Notice:
		return []color.Attribute{color.FgYellow}
	case Busy:
		return []color.Attribute{color.FgCyan}
	case Bad:
		return []color.Attribute{color.FgRed}
	}
	return nil
}

// Colored returns the text with the sequences that colour it, for one who draws.
func (p Painted) Colored() string {
	attributes := p.style.attributes()
	if attributes == nil || p.text == "" {
		return p.text
	}
	c := color.New(attributes...)
	c.EnableColor() // whether there are colours is the page's decision, not the environment's
	return c.Sprint(p.text)
}
