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

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,126}$`)

// Path returns the file that holds the secret of a name: secrets/<name>. Names
// that end in .env belong to stacks.
func Path(name string) (string, error) {
	if !namePattern.MatchString(name) {
		return "", fmt.Errorf("%q is no name for a secret: use letters, digits, and any of . _ -", name)
	}
	if sops.FormatOf(name) == sops.Dotenv {
		return "", fmt.Errorf("%q is no name for a secret: secrets/<stack>.env holds a stack's variables", name)
	}
	return path.Join(Dir, name), nil
}

// path is Path; a file in a folder below secrets/ is named by its path there, once
// it is there.
func (s *Store) path(name string) (string, error) {
	if strings.Contains(name, "/") && s.has(name) {
		return path.Join(Dir, name), nil
	}
	return Path(name)
}

// has reports whether a name is that of a file below secrets/.
func (s *Store) has(name string) bool {
	file, err := filePath(Dir + "/" + name)
	if err == nil {
		_, err = fs.Stat(s.opts.Files, file)
	}
	return err == nil
}

// Variable takes STACK/VARIABLE apart, the name of a stack's variable. A file of
// that path below secrets/ is none.
func (s *Store) Variable(name string) (stack, variable string, ok bool) {
	stack, variable, ok = strings.Cut(name, "/")
	return stack, variable, ok && !s.has(name)
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
		return "", fmt.Errorf("%q is no file below %s/", file, Dir)
	}
	return file, nil
}
