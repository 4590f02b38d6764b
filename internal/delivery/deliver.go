// Package delivery puts a stack's secrets where its containers find them, on
// the host, in memory only:
//
//	/run/salvor/secrets/<stack>/<service>/NAME -> ..data/NAME     bound read-only at /run/secrets
//	/run/salvor/secrets/<stack>/<service>/..data -> ..7           swapped at once for all files of the service
//	/run/salvor/secrets/<stack>/.files/<service>/TARGET           bound at targets outside /run/secrets
//	/run/salvor/secrets/<stack>/.env                              for Compose's interpolation
//	/run/salvor/secrets/<stack>/.changed/<service>                its containers are not notified yet
package delivery

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/hostpath"
	"salvor/internal/project"
	"salvor/internal/secret"
)

// Secrets are one stack's: where each goes, and the opened sealed file that
// holds their content.
type Secrets struct {
	Stack  string
	Mounts []project.SecretMount
	Env    []string // names that go into the .env
	Sealed agentapi.SealedFile
}

// A Report says what a delivery changed.
type Report struct {
	Services []string // whose files changed, sorted
	Env      bool     // whether the .env changed
}

// Deliver makes the secrets below root those given, and no others of the stack.
// Owner and mode are set before a file can be seen; all files of a service
// under /run/secrets change at once. Delivering the same again changes nothing.
// A secret that the sealed file lacks wraps secret.ErrNotFound; nothing is then
// written. What changed that was there before is also noted for Pending. Callers
// deliver one stack from one place at a time.
func Deliver(root hostpath.Secrets, s Secrets) (Report, error) {
	if _, err := memory(string(root)); err != nil {
		return Report{}, err
	}
	env, err := s.check()
	if err != nil {
		return Report{}, err
	}
	stackDir := root.Stack(s.Stack)
	if err := os.MkdirAll(stackDir, 0o700); err != nil {
		return Report{}, err
	}
	var report Report
	services := s.services()
	for _, name := range services {
		changed, err := s.deliverService(root, name)
		if err != nil {
			return report, fmt.Errorf("stack %s, service %s: %w", s.Stack, name, err)
		}
		if changed {
			report.Services = append(report.Services, name)
		}
	}
	if report.Env, err = s.deliverEnv(root, env); err != nil {
		return report, err
	}
	gone, err := s.removeOthers(root, services)
	report.Services = append(report.Services, gone...)
	slices.Sort(report.Services)
	report.Services = slices.Compact(report.Services)
	return report, err
}

// Remove takes away everything delivered to a stack. It may be called twice.
func Remove(root hostpath.Secrets, stack string) error {
	if err := checkNames(stack, nil); err != nil {
		return err
	}
	return os.RemoveAll(root.Stack(stack))
}

// check refuses what can't be delivered whole, and returns the .env's content.
func (s Secrets) check() ([]byte, error) {
	if err := checkNames(s.Stack, s.Mounts); err != nil {
		return nil, err
	}
	for _, m := range s.Mounts {
		if _, ok := s.Sealed.Secrets[m.Secret]; !ok {
			return nil, fmt.Errorf("stack %s, service %s: secret %q is not in the sealed file: %w", s.Stack, m.Service, m.Secret, secret.ErrNotFound)
		}
	}
	return encodeEnv(s.Stack, s.Env, s.Sealed.Env)
}

func (s Secrets) services() []string {
	var names []string
	for _, m := range s.Mounts {
		names = append(names, m.Service)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (s Secrets) deliverService(root hostpath.Secrets, service string) (changed bool, err error) {
	var together, alone []file
	for _, m := range s.Mounts {
		if m.Service != service {
			continue
		}
		f := file{name: m.Target, content: s.Sealed.Secrets[m.Secret], uid: m.UID, gid: m.GID, mode: os.FileMode(m.Mode)}
		if path.IsAbs(m.Target) {
			f.name = filepath.Base(root.Single(s.Stack, service, m.Target))
			alone = append(alone, f)
		} else {
			together = append(together, f)
		}
	}
	dir, files := root.Service(s.Stack, service), root.Singles(s.Stack, service)
	if holds(dir, together) && holdEach(files, alone) {
		return false, removeStale(dir, together)
	}
	if err := s.note(root, service, dir, files); err != nil {
		return false, err
	}
	first, err := swapDir(dir, together)
	if err != nil {
		return first, err
	}
	second, err := replaceEach(files, alone)
	return first || second, err
}

func (s Secrets) deliverEnv(root hostpath.Secrets, content []byte) (changed bool, err error) {
	path := root.Env(s.Stack)
	if len(content) == 0 {
		err := os.Remove(path)
		if errors.Is(err, os.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	}
	f := file{name: filepath.Base(path), content: content, mode: 0o600}
	if f.isAt(path) {
		return false, nil
	}
	if err := s.note(root, envNote, path); err != nil {
		return false, err
	}
	return true, f.replace(path)
}

// removeOthers takes away what services have that list no secret any more, and
// returns their names.
func (s Secrets) removeOthers(root hostpath.Secrets, keep []string) ([]string, error) {
	stackDir := root.Stack(s.Stack)
	gone, err := removeExcept(stackDir, append([]string{filepath.Base(root.Singles(s.Stack, "")), noted, ".env"}, keep...))
	if err != nil {
		return nil, err
	}
	more, err := removeExcept(root.Singles(s.Stack, ""), keep)
	return append(gone, more...), err
}

func removeExcept(dir string, keep []string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var gone []string
	for _, e := range entries {
		if slices.Contains(keep, e.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return gone, err
		}
		gone = append(gone, e.Name())
	}
	return gone, err
}
