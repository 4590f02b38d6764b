package lab

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
)

// A GitServer is a Git host reached over SSH, with one bare repository.
type GitServer struct {
	service
}

const gitRepository = "/srv/git/fleet.git"

const gitScript = `ssh-keygen -A
install -d -m 700 -o git -g git /home/git/.ssh
[ -e /home/git/.ssh/authorized_keys ] || printf '%s\n' "$OPERATOR" >/home/git/.ssh/authorized_keys
chown git:git /home/git/.ssh/authorized_keys
[ -d ` + gitRepository + ` ] || git init -q --bare -b main ` + gitRepository + `
chown -R git:git /srv/git
exec /usr/sbin/sshd -D -e -o PasswordAuthentication=no`

// operatorForce confines the operator's key to Git, reading and writing.
const operatorForce = `restrict,command="git-shell -c \"$SSH_ORIGINAL_COMMAND\"" `

// Git starts a Git host whose repository is empty, its branch main. The
// operator's key may read and write.
func (l *Lab) Git(ctx context.Context) (*GitServer, error) {
	key, err := l.publicKey()
	if err != nil {
		return nil, err
	}
	s, err := l.service(ctx, "git", []string{"-e", "OPERATOR=" + operatorForce + key}, gitScript)
	if err != nil {
		return nil, err
	}
	return &GitServer{s}, s.wait(ctx, 22)
}

// URL is the repository's address, "ssh://git@ip/srv/git/fleet.git".
func (g *GitServer) URL() string { return fmt.Sprintf("ssh://git@%s%s", g.address, gitRepository) }

// HostKey is the server's public SSH key as a line of authorized_keys(5).
func (g *GitServer) HostKey(ctx context.Context) (string, error) {
	return docker(ctx, "exec", g.container, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
}

// AddReadKey lets the holder of a public key ("ssh-ed25519 AAAA… comment") clone
// and fetch; a push is refused with a message.
func (g *GitServer) AddReadKey(ctx context.Context, key string) error {
	line := `restrict,command="/usr/local/bin/git-readonly" ` + strings.TrimSpace(key) + "\n"
	_, err := docker(ctx, "exec", g.container, "sh", "-c", `printf %s "$1" >>/home/git/.ssh/authorized_keys`, "sh", line)
	return err
}

// Logins is the number of logins from an address so far.
func (g *GitServer) Logins(ctx context.Context, from netip.Addr) (int, error) {
	log, err := process{argv: []string{"sh", "-c", `docker logs "$1" 2>&1`, "sh", g.container}}.run(ctx)
	return strings.Count(log, "Accepted publickey for git from "+from.String()+" "), err
}

// Up starts the Git host again after Down, its repository and keys as before.
func (g *GitServer) Up(ctx context.Context) error { return g.start(ctx, 22) }
