package secretstore

import (
	"errors"
	"path"
	"strings"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/secret/ansiblevault"
	"salvor/internal/secret/sops"
)

// Info is what can be said of one secret without any key.
type Info struct {
	Name       string    // of the secret; STACK/VARIABLE for a stack's variable
	File       string    // in the repository, "" for what a program prints
	Stack      string    // whose variable it is, "" for a secret of the fleet
	Recipients []string  // age recipients, sorted
	OtherKeys  []string  // PGP, KMS …
	Encrypted  time.Time // when the file's content was last changed, by its own account
	Fits       bool      // encrypted to exactly the store's recipients

	Command  []string // what prints it, nil where a file holds it
	Revision int      // of what the command prints
}

// List returns every secret in the repository, by file and the order in it, and then
// those that programs print, without opening any. A file below secrets/ that is not
// encrypted is an error wrapping sops.ErrPlain; the error joins those of all such
// files and the others are returned with it.
func (s *Store) List() ([]Info, error) {
	paths, err := s.Paths()
	if err != nil {
		return nil, err
	}
	var infos []Info
	var errs []error
	for _, p := range paths {
		more, err := s.inFile(p)
		infos, errs = append(infos, more...), append(errs, err)
	}
	for _, c := range s.Secrets {
		if c.Command != nil {
			stack, _, isVariable := strings.Cut(c.Name, "/")
			if !isVariable {
				stack = ""
			}
			infos = append(infos, Info{Name: c.Name, Stack: stack, Fits: true, Command: c.Command, Revision: c.Revision})
		}
	}
	return infos, errors.Join(errs...)
}

// inFile lists the secrets of one file.
func (s *Store) inFile(file string) ([]Info, error) {
	data, err := s.read(file)
	if err != nil {
		return nil, err
	}
	switch kind, err := kindOf(file, data); {
	case kind.vault != nil:
		return []Info{vaultInfo(file, *kind.vault)}, err
	case err != nil:
		return nil, err
	case kind.inline != nil:
		return inlineInfos(file, kind.inline)
	default:
		return s.infos(file, kind.sops)
	}
}

func (s *Store) infos(file string, f *sops.File) ([]Info, error) {
	info := Info{
		Name:       strings.TrimPrefix(file, fleet.SecretDir+"/"),
		File:       file,
		Recipients: f.Recipients(),
		OtherKeys:  f.OtherKeys(),
		Encrypted:  f.Modified(),
		Fits:       f.Fits(s.opts.Recipients),
	}
	stack, isEnv := stackOf(file)
	if !isEnv {
		return []Info{info}, nil
	}
	names, err := f.EnvNames()
	if err != nil {
		return nil, err
	}
	infos := make([]Info, 0, len(names))
	for _, name := range names {
		info.Name, info.Stack = stack+"/"+name, stack
		infos = append(infos, info)
	}
	return infos, nil
}

// vaultInfo is what an Ansible Vault shows: it has no time and no recipients, so
// nothing that could fail to fit.
func vaultInfo(file string, e ansiblevault.Envelope) Info {
	return Info{Name: strings.TrimPrefix(file, fleet.SecretDir+"/"), File: file, OtherKeys: []string{"vault id " + e.ID}, Fits: true}
}

// stackOf returns the stack whose variables a file holds.
func stackOf(file string) (string, bool) {
	stack, isEnv := strings.CutSuffix(path.Base(file), ".env")
	return stack, isEnv && path.Dir(file) == fleet.SecretDir && fleet.ValidName(stack) == nil
}
