package nsexec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// niceness of the program: reading and writing data can wait for the services,
// and for what a new host installs meanwhile.
const niceness = 10

// Main reads a Spec and becomes its program; it returns only errors. It needs
// root.
func Main(stdin io.Reader) error {
	var w wire
	if err := json.NewDecoder(stdin).Decode(&w); err != nil {
		return fmt.Errorf("read what to start: %w", err)
	}
	if len(w.Argv) == 0 || !filepath.IsAbs(w.Argv[0]) {
		return errors.New("the program is not an absolute path")
	}
	runtime.LockOSThread() // namespaces belong to the thread that execs
	if err := isolate(w); err != nil {
		return err
	}
	argv, err := passSecrets(w)
	if err != nil {
		return err
	}
	if err := silenceStdin(); err != nil {
		return err
	}
	if err := renounce(w.User); err != nil {
		return err
	}
	if err := refuse(); err != nil {
		return err
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, niceness); err != nil {
		return fmt.Errorf("lower the priority: %w", err)
	}
	if err := become(w.User); err != nil {
		return fmt.Errorf("become the user %s: %w", w.User, err)
	}
	env := append(os.Environ(), w.Env...)
	return fmt.Errorf("start %s: %w", argv[0], unix.Exec(argv[0], argv, env))
}

func isolate(w wire) error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
		return fmt.Errorf("new namespace: %w", err)
	}
	if w.Hostname != "" {
		if err := unix.Sethostname([]byte(w.Hostname)); err != nil {
			return fmt.Errorf("set host name: %w", err)
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := os.MkdirAll(Root, 0o700); err != nil {
		return err
	}
	if err := readOnly(); err != nil {
		return err
	}
	for _, dir := range w.Writes {
		if err := show(Bind{Source: dir, Target: dir, Writable: true}); err != nil {
			return fmt.Errorf("have it write to %s: %w", dir, err)
		}
	}
	if len(w.Binds) == 0 {
		return nil
	}
	if err := unix.Mount("salvor", Root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size=1m"); err != nil {
		return fmt.Errorf("mount %s: %w", Root, err)
	}
	for _, b := range w.Binds {
		if err := bind(b); err != nil {
			return fmt.Errorf("show %s at %s: %w", b.Source, b.Target, err)
		}
	}
	return nil
}

func bind(b Bind) error {
	if filepath.Clean(b.Target) != b.Target || !strings.HasPrefix(b.Target, Root+"/") {
		return fmt.Errorf("target is not below %s", Root)
	}
	return show(b)
}

// passSecrets puts each secret into a memory file that the program inherits.
func passSecrets(w wire) ([]string, error) {
	argv := slices.Clone(w.Argv)
	for name, value := range w.Secrets {
		fd, err := unix.MemfdCreate("salvor-"+name, 0)
		if err != nil {
			return nil, fmt.Errorf("pass a secret: %w", err)
		}
		for rest := value; len(rest) > 0; {
			n, err := unix.Write(fd, rest)
			if err != nil {
				return nil, fmt.Errorf("pass a secret: %w", err)
			}
			rest = rest[n:]
		}
		for i, arg := range argv {
			if arg == "{"+name+"}" {
				argv[i] = fmt.Sprintf("/proc/self/fd/%d", fd)
			}
		}
	}
	return argv, nil
}

// silenceStdin keeps the program from reading what is left of the Spec's pipe.
func silenceStdin() error {
	null, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	return unix.Dup3(null, 0, 0)
}
