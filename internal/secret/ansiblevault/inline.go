package ansiblevault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"salvor/internal/fault"
	"salvor/internal/secret"
)

// tag marks a value of a YAML file as a vault.
const tag = "!vault"

// An Inline file is YAML in which single values are vaults, as ansible-vault
// encrypt_string writes them: `KEY: !vault |` and the envelope's lines. It holds
// no plaintext. Methods may be called concurrently.
type Inline struct {
	path string
	text []byte
	root *yaml.Node
	all  []value
}

// A value is anything in the file that can be named.
type value struct {
	name string // keys and numbers of items, joined by dots
	node *yaml.Node
	key  *yaml.Node // nil for an item of a list
}

func (v value) isVault() bool { return v.node.Kind == yaml.ScalarNode && v.node.Tag == tag }

// An InlineValue is one vault of an Inline file.
type InlineValue struct {
	Name     string // keys and numbers of list items, joined by dots: db.password
	Text     string // as the file has it, without its indentation
	Envelope Envelope
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// ParseInline reads a YAML file with vaults in it. ok is false for a file that has
// none, which is then no business of this package. path is named in errors; no
// error repeats content, which may be a plain secret.
func ParseInline(path string, content []byte) (f *Inline, ok bool, err error) {
	if !bytes.Contains(content, []byte(tag)) {
		return nil, false, nil
	}
	f = &Inline{path: path, text: content}
	if f.root, err = document(content); err != nil {
		return nil, true, fmt.Errorf("%s: %w", path, err)
	}
	f.walk(f.root, value{})
	for _, v := range f.all {
		ok = ok || v.isVault()
	}
	if !ok {
		return nil, false, nil
	}
	return f, true, nil
}

// document returns the root of the one document that content is.
func document(content []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(content))
	var doc, second yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, notYAML(err)
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		return nil, fmt.Errorf("%w: a second YAML document starts in line %d", ErrFormat, second.Line)
	case !errors.Is(err, io.EOF):
		return nil, notYAML(err)
	}
	return doc.Content[0], nil
}

// notYAML keeps the line of a parser's error and drops the rest, which may quote
// the file.
func notYAML(err error) error {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%w: not valid YAML near line %s", ErrFormat, m[1])
	}
	return fmt.Errorf("%w: not valid YAML", ErrFormat)
}

// walk collects what can be named, in the order of the file. It follows no alias:
// what an alias stands for is named where it is.
func (f *Inline) walk(n *yaml.Node, at value) {
	if n == nil {
		return
	}
	at.node = n
	if at.name != "" {
		f.all = append(f.all, at)
	}
	below := func(name string) string { return strings.TrimPrefix(at.name+"."+name, ".") }
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			f.walk(n.Content[i+1], value{name: below(n.Content[i].Value), key: n.Content[i]})
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			f.walk(item, value{name: below(strconv.Itoa(i))})
		}
	}
}

// Values returns the file's vaults in its order. A damaged one is an error that wraps
// ErrFormat; the others are returned with it.
func (f *Inline) Values() ([]InlineValue, error) {
	var values []InlineValue
	var errs []error
	for _, v := range f.all {
		if !v.isVault() {
			continue
		}
		e, err := Parse([]byte(v.node.Value))
		if err != nil {
			errs = append(errs, f.fail(v.node, "%s: %w", v.name, err))
			continue
		}
		values = append(values, InlineValue{v.name, strings.TrimSpace(v.node.Value), e})
	}
	return values, errors.Join(errs...)
}

// Value returns the vault of a name. One that is not there wraps secret.ErrNotFound;
// an unencrypted value is an error.
func (f *Inline) Value(name string) (InlineValue, error) {
	v, found, err := f.find(name)
	switch {
	case err != nil:
		return InlineValue{}, err
	case !found:
		return InlineValue{}, fmt.Errorf("%s has no %s: %w", f.path, name, secret.ErrNotFound)
	case !v.isVault():
		return InlineValue{}, f.fail(v.node, "%s is not encrypted", name)
	}
	e, err := Parse([]byte(v.node.Value))
	if err != nil {
		return InlineValue{}, f.fail(v.node, "%s: %w", name, err)
	}
	return InlineValue{name, strings.TrimSpace(v.node.Value), e}, nil
}

// find returns what a name stands for. Two things of one name are an error.
func (f *Inline) find(name string) (found value, ok bool, err error) {
	for _, v := range f.all {
		if v.name != name {
			continue
		}
		if ok {
			return v, true, f.fail(v.node, "a second value is named %s, the first is in line %d", name, found.node.Line)
		}
		found, ok = v, true
	}
	return found, ok, nil
}

func (f *Inline) fail(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d:%d: %w", f.path, n.Line, n.Column, fmt.Errorf(format, args...))
}

// Clear returns the file as YAML with its vaults' values in their place, as text.
// open opens one vault. A value that is not text is an error.
func (f *Inline) Clear(open func(InlineValue) (secret.Value, error)) (secret.Value, error) {
	root, err := document(f.text) // a copy to write into
	if err != nil {
		return secret.Value{}, fmt.Errorf("%s: %w", f.path, err)
	}
	plain := &Inline{path: f.path, root: root}
	plain.walk(root, value{})
	for _, v := range plain.all {
		if !v.isVault() {
			continue
		}
		e, err := Parse([]byte(v.node.Value))
		if err != nil {
			return secret.Value{}, f.fail(v.node, "%s: %w", v.name, err)
		}
		opened, err := open(InlineValue{v.name, v.node.Value, e})
		if err != nil {
			return secret.Value{}, err
		}
		if !utf8.Valid(opened.Reveal()) {
			return secret.Value{}, fault.WithHint(f.fail(v.node, "%s is not text, so YAML can't contain it", v.name), "deliver it by its own name, with external: true")
		}
		v.node.Tag, v.node.Style, v.node.Value = "!!str", yaml.DoubleQuotedStyle, string(opened.Reveal())
	}
	out, err := yaml.Marshal(root)
	if err != nil {
		return secret.Value{}, fmt.Errorf("%s: it can't be written with decrypted values", f.path) // the reason may quote one
	}
	return secret.New(out), nil
}
