package sops

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	lib "github.com/getsops/sops/v3"

	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

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
			return nil, fmt.Errorf("%s: %s is not text", f.path, name)
		}
		env[name] = secret.NewString(text)
	}
	return env, nil
}

// SetEnv returns a dotenv file with these names set, in place or at the end. The
// data key stays and so do the lines of all other names, for merges in Git.
func (f *File) SetEnv(ring agekey.Keyring, variables ...secret.Variable) ([]byte, error) {
	if err := checkAll(f.path, variables); err != nil {
		return nil, err
	}
	o, err := f.open(ring)
	if err != nil {
		return nil, err
	}
	branch := o.tree.Branches[0]
	for _, v := range variables {
		item := lib.TreeItem{Key: v.Name, Value: string(v.Value.Reveal())}
		if i := slices.IndexFunc(branch, func(t lib.TreeItem) bool { return t.Key == v.Name }); i >= 0 {
			branch[i] = item
		} else {
			branch = append(branch, item)
		}
	}
	o.tree.Branches[0] = branch
	return emit(f.path, o, time.Now())
}

// NewEnv returns a new dotenv file with these names in it, in this order.
func NewEnv(path string, recipients []string, variables ...secret.Variable) ([]byte, error) {
	if err := checkAll(path, variables); err != nil {
		return nil, err
	}
	var text strings.Builder
	for _, v := range variables {
		fmt.Fprintf(&text, "%s=%s\n", v.Name, strings.ReplaceAll(string(v.Value.Reveal()), "\n", `\n`))
	}
	return Encrypt(path, secret.NewString(text.String()), recipients)
}

// ReplaceEnv returns a dotenv file that says what text does: lines of NAME=value
// as Plain has them, comments, empty lines. What stays the same keeps its line.
// changed names the variables that are new or have another value. Where the text
// says what the file says, data is nil. Errors name the text `file`, with the line, and
// show nothing of it.
func (f *File) ReplaceEnv(ring agekey.Keyring, file string, text secret.Value) (data []byte, changed []string, err error) {
	branch, err := parseEnv(file, string(text.Reveal()))
	if err != nil {
		return nil, nil, err
	}
	o, err := f.open(ring)
	if err != nil {
		return nil, nil, err
	}
	before := o.tree.Branches[0]
	if slices.Equal(before, branch) {
		return nil, nil, nil
	}
	for _, item := range branch {
		if name, isName := item.Key.(string); isName && !slices.Contains(before, item) {
			changed = append(changed, name)
		}
	}
	o.tree.Branches[0] = branch
	data, err = emit(f.path, o, time.Now())
	return data, changed, err
}

// parseEnv reads a dotenv text by the rules of SOPS.
func parseEnv(file, text string) (lib.TreeBranch, error) {
	var branch lib.TreeBranch
	first := map[string]int{}
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		if line == "" {
			continue
		}
		if line[0] == '#' {
			branch = append(branch, lib.TreeItem{Key: lib.Comment{Value: line[1:]}})
			continue
		}
		name, value, found := strings.Cut(line, "=")
		before, twice := first[name]
		value = strings.ReplaceAll(value, `\n`, "\n")
		switch {
		case !found || !fleet.IsVariable(name):
			return nil, fmt.Errorf("%s:%d:1: want NAME=value, with letters, digits and _ in the name", file, number)
		case twice:
			return nil, fmt.Errorf("%s:%d:1: %s is set twice, first in line %d", file, number, name, before)
		}
		if err := checkEnv(secret.Variable{Name: name, Value: secret.NewString(value)}); err != nil {
			return nil, fmt.Errorf("%s:%d:1: %w", file, number, err)
		}
		first[name] = number
		branch = append(branch, lib.TreeItem{Key: name, Value: value})
	}
	return branch, nil
}

func checkAll(path string, variables []secret.Variable) error {
	for _, v := range variables {
		if err := checkEnv(v); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// checkEnv refuses what a SOPS dotenv file would change or not encrypt.
func checkEnv(v secret.Variable) error {
	name, value := v.Name, v.Value
	switch {
	case !fleet.IsVariable(name):
		return fmt.Errorf("%q is not a variable name", name)
	case strings.HasPrefix(name, "sops_"):
		return fmt.Errorf("%s: names that start with sops_ belong to SOPS", name)
	case strings.HasSuffix(name, lib.DefaultUnencryptedSuffix):
		return fmt.Errorf("%s: SOPS does not encrypt names that end in %s", name, lib.DefaultUnencryptedSuffix)
	case bytes.Contains(value.Reveal(), []byte(`\n`)):
		return fmt.Errorf(`%s: a dotenv file can't contain a backslash followed by n; keep it as a file`, name)
	case bytes.IndexByte(value.Reveal(), 0) >= 0 || !utf8.Valid(value.Reveal()):
		return fmt.Errorf("%s: a dotenv file can only contain text; keep it as a file", name)
	}
	return nil
}
