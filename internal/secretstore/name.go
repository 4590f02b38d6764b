package secretstore

import (
	"io/fs"

	"salvor/internal/fleet"
)

// find returns where the secret of a name is kept, if a file holds it.
func (s *Store) find(name string) (fleet.SecretName, error) {
	return fleet.ParseSecretName(name, func(file string) bool {
		_, err := fs.Stat(s.opts.Files, file)
		return err == nil
	})
}

// FileOf returns the file that holds the secret of a name, whether it is there or
// not.
func (s *Store) FileOf(name string) (string, error) {
	at, err := s.find(name)
	return at.File, err
}

// Variable takes STACK/VARIABLE apart, the name of a stack's variable. A value in a
// YAML file is not one, nor is a file of that path below secrets/.
func (s *Store) Variable(name string) (stack, variable string, ok bool) {
	at, err := s.find(name)
	return at.Stack, at.Key, err == nil && at.Stack != ""
}

// envPath returns the file that holds a stack's secret variables.
func envPath(stack string) (string, error) {
	return fleet.EnvFile(stack), fleet.ValidName(stack)
}
