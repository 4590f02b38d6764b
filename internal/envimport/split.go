package envimport

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/scan"
	"salvor/internal/secret"
	"salvor/internal/stack/compose"
)

// split is where the variables of an env file go.
type split struct{ secret, plain, kept []entry }

// divide decides for each variable of the file, in its order.
func (i *importing) divide() (split, error) {
	var s split
	secrets := i.allSecrets()
	for _, e := range i.entries {
		value, encrypted := i.secrets[e.as]
		open, plain := i.plain[e.as]
		has := fleet.EnvFile(i.stack.Name)
		if !encrypted {
			value, has = open, i.stack.Dir+"/stack.env"
		}
		same := equal(value, e.Value)
		if (encrypted || plain) && !same && !i.opts.Replace {
			return s, fault.WithHint(fmt.Errorf("%s:%d:1: %s has another value in %s", i.source.shown, e.Line, e.as, has), "salvor "+
				"secret import FILE --replace uses the values from the file")
		}
		switch isSecret := encrypted || secrets[e.Name]; {
		case same && (encrypted || plain && !isSecret):
			s.kept = append(s.kept, e)
		case isSecret:
			s.secret = append(s.secret, e)
		default:
			s.plain = append(s.plain, e)
		}
	}
	return s, nil
}

// allSecrets are the names of the stack's secrets and of the file's. A secret stays one, and
// so does what is made with one, wherever in the file that is.
func (i *importing) allSecrets() map[string]bool {
	known := map[string]bool{}
	for name := range i.secrets {
		known[name] = true
	}
	found := map[string]bool{}
	for before := -1; before < len(found); {
		before = len(found)
		for _, e := range i.entries {
			if i.isSecret(e) || slices.ContainsFunc(e.Refs, func(ref string) bool { return known[ref] || found[ref] }) {
				found[e.Name] = true
			}
		}
	}
	return found
}

// isSecret reports whether a variable is one by its name or value, by what the Compose files
// make of it, or since it can't be a plain line of stack.env.
func (i *importing) isSecret(e entry) bool {
	value := string(e.Value.Reveal())
	line, ok := i.line(e)
	if i.opts.All || isCompose(i.source.path) || !ok || len(i.scanner.Scan(i.stack.Dir+"/stack.env", []byte(line))) > 0 {
		return true
	}
	if i.scanner.Variable(e.Name, value) || i.mentions.Password[e.Name] && value != "" {
		return true
	}
	return slices.ContainsFunc(i.mentions.Becomes[e.Name], func(name string) bool { return i.scanner.Variable(name, value) })
}

// HasSecret reports whether an env file sets a variable that is a secret by its name or
// value. Of one that can't be read nothing else is known.
func HasSecret(scanner *scan.Scanner, content []byte) bool {
	entries, err := parseEntries(".env", content, func(string) (string, bool) { return "", false })
	if err != nil {
		return !errors.Is(err, errEmpty)
	}
	return slices.ContainsFunc(entries, func(e compose.EnvEntry) bool { return scanner.Variable(e.Name, string(e.Value.Reveal())) })
}

// line is a variable as a line of stack.env; not every value can be one.
func (i *importing) line(e entry) (string, bool) {
	return compose.EnvLine(secret.Variable{Name: e.as, Value: e.Value})
}

// newStackEnv returns stack.env without what becomes secret and with what is new,
// nil where nothing is left, and whether that is a change.
func (i *importing) newStackEnv() (content []byte, changed bool, err error) {
	gone := append(names(i.split.secret), names(i.split.plain)...)
	content, err = i.stackEnv.Without(func(name string) bool { return slices.Contains(gone, name) })
	if err != nil {
		return nil, false, err
	}
	if len(content) > 0 && !bytes.HasSuffix(content, []byte("\n")) {
		content = append(content, '\n')
	}
	for _, e := range i.split.plain {
		line, _ := i.line(e) // divide saw that it can be written
		content = append(content, line...)
	}
	before := i.stackEnv.Text()
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, len(before) > 0, nil
	}
	return content, !bytes.Equal(before, content), nil
}

// masked is a plain file to be shown: secrets of the stack have no value, and lines in which a
// scan finds one are left out.
func (b *batch) masked(st *stackState, name string, content []byte) []byte {
	if content == nil {
		return nil
	}
	if strings.HasSuffix(name, "/stack.env") {
		f, err := compose.ParseEnv(name, content, func(string) (string, bool) { return "", false })
		if err == nil {
			content, err = f.Masked(func(name string) bool { _, isSecret := st.secrets[name]; return isSecret })
		}
		if err != nil || len(content) == 0 {
			return nil
		}
	}
	lines := strings.SplitAfter(string(content), "\n")
	for _, l := range b.scanner.Scan(name, content) {
		for row := l.Line - 1; row < len(lines); row++ {
			last := l.Rule != scan.RulePrivateKey || strings.Contains(lines[row], "-----END")
			lines[row] = "[an unencrypted secret]\n"
			if last {
				break
			}
		}
	}
	return []byte(strings.Join(lines, ""))
}
