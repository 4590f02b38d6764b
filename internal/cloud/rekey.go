package cloud

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"salvor/internal/fault"
	"salvor/internal/machine"
	"salvor/internal/machine/ssh"
	"salvor/internal/progress"
)

// Patience is how long a new server is waited for.
type Patience struct {
	Every  time.Duration // between two tries; 0 means 3 s
	Within time.Duration // 0 means 5 min
}

func (p Patience) or() Patience {
	if p.Every == 0 {
		p.Every = 3 * time.Second
	}
	if p.Within == 0 {
		p.Within = 5 * time.Minute
	}
	return p
}

// rekey has the host make an Ed25519 key in the place of all that it has, and prints it.
// Connections that are open stay.
const rekey = `
set -e
umask 077
new=/etc/ssh/.salvor-new
rm -rf -- "$new"
mkdir -- "$new"
trap 'rm -rf -- "$new"' EXIT
ssh-keygen -q -t ed25519 -N '' -C "root@$(uname -n)" -f "$new/key" </dev/null
chmod 644 -- "$new/key.pub"
sync -- "$new/key" "$new/key.pub"
for old in /etc/ssh/ssh_host_*; do
	case $old in */ssh_host_ed25519_key | */ssh_host_ed25519_key.pub) ;; *) rm -f -- "$old" ;; esac
done
mv -f -- "$new/key.pub" /etc/ssh/ssh_host_ed25519_key.pub
mv -f -- "$new/key" /etc/ssh/ssh_host_ed25519_key
systemctl reload ssh 2>/dev/null || systemctl reload sshd >&2
exec cat -- /etc/ssh/ssh_host_ed25519_key.pub
`

// Rekey waits until a host answers with the one host key that it was given, has it make
// another one, and returns that once the host answers with it. login says how to log in as
// root; its Keys are replaced. Another key at that address ends it at once: nothing was sent.
func Rekey(ctx context.Context, login ssh.Options, once ssh.PublicKey, p Patience, sink progress.Sink) (ssh.PublicKey, error) {
	scope := progress.Scope{Sink: sink, Host: login.Name}
	done := scope.Step("wait for SSH", "")
	login.Keys = []ssh.PublicKey{once}
	l, err := await(ctx, login, p.or(), func(err error) bool { return !errors.Is(err, machine.ErrHostKey) })
	done(err, "")
	if err != nil {
		return "", err
	}
	defer l.Close()
	done = scope.Step("make a host key", "")
	key, err := replace(ctx, l, login, p.or())
	done(err, "")
	return key, err
}

// replace returns the key that the host made, once it shows that one.
func replace(ctx context.Context, l *ssh.Login, login ssh.Options, p Patience) (ssh.PublicKey, error) {
	printed, err := l.Run(ctx, rekey, nil)
	if err != nil {
		return "", fmt.Errorf("%s: make a host key: %w", login.Name, err)
	}
	fields := strings.Fields(printed)
	if len(fields) < 2 {
		return "", fmt.Errorf("%s: make a host key: it printed none", login.Name)
	}
	own := ssh.PublicKey(fields[0] + " " + fields[1])
	if _, err := own.Fingerprint(); err != nil || own == login.Keys[0] {
		return "", errors.Join(fmt.Errorf("%s: make a host key: it did not make another one", login.Name), err)
	}
	login.Keys = []ssh.PublicKey{own}
	again, err := await(ctx, login, p, func(error) bool { return true }) // sshd may take a moment
	if err != nil {
		return "", err
	}
	again.Close()
	return own, nil
}

// await logs in as soon as that works. A host that is booting does not answer, and may let
// no one in yet; what else goes on is for the caller to say.
func await(ctx context.Context, login ssh.Options, p Patience, on func(error) bool) (*ssh.Login, error) {
	end := time.Now().Add(p.Within)
	for {
		l, err := ssh.LogIn(ctx, login)
		if err == nil {
			return l, nil
		}
		passing := errors.Is(err, machine.ErrUnreachable) || errors.Is(err, machine.ErrDenied) || errors.Is(err, machine.ErrHostKey)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case !passing || !on(err):
			return nil, err
		case time.Now().After(end):
			return nil, fault.WithHint(fmt.Errorf("it did not let the fleet's key in within %s: %w", p.Within, err),
				"is the address of this computer in --from? The provider's console shows how far the server has booted")
		}
		if err := pause(ctx, p.Every); err != nil {
			return nil, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
