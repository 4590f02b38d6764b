package keyagent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"salvor/internal/fault"
	"salvor/internal/socketdir"
)

// A Folder has the sockets of one user's agents, and is for that user alone.
type Folder string

// UsualFolder returns the folder of this user: below $XDG_RUNTIME_DIR, which the system
// removes at logout, or else below the configuration folder; where that has too long a
// path for a socket, in /tmp, as ssh-agent has its own.
func UsualFolder() (Folder, error) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return Folder(filepath.Join(dir, "salvor")), nil
	}
	dir, err := os.UserConfigDir()
	f := Folder(filepath.Join(dir, "salvor", "run"))
	if f.tooLong() {
		f = Folder(fmt.Sprintf("/tmp/salvor-%d", os.Geteuid()))
	}
	return f, err
}

func (f Folder) socket(name string) string { return filepath.Join(string(f), name+".sock") }

func (f Folder) tooLong() bool { return len(f.socket(nameOf(nil))) > socketdir.Longest }

// make makes the folder if it is missing.
func (f Folder) make() error {
	if f.tooLong() {
		return fault.WithHint(fmt.Errorf("%s: too long for a socket", f), "set XDG_RUNTIME_DIR to a short path")
	}
	err := os.MkdirAll(filepath.Dir(string(f)), 0o700)
	if err == nil {
		err = os.Mkdir(string(f), 0o700)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return f.check()
}

// check returns why the folder can't be trusted: others could put a socket there.
func (f Folder) check() error {
	info, err := os.Lstat(string(f))
	if err != nil {
		return err
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	wrong := ""
	switch {
	case !info.IsDir():
		wrong = "it is not a folder"
	case !known || int(owner.Uid) != os.Geteuid():
		wrong = "it belongs to another user"
	case info.Mode().Perm()&0o077 != 0:
		wrong = fmt.Sprintf("others can look into it (mode %04o)", info.Mode().Perm())
	default:
		return nil
	}
	return fault.WithHint(fmt.Errorf("%s: no key is kept there: %s", f, wrong), fmt.Sprintf("remove it, or chmod 700 %s", f))
}

// names returns the agents that there may be.
func (f Folder) names() ([]string, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	sockets, err := filepath.Glob(f.socket("*"))
	var names []string
	for _, socket := range sockets {
		base := filepath.Base(socket)
		names = append(names, base[:len(base)-len(".sock")])
	}
	return names, err
}
