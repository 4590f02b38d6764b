package drivetest

import (
	"strings"
	"time"
	"unicode"
)

// A query is a clause of the language that files.list takes in its parameter q.
type query interface {
	// matches reports whether a file that the caller sees is meant.
	matches(c *call, n *node) bool
	// folders returns the folders in one of which every match lies, if the query says.
	folders() (ids []string, known bool)
}

type both struct{ left, right query }
type either struct{ left, right query }
type negated struct{ query }

// A term compares one field with a constant.
type term struct {
	field, op string
	value     string
	key       string // of a property
	yes       bool   // a boolean
	at        time.Time
}

func (q both) folders() ([]string, bool) {
	if ids, known := q.left.folders(); known {
		return ids, true
	}
	return q.right.folders()
}

func (q either) folders() ([]string, bool) {
	left, known := q.left.folders()
	right, too := q.right.folders()
	return append(left, right...), known && too
}

func (q negated) folders() ([]string, bool) { return nil, false }

func (t term) folders() ([]string, bool) { return []string{t.value}, t.field == "parents" }

// parents calls do with each folder that a query names.
func parents(q query, do func(id string)) {
	switch q := q.(type) {
	case both:
		parents(q.left, do)
		parents(q.right, do)
	case either:
		parents(q.left, do)
		parents(q.right, do)
	case negated:
		parents(q.query, do)
	case term:
		if q.field == "parents" {
			do(q.value)
		}
	}
}

const (
	textOps = "contains = !="
	timeOps = "<= < = != > >="
	boolOps = "= !="
)

// operators says which operators Drive takes for which field that is written first.
var operators = map[string]string{
	"name": textOps, "mimeType": textOps, "fullText": "contains",
	"modifiedTime": timeOps, "createdTime": timeOps, "viewedByMeTime": timeOps, "sharedWithMeTime": timeOps,
	"trashed": boolOps, "starred": boolOps, "sharedWithMe": boolOps, "visibility": boolOps,
	"properties": "has", "appProperties": "has",
}

// collections are the fields that come after the word in.
var collections = map[string]bool{"parents": true, "owners": true, "writers": true, "readers": true}

// unknownTerms are terms that Drive knows and this package does not.
var unknownTerms = map[string]bool{"fullText": true, "viewedByMeTime": true, "sharedWithMeTime": true, "visibility": true, "writers": true, "readers": true}

const queryDepth = 50

// parseQuery reads a query. As Drive does, it evaluates and and or from left to right,
// neither before the other.
func parseQuery(text string) (query, error) {
	p := &queryParser{rest: text}
	p.next()
	q, err := p.clauses()
	if err == nil && p.token != (token{}) {
		err = invalid("q")
	}
	return q, err
}

type tokenKind int

const (
	end tokenKind = iota
	word
	text
	sign
	wrong
)

type token struct {
	kind tokenKind
	text string
}

type queryParser struct {
	rest  string
	token token // not used yet
	depth int
}

// next reads the next token.
func (p *queryParser) next() {
	p.rest = strings.TrimLeftFunc(p.rest, unicode.IsSpace)
	switch {
	case p.rest == "":
		p.token = token{}
	case p.rest[0] == '\'':
		p.quoted()
	default:
		for _, s := range []string{"<=", ">=", "!=", "<", ">", "=", "(", ")", "{", "}"} {
			if strings.HasPrefix(p.rest, s) {
				p.token, p.rest = token{sign, s}, p.rest[len(s):]
				return
			}
		}
		end := strings.IndexFunc(p.rest, func(r rune) bool { return !isLetter(r) })
		if end < 0 {
			end = len(p.rest)
		}
		if end == 0 {
			p.token, p.rest = token{wrong, p.rest}, ""
			return
		}
		p.token, p.rest = token{word, p.rest[:end]}, p.rest[end:]
	}
}

// quoted reads a string in single quotes, in which \' and \\ stand for ' and \.
func (p *queryParser) quoted() {
	var value strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch b := p.rest[i]; {
		case b == '\'':
			p.token, p.rest = token{text, value.String()}, p.rest[i+1:]
			return
		case b == '\\' && i+1 < len(p.rest) && (p.rest[i+1] == '\'' || p.rest[i+1] == '\\'):
			i++
			value.WriteByte(p.rest[i])
		case b == '\\':
			p.token, p.rest = token{wrong, p.rest}, ""
			return
		default:
			value.WriteByte(b)
		}
	}
	p.token, p.rest = token{wrong, p.rest}, ""
}

// take uses the token if it is this one.
func (p *queryParser) take(t token) bool {
	if p.token != t {
		return false
	}
	p.next()
	return true
}

// clauses reads clauses joined by and and or.
func (p *queryParser) clauses() (query, error) {
	if p.depth++; p.depth > queryDepth {
		return nil, invalid("q")
	}
	defer func() { p.depth-- }()
	q, err := p.clause()
	for err == nil {
		var right query
		switch {
		case p.take(token{word, "and"}):
			right, err = p.clause()
			q = both{q, right}
		case p.take(token{word, "or"}):
			right, err = p.clause()
			q = either{q, right}
		default:
			return q, nil
		}
	}
	return nil, err
}

func (p *queryParser) clause() (query, error) {
	switch {
	case p.take(token{word, "not"}):
		if p.depth++; p.depth > queryDepth {
			return nil, invalid("q")
		}
		defer func() { p.depth-- }()
		q, err := p.clause()
		return negated{q}, err
	case p.take(token{sign, "("}):
		q, err := p.clauses()
		if err == nil && !p.take(token{sign, ")"}) {
			err = invalid("q")
		}
		return q, err
	case p.token.kind == text:
		return p.member()
	}
	return p.comparison()
}

// member reads 'ID' in parents.
func (p *queryParser) member() (query, error) {
	t := term{value: p.token.text, op: "in"}
	p.next()
	if !p.take(token{word, "in"}) || p.token.kind != word || !collections[p.token.text] {
		return nil, invalid("q")
	}
	t.field = p.token.text
	p.next()
	return known(t)
}

func known(t term) (query, error) {
	if unknownTerms[t.field] {
		return nil, unknown("the search term " + t.field)
	}
	return t, nil
}

// comparison reads a field, an operator and a constant.
func (p *queryParser) comparison() (query, error) {
	t := term{field: p.token.text}
	ops, ok := operators[t.field]
	if p.token.kind != word || !ok {
		return nil, invalid("q")
	}
	p.next()
	t.op = p.token.text
	if p.token.kind != sign && p.token.kind != word || !oneOf(ops, t.op) {
		return nil, invalid("q")
	}
	p.next()
	if t.op == "has" {
		return p.property(t)
	}
	value := p.token
	p.next()
	switch ops {
	case boolOps:
		if t.field == "visibility" {
			return known(t)
		}
		t.yes = value.text == "true"
		if value.kind != word || !t.yes && value.text != "false" {
			return nil, invalid("q")
		}
	case timeOps:
		if value.kind != text || !t.time(value.text) {
			return nil, invalid("q")
		}
	default:
		if value.kind != text {
			return nil, invalid("q")
		}
		t.value = value.text
	}
	return known(t)
}

func oneOf(words, word string) bool {
	for each := range strings.FieldsSeq(words) {
		if each == word {
			return true
		}
	}
	return false
}

// time reads a time as RFC 3339 has it, in UTC where there is no zone.
func (t *term) time(value string) bool {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", time.DateOnly} {
		at, err := time.Parse(layout, value)
		if err == nil {
			t.at = at
			return true
		}
	}
	return false
}

// property reads { key='k' and value='v' }.
func (p *queryParser) property(t term) (query, error) {
	ok := p.take(token{sign, "{"}) && p.take(token{word, "key"}) && p.take(token{sign, "="})
	ok = ok && p.text(&t.key) && p.take(token{word, "and"}) && p.take(token{word, "value"}) && p.take(token{sign, "="})
	if !ok || !p.text(&t.value) || !p.take(token{sign, "}"}) {
		return nil, invalid("q")
	}
	return t, nil
}

func (p *queryParser) text(into *string) bool {
	if p.token.kind != text {
		return false
	}
	*into = p.token.text
	p.next()
	return true
}
