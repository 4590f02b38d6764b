package sops

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	lib "github.com/getsops/sops/v3"

	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// EnvNames returns the names in a dotenv file, in its order, without any key:
// SOPS encrypts values only.
func (f *File) EnvNames() ([]string, error) {
	tree, err := f.load()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, item := range tree.Branches[0] {
		if name, ok := item.Key.(string); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// Env decrypts a dotenv file. A value is what stands after the =, quotes
// included, with \n for a line break: as SOPS and docker's --env-file read it.
func (f *File) Env(ring agekey.Keyring) (map[string]secret.Value, error) {
	o, err := f.open(ring)
	if err != nil {
		return nil, err
	}
	env := map[string]secret.Value{}
	for _, item := range o.tree.Branches[0] {
		name, ok := item.Key.(string)
		if !ok {
			continue
		}
		text, ok := item.Value.(string)
		if !ok {
			return nil, fmt.Errorf("%s: %s is no text", f.path, name)
		}
		env[name] = secret.NewString(text)
	}
	return env, nil
}

// SetEnv returns a dotenv file with one name set, in place or at the end. The
// data key stays and so do the lines of all other names, for merges in Git.
func (f *File) SetEnv(ring agekey.Keyring, name string, value secret.Value) ([]byte, error) {
	if err := checkEnv(name, value); err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	o, err := f.open(ring)
	if err != nil {
		return nil, err
	}
	branch := o.tree.Branches[0]
	item := lib.TreeItem{Key: name, Value: string(value.Reveal())}
	if i := slices.IndexFunc(branch, func(t lib.TreeItem) bool { return t.Key == name }); i >= 0 {
		branch[i] = item
	} else {
		branch = append(branch, item)
	}
	o.tree.Branches[0] = branch
	return emit(f.path, o, time.Now())
}

// NewEnv returns a new dotenv file with one name in it.
func NewEnv(path, name string, value secret.Value, recipients []string) ([]byte, error) {
	if err := checkEnv(name, value); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	line := fmt.Sprintf("%s=%s\n", name, strings.ReplaceAll(string(value.Reveal()), "\n", `\n`))
	return Encrypt(path, secret.NewString(line), recipients)
}

// checkEnv refuses what a SOPS dotenv file would change or leave in clear.
func checkEnv(name string, value secret.Value) error {
	switch {
	case !envName.MatchString(name):
		return fmt.Errorf("%q is no name for a variable", name)
	case strings.HasPrefix(name, "sops_"):
		return fmt.Errorf("%s: names that start with sops_ belong to SOPS", name)
	case strings.HasSuffix(name, lib.DefaultUnencryptedSuffix):
		return fmt.Errorf("%s: SOPS leaves names that end in %s in clear", name, lib.DefaultUnencryptedSuffix)
	case bytes.Contains(value.Reveal(), []byte(`\n`)):
		return fmt.Errorf(`%s: a dotenv file can't hold a backslash followed by n; keep it as a file`, name)
	case bytes.IndexByte(value.Reveal(), 0) >= 0 || !utf8.Valid(value.Reveal()):
		return fmt.Errorf("%s: a dotenv file holds text only; keep it as a file", name)
	}
	return nil
}
