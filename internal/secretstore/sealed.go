package secretstore

import (
	"encoding/json"
	"io/fs"
	"slices"

	"salvor/internal/fleet"
)

// Sealed returns what is in Git for the secret of a name, comparable without any key:
// its file, its ciphertext in a YAML file, or the command that prints it with its
// revision. A seal that has it as an input is out of date when it differs.
func (s *Store) Sealed(name string) ([]byte, error) {
	if s.programs.Has(name) {
		return s.declaration(name)
	}
	at, err := s.Find(name)
	if err != nil {
		return nil, err
	}
	return s.sealed(at)
}

// SealedAt is Sealed for what a service mounts, named as for File.
func (s *Store) SealedAt(file string) ([]byte, error) {
	at, program, err := s.mounted(file)
	switch {
	case err != nil:
		return nil, err
	case program != "":
		return s.declaration(program)
	}
	return s.sealed(at)
}

func (s *Store) sealed(at fleet.SecretName) ([]byte, error) {
	if at.Key == "" || at.Stack != "" {
		return s.read(at.File)
	}
	v, err := s.inlineAt(at)
	return []byte(v.Text), err
}

// declaration is what fleet.yaml says of a program's secret, as far as the value
// depends on it.
func (s *Store) declaration(name string) ([]byte, error) {
	c, _ := s.command(name)
	return json.Marshal(struct {
		Command  []string `json:"command"`
		Revision int      `json:"revision"`
	}{c.Command, c.Revision})
}

// Over returns the store with some files as they are about to be: contents by path,
// nil for one that goes.
func (s *Store) Over(files map[string][]byte) *Store {
	over := *s
	over.Files = overlay{s.Files, files}
	return &over
}

// overlay has its own contents of some files.
type overlay struct {
	fs.FS
	files map[string][]byte
}

// ReadFile implements fs.ReadFileFS.
func (o overlay) ReadFile(name string) ([]byte, error) {
	switch content, has := o.files[name]; {
	case !has:
		return fs.ReadFile(o.FS, name)
	case content == nil:
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	default:
		return slices.Clone(content), nil
	}
}
