// Package scan finds secrets in plain text in the files of a control repository. It
// is handed names and bytes and reads nothing itself, so the same scan runs over a
// working tree, the index or a commit. The known shapes of providers' keys come from
// gitleaks; what gitleaks can't know is here: what a value in a Compose or dotenv
// file means, and what must be encrypted.
package scan

import (
	"fmt"
	"path"
)

// The rules of this package. Every other rule is gitleaks' own, by its id.
const (
	RulePlain       = "plain-secret"
	RuleURL         = "url-password"
	RulePrivateKey  = "private-key"
	RuleUnencrypted = "unencrypted"
)

// maxSize is beyond any file that a person keeps in a control repository.
const maxSize = 5 << 20

// A Leak is a secret that anyone who reads the file can read. Line and Column
// count from one, in characters. Text is one line for people and never holds
// the value, not even in part.
type Leak struct {
	Path   string `json:"path"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Rule   string `json:"rule"`
	Text   string `json:"text"`

	Key         string `json:"-"` // the name of the value, where it can be shown
	Default     string `json:"-"` // of a ${NAME:-default}: the names that replace it, the outermost first, with a space between
	Placeholder bool   `json:"-"` // the value is a word that examples use: changeme
	EnvFile     bool   `json:"-"` // the file is an env file by its name, or as far as anyone who sets this knows
	Sample      bool   `json:"-"` // the file is one to be copied and filled in, and no program made the value
}

// String renders the leak as `stacks/notes/compose.yaml:12:7: text [rule]`.
func (l Leak) String() string {
	return fmt.Sprintf("%s:%d:%d: %s [%s]", l.Path, l.Line, l.Column, l.Text, l.Rule)
}

// A Scanner finds leaks. It is safe for concurrent use.
type Scanner struct {
	shapes   *shapes
	keys     keys
	values   values
	formats  formats
	anywhere anywhere
	assigned assigned
}

// New returns a scanner. Making one takes some 40 ms, as gitleaks compiles its
// rules: keep it. It silences gitleaks' logger for the whole process.
func New() (*Scanner, error) {
	shapes, err := newShapes()
	if err != nil {
		return nil, fmt.Errorf("rules of gitleaks: %w", err)
	}
	return &Scanner{
		shapes:   shapes,
		keys:     newKeys(),
		values:   newValues(),
		formats:  newFormats(),
		anywhere: newAnywhere(),
		assigned: newAssigned(),
	}, nil
}

// Scan returns the leaks of one file, named by its path in the repository,
// sorted by place. A value is reported once, by the rule that says most about
// it, however many rules see it.
//
// Not looked into are files encrypted as a whole, binary files (a NUL in the
// first 8000 bytes), files over 5 MiB, and what Salvor writes and everybody may
// read: salvor.lock, sealed/, recovery.age, the hosts' public keys and all signatures. A line
// with `salvor:allow` or `gitleaks:allow` has no leaks; in YAML that is a comment, and
// where a text of several lines begins it is about all of them. Below secrets/ a file is
// encrypted or a leak as a whole; YAML with values that are Ansible Vaults is read
// like other YAML.
func (s *Scanner) Scan(name string, content []byte) []Leak {
	var leaks []Leak
	for _, f := range s.Find(name, content) {
		leaks = append(leaks, f.Leak)
	}
	return leaks
}

// A Found is a leak, and where its value is: from byte Start to End of the file. Name is
// what the file calls the value, "" for nothing. It can have a part of the value, so it is
// not for a message.
type Found struct {
	Leak
	Name       string
	Start, End int
}

// Find is Scan for those who replace the values.
func (s *Scanner) Find(name string, content []byte) []Found {
	name = path.Clean(name)
	switch {
	case public(name):
		return nil
	case mustBeEncrypted(name) && s.formats.encrypted(content):
		return nil
	case mustBeEncrypted(name) && !s.formats.inline(name, content):
		return []Found{{Leak: Leak{Path: name, Line: 1, Column: 1, Rule: RuleUnencrypted, Text: "a file below secrets/ that is not encrypted"}}}
	case len(content) > maxSize || binary(content) || s.formats.encrypted(content):
		return nil
	}
	t := newText(name, s.formats.mask(content))
	hits := s.anywhere.find(t, s.values)
	hits = append(hits, s.named(t)...)
	hits = append(hits, s.shapes.find(t)...)
	return t.found(strongest(hits), s.values)
}

// named returns the literal values of keys that mean a secret, in the files
// whose format says what is a key.
func (s *Scanner) named(t *text) []hit {
	switch {
	case hasNamedYAML(t.path):
		return s.yaml(t)
	case isSettings(t.path) || s.formats.allAssignments(t.content):
		return s.lines(t)
	}
	return nil
}
