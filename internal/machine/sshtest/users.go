package sshtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const sshd = "/usr/sbin/sshd"

// sandbox gives sshd, and all that it starts, its own view of the accounts: the
// machine's are not touched, so that nothing can be left behind.
const sandbox = `set -e
for name in passwd shadow sudoers; do [ ! -e "$1/$name" ] || mount --bind "$1/$name" "/etc/$name"; done
exec ` + sshd + ` -D -e -f "$2"`

// command returns the sshd's command line. Where this process may make a mount
// namespace, root's home is an empty one (the dotfiles of the person who runs the
// test have no effect), and where sudo is installed, there are users for it.
func (s *Server) command(t testing.TB, dir, config string) *exec.Cmd {
	t.Helper()
	if exec.CommandContext(t.Context(), "unshare", "--mount", "true").Run() != nil {
		return exec.CommandContext(t.Context(), sshd, "-D", "-e", "-f", config)
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	shadow, err := os.ReadFile("/etc/shadow")
	if err != nil {
		t.Fatal(err)
	}
	accounts := strings.Replace(string(passwd), ":/root:", ":"+s.home(t, dir, "root", 0)+":", 1)
	passwords := string(shadow)
	if _, err := exec.LookPath("sudo"); err == nil {
		s.SudoUser, s.AskUser = "ops", "guest"
		for i, name := range []string{s.SudoUser, s.AskUser} {
			uid := 64990 + i
			accounts += fmt.Sprintf("%s:x:%d:65534::%s:/bin/sh\n", name, uid, s.home(t, dir, name, uid))
			passwords += name + ":*:19000::::::\n"
		}
		write(t, filepath.Join(dir, "sudoers"), fmt.Sprintf("root ALL=(ALL:ALL) ALL\n%s ALL=(ALL) NOPASSWD: ALL\n%s ALL=(ALL) ALL\n", s.SudoUser, s.AskUser), 0o440)
	}
	write(t, filepath.Join(dir, "passwd"), accounts, 0o644)
	write(t, filepath.Join(dir, "shadow"), passwords, 0o600)
	return exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "-c", sandbox, "sh", dir, config)
}

func (s *Server) home(t testing.TB, dir, name string, uid int) string {
	t.Helper()
	home := filepath.Join(dir, "home-"+name)
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, uid, -1); err != nil {
		t.Fatal(err)
	}
	return home
}
