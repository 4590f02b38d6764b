package envimport

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/stack/compose"
)

// maxEnvFile is more than any env file, and less than a mistake.
const maxEnvFile = 1 << 20

// An EnvFile is one that was read.
type EnvFile struct {
	shown   string // as the operator named it
	path    string // absolute, without links in its folder
	content secret.Value
	nowhere bool  // it is on no disk
	unread  error // why it is not an env file; a file that a Compose file lists under secrets: need not be one
}

// InMemory returns an env file, or a Compose file that writes secrets out, that is on no
// disk, as if it were in the working tree below root at that path of the repository.
func InMemory(root, repoPath string, content secret.Value) (EnvFile, error) {
	f := EnvFile{shown: repoPath, content: content, nowhere: true}
	at, err := filepath.EvalSymlinks(root)
	if err != nil {
		return f, err
	}
	f.path = filepath.Join(at, filepath.FromSlash(repoPath))
	if !isCompose(f.path) {
		_, f.unread = parseEntries(repoPath, content.Reveal(), func(string) (string, bool) { return "", false })
	}
	return f, nil
}

// Empty reports whether a file sets no variable.
func (f EnvFile) Empty() bool { return errors.Is(f.unread, errEmpty) }

// Read reads env files by the names that the operator gave them. What is wrong with one as
// such is reported before anything else is looked at.
func Read(names []string) ([]EnvFile, error) {
	var all []EnvFile
	for _, name := range names {
		f, err := readEnvFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func readEnvFile(name string) (EnvFile, error) {
	f := EnvFile{shown: name}
	abs, err := filepath.Abs(name)
	if err != nil {
		return f, err
	}
	info, err := os.Lstat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, fault.WithHint(fmt.Errorf("%s: no such file", name), "salvor secret import stacks/NAME/.env")
	case err != nil:
		return f, err
	case !info.Mode().IsRegular():
		return f, fmt.Errorf("%s is not a regular file; name the file itself", name)
	case info.Size() > maxEnvFile:
		return f, fmt.Errorf("%s: an env file is at most 1 MiB", name)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return f, err
	}
	f.path = filepath.Join(dir, filepath.Base(abs))
	content, err := os.ReadFile(f.path)
	if err != nil {
		return f, err
	}
	f.content = secret.New(content)
	if filepath.Base(filepath.Dir(f.path)) == fleet.SecretDir || isCompose(f.path) {
		return f, nil // what is encrypted is refused once it is known whose folder that is, and a Compose file is looked into there
	}
	_, f.unread = parseEntries(name, content, func(string) (string, bool) { return "", false })
	return f, nil
}

var errEmpty = errors.New("does not set a variable")

// parseEntries reads an env file as Compose would.
func parseEntries(name string, content []byte, lookup compose.Lookup) ([]compose.EnvEntry, error) {
	f, err := compose.ParseEnv(name, content, lookup)
	if err != nil {
		return nil, err
	}
	entries := f.Entries()
	for _, e := range entries {
		if !e.Usable() {
			return nil, fmt.Errorf("%s:%d:1: want letters, digits and _ in a variable's name; write this one under environment: instead", name, e.Line)
		}
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("%s %w", name, errEmpty)
	}
	return entries, nil
}

// A source is an env file of this fleet.
type source struct {
	EnvFile
	repo    string // in the repository, "" outside of it
	tracked bool   // HEAD has it
	whole   bool   // a stack lists it under secrets:
}

// entries are the file's variables as far as it says them without the stack's. A Compose file
// has none, and neither has one that is a secret as it is.
func (s *source) entries() []compose.EnvEntry {
	if isCompose(s.path) || s.whole {
		return nil
	}
	all, _ := parseEntries(s.shown, s.content.Reveal(), func(string) (string, bool) { return "", false }) // it was read before
	return all
}

// repeated are the file's values that do not count.
func (s *source) repeated() []Repeated {
	var all []Repeated
	for _, e := range s.entries() {
		for _, lost := range e.Lost {
			all = append(all, Repeated{s.shown, e.Name, lost, e.Line})
		}
	}
	return all
}

// source finds an env file in the repository.
func (m *Importer) source(f EnvFile) (source, error) {
	s := source{EnvFile: f}
	root, err := filepath.EvalSymlinks(m.checkout.Root)
	if err != nil {
		return s, err
	}
	if rel, err := filepath.Rel(root, s.path); err == nil && filepath.IsLocal(rel) {
		s.repo = filepath.ToSlash(rel)
	}
	if strings.HasPrefix(s.repo, fleet.SecretDir+"/") {
		return s, fault.WithHint(fmt.Errorf("files in %s are already encrypted", f.shown), "salvor secret ls")
	}
	return s, nil
}

// folder returns the stack's folder that the file is in, "" for none.
func (s source) folder() string {
	if parts := strings.Split(s.repo, "/"); len(parts) > 2 && parts[0] == fleet.StackDir {
		return parts[1]
	}
	return ""
}
