package secretstore

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/secret/sops"
)

// Dir is the repository's folder of encrypted files.
const Dir = "secrets"

var (
	namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,126}$`)
	// valuePattern takes a name apart that leads into a YAML file. Stacks have no
	// dot in their names, so it can't be a stack's variable.
	valuePattern = regexp.MustCompile(`(?i)^(.*?\.ya?ml)/(.+)$`)
)

// A place is where the secret of a name is kept, if a file holds it.
type place struct {
	file  string // in the repository
	stack string // whose variable it is, "" for none
	key   string // of the variable, or of the value in a YAML file; "" for all of the file
}

// find returns where the secret of a name is kept: NAME is a file, FOLDER/FILE one
// in a folder that is there, STACK/KEY a variable of a stack, FILE.yml/KEY a value in
// a YAML file.
func (s *Store) find(name string) (place, error) {
	if m := valuePattern.FindStringSubmatch(name); m != nil {
		file, err := filePath(path.Join(Dir, m[1]))
		return place{file: file, key: m[2]}, err
	}
	if strings.Contains(name, "/") && s.has(name) {
		return place{file: path.Join(Dir, name)}, nil
	}
	if stack, key, isVariable := strings.Cut(name, "/"); isVariable {
		file, err := EnvPath(stack)
		return place{file: file, stack: stack, key: key}, err
	}
	file, err := Path(name)
	return place{file: file}, err
}

// has reports whether a name is that of a file below secrets/.
func (s *Store) has(name string) bool {
	file, err := filePath(Dir + "/" + name)
	if err == nil {
		_, err = fs.Stat(s.opts.Files, file)
	}
	return err == nil
}

// FileOf returns the file that holds the secret of a name, whether it is there or
// not.
func (s *Store) FileOf(name string) (string, error) {
	at, err := s.find(name)
	return at.file, err
}

// Variable takes STACK/VARIABLE apart, the name of a stack's variable. A value in a
// YAML file is none, nor is a file of that path below secrets/.
func (s *Store) Variable(name string) (stack, variable string, ok bool) {
	at, err := s.find(name)
	return at.stack, at.key, err == nil && at.stack != ""
}

// InFile returns the key of a name that leads into a YAML file.
func InFile(name string) (key string, ok bool) {
	m := valuePattern.FindStringSubmatch(name)
	if m == nil {
		return "", false
	}
	_, err := filePath(path.Join(Dir, m[1]))
	return m[2], err == nil
}

// Path returns the file that holds the secret of a name: secrets/<name>. Names
// that end in .env belong to stacks.
func Path(name string) (string, error) {
	if !namePattern.MatchString(name) {
		return "", fmt.Errorf("%q is not a name for a secret: use letters, digits, and any of . _ -", name)
	}
	if sops.FormatOf(name) == sops.Dotenv {
		return "", fmt.Errorf("%q is not a name for a secret: secrets/<stack>.env is for a stack's variables", name)
	}
	return path.Join(Dir, name), nil
}

// EnvPath returns the file that holds a stack's secret variables.
func EnvPath(stack string) (string, error) {
	if err := fleet.ValidName(stack); err != nil {
		return "", err
	}
	return path.Join(Dir, stack+".env"), nil
}

// filePath checks a path that a Compose file names: below secrets/, clean.
func filePath(file string) (string, error) {
	if path.Clean(file) != file || !strings.HasPrefix(file, Dir+"/") {
		return "", fmt.Errorf("%q is not a file below %s/", file, Dir)
	}
	return file, nil
}
