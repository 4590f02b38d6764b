package grant

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Ledger is what a clone's operator confirmed. The zero one has nothing.
type Ledger struct {
	confirmed map[string][]string // by name, the values
	made      []string            // secrets that this clone set and no apply has delivered since
}

// ledgerHead begins a ledger's file: another version of it counts as none, and more
// is asked.
const ledgerHead = "salvor grants 1"

// Parse reads what Bytes wrote. A line that can't be read is not confirmed: more is
// asked then, never less.
func Parse(content []byte) Ledger {
	l := Ledger{confirmed: map[string][]string{}}
	head, rest, _ := strings.Cut(string(content), "\n")
	if head != ledgerHead {
		return l
	}
	for line := range strings.Lines(rest) {
		kind, quoted, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		fields := make([]string, 0, 2)
		for quoted != "" {
			prefix, err := strconv.QuotedPrefix(quoted)
			if err != nil {
				break
			}
			field, err := strconv.Unquote(prefix)
			if err != nil {
				break
			}
			fields, quoted = append(fields, field), strings.TrimPrefix(quoted[len(prefix):], " ")
		}
		switch {
		case quoted != "":
		case kind == "grant" && len(fields) == 2:
			l.confirmed[fields[0]] = append(l.confirmed[fields[0]], fields[1])
		case kind == "made" && len(fields) == 1:
			l.made = append(l.made, fields[0])
		}
	}
	return l
}

// Bytes returns the ledger as a text: a head, then a line for each grant. Equal
// ledgers give equal texts.
func (l Ledger) Bytes() []byte {
	var b strings.Builder
	b.WriteString(ledgerHead + "\n")
	for _, name := range slices.Sorted(maps.Keys(l.confirmed)) {
		for _, value := range slices.Compact(slices.Sorted(slices.Values(l.confirmed[name]))) {
			b.WriteString("grant " + strconv.Quote(name) + " " + strconv.Quote(value) + "\n")
		}
	}
	for _, secret := range slices.Compact(slices.Sorted(slices.Values(l.made))) {
		b.WriteString("made " + strconv.Quote(secret) + "\n")
	}
	return []byte(b.String())
}

// Has reports whether a grant is confirmed.
func (l Ledger) Has(g Grant) bool { return slices.Contains(l.confirmed[g.Name], g.value) }

// Missing returns those of standing that are not confirmed, each once and in their
// order, with the text that says what they take the place of.
func (l Ledger) Missing(standing []Grant) []Grant {
	var missing []Grant
	for _, g := range standing {
		if l.Has(g) || slices.ContainsFunc(missing, g.Is) {
			continue
		}
		if before := l.confirmed[g.Name]; g.instead != nil && len(before) > 0 {
			g.Text = g.instead(before[len(before)-1])
		}
		missing = append(missing, g)
	}
	return missing
}

// With returns the ledger with these confirmed as well.
func (l Ledger) With(all ...Grant) Ledger {
	next := Ledger{confirmed: maps.Clone(l.confirmed), made: l.made}
	if next.confirmed == nil {
		next.confirmed = map[string][]string{}
	}
	for _, g := range all {
		if !next.Has(g) {
			next.confirmed[g.Name] = append(slices.Clone(next.confirmed[g.Name]), g.value)
		}
	}
	return next
}

// Without returns the ledger without these.
func (l Ledger) Without(all ...Grant) Ledger {
	next := l.With()
	for _, g := range all {
		next.confirmed[g.Name] = slices.DeleteFunc(slices.Clone(next.confirmed[g.Name]), func(v string) bool { return v == g.value })
	}
	return next
}

// Only returns the ledger without what standing does not give any more, so that it
// has to be confirmed again when it comes back. While a value that takes the place of
// another waits to be confirmed the previous one stays, to be named; keep names those
// that stay in any case.
func (l Ledger) Only(standing []Grant, keep func(name string) bool) Ledger {
	next := Ledger{confirmed: map[string][]string{}, made: l.made}
	for name, values := range l.confirmed {
		given := Named(standing, name)
		waits := slices.ContainsFunc(given, func(g Grant) bool { return g.instead != nil && !l.Has(g) })
		for _, value := range values {
			stands := slices.ContainsFunc(given, func(g Grant) bool { return g.value == value })
			if stands || waits || keep(name) {
				next.confirmed[name] = append(next.confirmed[name], value)
			}
		}
	}
	return next
}

// Make returns the ledger with secrets that this clone has set: a stack may be given
// one of them without a question, where it is its own or nothing else uses it.
func (l Ledger) Make(secrets ...string) Ledger {
	l.made = append(slices.Clone(l.made), secrets...)
	return l
}

// Made reports whether this clone set a secret that no apply has delivered since.
func (l Ledger) Made(secret string) bool { return slices.Contains(l.made, secret) }

// Delivered returns the ledger after an apply: what was made is in use.
func (l Ledger) Delivered() Ledger {
	l.made = nil
	return l
}
