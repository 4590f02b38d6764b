package secretstore

import (
	"strings"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/secret/ansiblevault"
)

// A Trace finds out since when a secret has its value, without any key.
type Trace struct {
	File     string    // the file in whose history the answer is
	Modified time.Time // when the file's values last changed, by its own account; zero where it does not say
	Exact    bool      // Modified is the answer

	// Of returns what stands for the value in a version of the file, nil for none:
	// the value is as old as the oldest version from which on this stays the same.
	Of func(content []byte) []byte
}

// Trace returns how to find out the age of a secret in a file. A file that is not
// encrypted, or damaged, is an error.
func (s *Store) Trace(name string) (Trace, error) {
	at, err := s.Find(name)
	if err != nil {
		return Trace{}, err
	}
	data, err := s.read(at.File)
	if err != nil {
		return Trace{}, err
	}
	kind, err := kindOf(at.File, data)
	if err != nil {
		return Trace{}, err
	}
	t := Trace{File: at.File, Of: func(content []byte) []byte { return content }}
	switch {
	case at.Stack != "":
		t.Of = func(content []byte) []byte { return variableIn(content, at.Key) }
	case at.Key != "":
		t.Of = func(content []byte) []byte { return valueIn(at, content) }
	case kind.sops != nil:
		t.Exact = true
	}
	if kind.sops != nil {
		t.Modified = kind.sops.Modified()
	}
	return t, nil
}

// variableIn returns the line of a variable, which stays while others change.
func variableIn(dotenv []byte, name string) []byte {
	for line := range strings.Lines(string(dotenv)) {
		if strings.HasPrefix(line, name+"=") {
			return []byte(line)
		}
	}
	return nil
}

func valueIn(at fleet.SecretName, content []byte) []byte {
	f, ok, err := ansiblevault.ParseInline(at.File, content)
	if err != nil || !ok {
		return nil
	}
	v, err := f.Value(at.Key)
	if err != nil {
		return nil
	}
	return []byte(v.Text)
}
