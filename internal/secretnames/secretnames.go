// Package secretnames says which secrets a repository has and which of them may leave
// the operators' computers, by names alone: it opens nothing and needs no key, so that
// a host can ask it as well as an operator.
package secretnames

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secret/ansiblevault"
)

// The fleet's own keys, by the names of their secrets.
const (
	SSHKey  = "fleet_ssh_key"
	SignKey = "fleet_sign_key"
)

// Replacing returns the command that replaces one of the fleet's own keys, which Salvor
// makes together with its public half; own is false for every other secret.
func Replacing(name string) (command string, own bool) {
	switch name {
	case SSHKey:
		return "salvor key ssh --rotate", true
	case SignKey:
		return "salvor key rotate --signing", true
	}
	return "", false
}

// Names are the names of the secrets of one commit.
type Names struct {
	Files   fs.FS                     // the repository
	Secrets []fleet.Secret            // as fleet.yaml declares them
	Vaults  map[string]secret.Setting // Ansible Vault id to the reference of its password
	Token   secret.Setting            // of the operators at the Git host
}

// Find returns where the secret of a name is kept, if a file holds it.
func (n Names) Find(name string) (fleet.SecretName, error) {
	return fleet.ParseSecretName(name, func(file string) bool {
		_, err := fs.Stat(n.Files, file)
		return err == nil
	})
}

// FileOf returns the file that holds the secret of a name, whether it is there or not.
func (n Names) FileOf(name string) (string, error) {
	at, err := n.Find(name)
	return at.File, err
}

// Variable takes STACK/VARIABLE apart, the name of a stack's variable. A value in a
// YAML file is not one, nor is a file of that path below secrets/.
func (n Names) Variable(name string) (stack, variable string, ok bool) {
	at, err := n.Find(name)
	return at.Stack, at.Key, err == nil && at.Stack != ""
}

// EnvNames returns the names of a stack's secret variables: those in its file, in the
// file's order, then those that programs print. SOPS leaves the names of a dotenv file
// in plain text; whether its values can be opened is not looked at.
func (n Names) EnvNames(stack string) ([]string, error) {
	content, err := fs.ReadFile(n.Files, fleet.EnvFile(stack))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	names := variables(content)
	for _, c := range n.Secrets {
		if of, name, isVariable := strings.Cut(c.Name, "/"); isVariable && of == stack && c.Command != nil {
			names = append(names, name)
		}
	}
	return names, nil
}

func variables(dotenv []byte) []string {
	var names []string
	for line := range bytes.Lines(dotenv) {
		name, _, found := bytes.Cut(line, []byte("="))
		if found && len(name) > 0 && name[0] != '#' && !bytes.HasPrefix(name, []byte("sops_")) {
			names = append(names, string(name))
		}
	}
	return names
}

// Unfiled returns the names of the fleet's secrets that are not a file of their own:
// what programs print, and the values in YAML files. Files that can't be read are
// skipped; opening one says so.
func (n Names) Unfiled() ([]string, error) {
	var names []string
	for _, c := range n.Secrets {
		if c.Command != nil && !strings.Contains(c.Name, "/") {
			names = append(names, c.Name)
		}
	}
	files, err := n.Paths()
	for _, file := range files {
		if f, ok, err := n.Inline(file); ok && err == nil {
			values, _ := f.Values() // opening a damaged one says so
			for _, v := range values {
				names = append(names, strings.TrimPrefix(file, fleet.SecretDir+"/")+"/"+v.Name)
			}
		}
	}
	return names, err
}

// Paths returns the files below secrets/, sorted. Files whose names start with
// a dot (.gitkeep) don't count.
func (n Names) Paths() ([]string, error) {
	var paths []string
	err := fs.WalkDir(n.Files, fleet.SecretDir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case p == fleet.SecretDir && errors.Is(err, fs.ErrNotExist):
			return fs.SkipAll
		case err != nil:
			return err
		case strings.HasPrefix(d.Name(), ".") && d.IsDir():
			return fs.SkipDir
		case d.IsDir() || strings.HasPrefix(d.Name(), "."):
			return nil
		}
		paths = append(paths, p)
		return nil
	})
	return paths, err
}

// Inline returns a YAML file with values in Ansible Vaults, as Ansible calls them; ok
// is false for a file that has none.
func (n Names) Inline(file string) (f *ansiblevault.Inline, ok bool, err error) {
	if ext := strings.ToLower(path.Ext(file)); ext != ".yml" && ext != ".yaml" {
		return nil, false, nil
	}
	data, err := fs.ReadFile(n.Files, file)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s: %w", file, secret.ErrNotFound)
	}
	if err != nil || ansiblevault.IsVault(data) {
		return nil, false, err
	}
	return ansiblevault.ParseInline(file, data)
}

// Deliverable returns why a secret may not leave the operators' computers, nil where
// it may: the fleet's own keys, the token at the Git host and the passwords of vaults go to no remote, registry,
// host or container.
func (n Names) Deliverable(name string) error {
	at, err := n.Find(name)
	if err != nil {
		return nil // there is none of that name: opening it says so
	}
	for _, kept := range n.kept() {
		with, err := n.Find(kept)
		same := err == nil && at.File == with.File && (at.Key == with.Key || at.Key == "")
		if same || n.samePrograms(name, kept) {
			return Undeliverable(name)
		}
	}
	return nil
}

// DeliverableFile is Deliverable for a whole file of secrets/, by its path.
func (n Names) DeliverableFile(file string) error {
	name := strings.TrimPrefix(file, fleet.SecretDir+"/")
	for _, kept := range n.kept() {
		if with, err := n.Find(kept); err == nil && with.File == path.Clean(file) {
			return Undeliverable(name)
		}
	}
	return n.Deliverable(name)
}

// DeliverableTo is Deliverable for what a stack's Compose file mounts or interpolates:
// the name of one of its variables, or a file below secrets/.
func (n Names) DeliverableTo(stack, key string) error {
	if strings.HasPrefix(key, fleet.SecretDir+"/") {
		return n.DeliverableFile(key)
	}
	return n.Deliverable(stack + "/" + key)
}

// kept are the names of secrets that stay with the operators.
func (n Names) kept() []string {
	names := []string{SSHKey, SignKey}
	if name, ok := n.Token.Secret(); ok {
		names = append(names, name)
	}
	for _, password := range n.Vaults {
		if name, ok := password.Secret(); ok {
			names = append(names, name)
		}
	}
	return names
}

// samePrograms reports whether one program prints two secrets.
func (n Names) samePrograms(one, other string) bool {
	a, b := n.program(one), n.program(other)
	return a != nil && slices.Equal(a, b)
}

func (n Names) program(name string) []string {
	for _, s := range n.Secrets {
		if s.Name == name {
			return s.Command
		}
	}
	return nil
}

// Undeliverable is the error about a secret that stays with the operators.
func Undeliverable(name string) error {
	return fault.WithHint(fmt.Errorf("secret %s opens the fleet: it stays with the operators and is never given to a remote, registry or container", name),
		"use salvor secret set with another name to create a separate secret")
}

// InStack are the names that variables of a stack have as secrets: STACK/VARIABLE.
func InStack(stack string, variables []string) []string {
	var all []string
	for _, name := range variables {
		all = append(all, stack+"/"+name)
	}
	return all
}
