package drivetest

import (
	"strings"
	"time"
	"unicode"
)

func (q both) matches(c *call, n *node) bool    { return q.left.matches(c, n) && q.right.matches(c, n) }
func (q either) matches(c *call, n *node) bool  { return q.left.matches(c, n) || q.right.matches(c, n) }
func (q negated) matches(c *call, n *node) bool { return !q.query.matches(c, n) }

func (t term) matches(c *call, n *node) bool {
	switch t.field {
	case "parents":
		return n.parent != "" && n.parent == c.alias(t.value)
	case "owners":
		return n.owner != nil && (n.owner.email == t.value || t.value == "me" && n.owner == c.by.account)
	case "name":
		return t.textMatches(n.name)
	case "mimeType":
		return t.mimeMatches(n.mime)
	case "modifiedTime":
		return compare(n.modified, t.op, t.at)
	case "createdTime":
		return compare(n.created, t.op, t.at)
	case "trashed":
		return t.isTrue(c.s.inTrash(n))
	case "starred":
		return t.isTrue(n.starred)
	case "sharedWithMe":
		return t.isTrue(n.drive == "" && n.owner != c.by.account)
	case "properties":
		return hasProperty(n.properties, t)
	case "appProperties":
		return hasProperty(n.appProperties, t)
	}
	return false
}

func hasProperty(all map[string]string, t term) bool {
	value, ok := all[t.key]
	return ok && value == t.value
}

func (t term) isTrue(is bool) bool { return (is == t.yes) == (t.op == "=") }

// textMatches compares a name: without regard to case, and contains looks only at where
// words begin.
func (t term) textMatches(name string) bool {
	name, value := strings.ToLower(name), strings.ToLower(t.value)
	switch t.op {
	case "=":
		return name == value
	case "!=":
		return name != value
	}
	for i := range name {
		begins := i == 0 || !isWord(rune(name[i-1]))
		if begins && strings.HasPrefix(name[i:], value) {
			return true
		}
	}
	return false
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r >= 0x80 }

func (t term) mimeMatches(mime string) bool {
	switch t.op {
	case "=":
		return mime == t.value
	case "!=":
		return mime != t.value
	}
	return strings.HasPrefix(mime, t.value)
}

func compare(a time.Time, op string, b time.Time) bool {
	switch op {
	case "<":
		return a.Before(b)
	case "<=":
		return !a.After(b)
	case ">":
		return a.After(b)
	case ">=":
		return !a.Before(b)
	case "=":
		return a.Equal(b)
	}
	return !a.Equal(b)
}
