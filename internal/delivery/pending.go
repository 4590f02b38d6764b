package delivery

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"salvor/internal/hostpath"
)

// noted is the folder of notes: a file for each service whose secrets changed and
// whose containers were not notified. It is in memory like the secrets, so that it is
// gone when every container starts again.
const noted = ".changed"

// envNote is the note for the .env; no service has such a name.
const envNote = ".env"

// note says, before anything changes, that a service's secrets will have changed. A
// secret that was not there before was not read: there is no one to notify.
func (s Secrets) note(root hostpath.Secrets, name string, paths ...string) error {
	there := false
	for _, p := range paths {
		_, err := os.Lstat(p)
		there = there || err == nil
	}
	if !there {
		return nil
	}
	dir := filepath.Join(root.Stack(s.Stack), noted)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// Pending returns what changed since MarkNotified was called last, in this or earlier runs: a
// delivery that was interrupted is not forgotten.
func Pending(root hostpath.Secrets, stack string) (Report, error) {
	var r Report
	entries, err := os.ReadDir(filepath.Join(root.Stack(stack), noted))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	for _, e := range entries {
		switch e.Name() {
		case envNote:
			r.Env = true
		default:
			r.Services = append(r.Services, e.Name())
		}
	}
	return r, err
}

// MarkNotified forgets what changed: every container concerned knows. It may be called
// twice.
func MarkNotified(root hostpath.Secrets, stack string) error {
	if err := checkNames(stack, nil); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(root.Stack(stack), noted))
}
