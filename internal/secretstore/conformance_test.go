package secretstore

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	"salvor/internal/fleet"
	"salvor/internal/machine/local"
	"salvor/internal/secret"
	"salvor/internal/secret/command"
	"salvor/internal/secret/storetest"
)

// committing is a store whose changes are committed at once.
type committing struct {
	*Store
	files fstest.MapFS
}

func (c committing) Set(ctx context.Context, name string, value secret.Value) error {
	changes, err := c.Store.Writer().Set(ctx, name, value)
	for path, data := range changes {
		c.files[path] = &fstest.MapFile{Data: data}
	}
	return err
}

// subject is a secret in a file of a store that also has vault passwords.
func subject(t *testing.T, name, unknown string, seed func(files fstest.MapFS)) storetest.Subject {
	t.Helper()
	s, files := newVaultStore(t)
	if seed != nil {
		seed(files)
	}
	file, err := s.FileOf(name)
	if err != nil {
		t.Fatal(err)
	}
	opts := s.opts
	opts.Keys = mustKey(t)
	return storetest.Subject{
		Store: committing{s, files}, Name: name, Unknown: unknown, Locked: New(opts),
		Content: func() []byte { return files[file].Data },
		Replace: func(content []byte) { files[file] = &fstest.MapFile{Data: content} },
	}
}

func TestStoresConform(t *testing.T) {
	t.Run("SOPS file", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Subject { return subject(t, "token", "other", nil) })
	})
	t.Run("stack's variable", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Subject {
			s := subject(t, "notes/TOKEN", "notes/OTHER", nil)
			s.Holds = func(v []byte) bool { // ADR 2: a dotenv file holds text
				return utf8.Valid(v) && bytes.IndexByte(v, 0) < 0
			}
			return s
		})
	})
	t.Run("Ansible Vault", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Subject {
			return subject(t, "token", "other", func(files fstest.MapFS) { files["secrets/token"] = sealed(t, "old", "of production", "prod") })
		})
	})
	t.Run("value in YAML", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Subject {
			return subject(t, "group.yml/db.password", "group.yml/db.user", nil)
		})
	})
	t.Run("command", func(t *testing.T) { storetest.Run(t, printed) })
}

// printed is a secret that cat prints from a file outside of the repository.
func printed(t *testing.T) storetest.Subject {
	file := filepath.Join(t.TempDir(), "value")
	store := func(argv ...string) *Store {
		return New(Options{Files: fstest.MapFS{}, Secrets: []fleet.Secret{{Name: "token", Command: argv, Timeout: time.Minute, Revision: 1}}, Run: command.Options{Run: local.Machine{}, Allow: func(string, []string) (string, error) { return "", nil }}})
	}
	s := storetest.Subject{
		Name: "token", Unknown: "other", Locked: store("false"),
		Holds: func(v []byte) bool { return len(v) > 0 }, // a program that prints nothing found nothing
	}
	fresh := &renewed{make: func() *Store { return store("cat", file) }}
	fresh.Store = fresh.make()
	s.Store = fresh
	s.Put = func(t *testing.T, value []byte) {
		fresh.Store = fresh.make() // another run: within one, a program runs once
		if err := os.WriteFile(file, append(bytes.Clone(value), '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// renewed is a store that is replaced when its value changes.
type renewed struct {
	*Store
	make func() *Store
}

func (r *renewed) Set(ctx context.Context, name string, value secret.Value) error {
	_, err := r.Store.Writer().Set(ctx, name, value)
	return err
}
