package envimport

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/scan"
	"salvor/internal/stack/compose"
)

// split is where the variables of an env file go.
type split struct{ secret, plain, kept []compose.EnvEntry }

func (s split) isSecret(name string) bool { return slices.Contains(names(s.secret), name) }

// divide decides for each variable of the file, in its order. A secret stays one,
// and so does what is made with one.
func (i *importing) divide() (split, error) {
	var s split
	secrets := map[string]bool{}
	for name := range i.secrets {
		secrets[name] = true
	}
	for _, e := range i.entries {
		value, encrypted := i.secrets[e.Name]
		open, plain := i.plain[e.Name]
		has := fleet.EnvFile(i.stack.Name)
		if !encrypted {
			value, has = open, i.stack.Dir+"/stack.env"
		}
		same := equal(value, e.Value)
		if (encrypted || plain) && !same && !i.opts.Replace {
			return s, fault.WithHint(fmt.Errorf("%s:%d:1: %s has another value in %s", i.source.shown, e.Line, e.Name, has), "salvor "+
				"secret import FILE --replace uses the values from the file")
		}
		isSecret := encrypted || i.opts.All || i.scanner.Variable(e.Name, string(e.Value.Reveal())) || slices.ContainsFunc(e.Refs, func(ref string) bool { return secrets[ref] })
		if line, ok := compose.EnvLine(e.Variable); !isSecret && (!ok || len(i.scanner.Scan(i.stack.Dir+"/stack.env", []byte(line))) > 0) {
			isSecret = true
		}
		secrets[e.Name] = isSecret
		switch {
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
		line, _ := compose.EnvLine(e.Variable) // divide saw that it can be written
		content = append(content, line...)
	}
	before := i.stackEnv.Text()
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, len(before) > 0, nil
	}
	return content, !bytes.Equal(before, content), nil
}

// masked is a plain file to be shown: lines in which a scan finds a secret are
// left out.
func (i *importing) masked(name string, content []byte) []byte {
	lines := strings.SplitAfter(string(content), "\n")
	for _, l := range i.scanner.Scan(name, content) {
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
