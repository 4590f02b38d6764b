package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/lab"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// A provider hands out servers that know a password and no key of the fleet's.
type provider struct {
	*scenario.Scenario
	w       *world.World
	hosts   map[string]*lab.Host
	secrets string // folder with files of passwords
}

// TestHosts takes three clean servers, and what can be wrong with one, through the parts
// of their life: the first login, the first apply, keys only behind a firewall, what could
// lock out, what others change, the tailnet, and the recovery on a fourth. A later part finds the hosts as
// the part before it left them; while alpha and beta wait for a timer, a second operator has gamma.
func TestHosts(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, time.Second)
	w, err := world.New(ctx, s.Lab, world.Options{Log: testLog{t}})
	must(t, err)
	p := &provider{Scenario: s, w: w, hosts: map[string]*lab.Host{}, secrets: t.TempDir()}
	must(t, p.deliver(ctx))
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"access", p.access}, {"guard", p.guard}, {"lockout", p.lockout}, {"two operators", p.sideBySide}, {"let back in", p.letBackIn},
		{"a listed port", p.listed}, {"tailnet", p.tailnet}, {"recovered", p.recovered},
	} {
		if !t.Run(part.name, part.run) {
			return
		}
	}
}

// sideBySide has one operator be killed while alpha and beta change how one gets in, and another one prepare gamma and
// repair what others change there.
func (p *provider) sideBySide(t *testing.T) {
	w, err := p.w.Clone(t.Context(), "second")
	must(t, err)
	other := *p
	other.w = w
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		p.killed(t)
	})
	t.Run("gamma", func(t *testing.T) {
		t.Parallel()
		other.prepare(t)
		other.drift(t)
	})
}

const (
	firstPassword = "first-hunter2-password"
	laterPassword = "later-hunter2-password"
	wrongPassword = "wrong-hunter2-password"
)

// A cloud image sorts its own file before the administrator's.
const cloudImage = `printf 'PasswordAuthentication yes\nPermitRootLogin yes\n' >/etc/ssh/sshd_config.d/50-cloud-init.conf
systemctl restart ssh && rm /root/.ssh/authorized_keys
`

// patient has sshd 9.8 and newer not refuse an address for a while because of its failed
// logins: alpha sees more of them in a row than a person types in a minute.
const patient = "echo 'PerSourcePenalties no' >/etc/ssh/sshd_config.d/60-patient.conf; systemctl restart ssh\n"

// deliver starts the servers: alpha's password must be changed, and it has a neighbour by IPv6; beta is Debian 12, has no
// Python, and a user whom sudo asks; gamma still boots; delta comes later.
func (p *provider) deliver(ctx context.Context) error {
	all, within := errgroup.WithContext(ctx)
	var hosts [4]*lab.Host
	for i, each := range []struct {
		name, setUp string
		options     lab.HostOptions
	}{
		{"alpha", patient + neighbour + "echo root:" + firstPassword + " | chpasswd && chage -d 0 root", lab.HostOptions{}},
		{"beta", "useradd -m -s /bin/bash ops && echo ops:" + firstPassword + " | chpasswd && rm -f /usr/bin/python3*", lab.HostOptions{Release: 12}},
		{"gamma", "echo root:" + firstPassword + " | chpasswd\n" + boots, lab.HostOptions{}},
		{"delta", "echo root:" + firstPassword + " | chpasswd", lab.HostOptions{Prepared: true}},
	} {
		all.Go(func() (err error) {
			if hosts[i], err = p.w.Host(within, each.name, each.options); err == nil {
				_, err = hosts[i].Exec(within, "sh", "-ec", cloudImage+each.setUp)
			}
			return err
		})
	}
	err := all.Wait()
	for _, h := range hosts {
		if h != nil {
			p.hosts[h.Name] = h
		}
	}
	for name, password := range map[string]string{"first": firstPassword, "later": laterPassword, "wrong": wrongPassword} {
		err = errors.Join(err, os.WriteFile(p.file(name), []byte(password+"\n"), 0o600))
	}
	return err
}

func (p *provider) file(name string) string { return filepath.Join(p.secrets, name) }

// boots stands for cloud-init at work: it answers as cloud-init 25 does, and ends three
// seconds after someone waits.
const boots = `cat >/usr/local/bin/cloud-init <<'END'
#!/bin/sh
[ "$2" != --wait ] || { sleep 3; touch /run/booted; }
[ -e /run/booted ] && echo 'status: done' || echo 'status: running'
END
chmod 755 /usr/local/bin/cloud-init
`

// add has the operator add a server.
func (p *provider) add(ctx context.Context, host, user string, flags ...string) (string, error) {
	print, err := world.Fingerprint(ctx, p.hosts[host])
	if err != nil {
		return "", err
	}
	return p.addAs(ctx, host, user, print, flags...)
}

func (p *provider) addAs(ctx context.Context, host, user, print string, flags ...string) (string, error) {
	args := append([]string{"host", "add", host, user + "@" + p.hosts[host].Address.String(), "--host-key", print}, flags...)
	return p.w.Salvor(ctx, nil, args...)
}

// refused checks what a command ended with.
func (p *provider) refused(t *testing.T, err error, code int, want string) {
	t.Helper()
	var end *world.CommandError
	if !errors.As(err, &end) || end.Code() != code || !strings.Contains(end.Said, want) {
		t.Errorf("%v; want exit code %d and %q", err, code, want)
		return
	}
	if strings.Contains(end.Said, "hunter2") {
		t.Fatalf("the message has a password: %v", err)
	}
	p.Count("refused with the message of the docs", 1)
}

// on runs a script on a server from outside.
func (p *provider) on(t *testing.T, host, script string) string {
	t.Helper()
	out, err := p.hosts[host].Exec(t.Context(), "sh", "-ec", script)
	must(t, err)
	return out
}

// access is the first login on each of them, the bad ways first, and a server that is
// another system.
func (p *provider) access(t *testing.T) {
	began := time.Now()
	keys := []string{p.firstAlpha(t), p.firstBeta(t), p.firstGamma(t)}
	for _, key := range keys {
		must(t, p.w.Git.AddReadKey(t.Context(), strings.TrimSpace(key)))
	}
	t.Logf("first logins: %s", time.Since(began).Round(time.Millisecond))
	p.unsupported(t)
	declared, err := p.w.Read("fleet.yaml")
	must(t, err)
	if count := strings.Count(declared, "manage: [docker, time, updates, ssh]"); count != len(keys) {
		t.Errorf("%d of the hosts get keys only and upgrades without being asked:\n%s", count, declared)
	}
	for name := range p.hosts {
		left := p.on(t, name, "grep -rlsF hunter2 /etc/salvor /var/lib/salvor /root /home /run /var/log || true")
		if strings.TrimSpace(left) != "" {
			t.Errorf("%s has a password in %s", name, left)
		}
	}
}

// firstAlpha: sshd demands another password before it runs anything.
func (p *provider) firstAlpha(t *testing.T) string {
	ctx := t.Context()
	_, err := p.add(ctx, "alpha", "root")
	p.refused(t, err, 13, "hint: run it at a terminal, which asks for the password, or with --password-file FILE")
	_, err = p.add(ctx, "alpha", "root", "--password-file", p.file("wrong"))
	p.refused(t, err, 13, "salvor: alpha: access denied: root@"+p.hosts["alpha"].Address.String()+":22: wrong password")
	_, err = p.add(ctx, "alpha", "root", "--password-file", p.file("first"))
	p.refused(t, err, 13, "salvor: alpha: the password of root@"+p.hosts["alpha"].Address.String()+" must be changed before anything runs there")
	key, err := p.add(ctx, "alpha", "root", "--password-file", p.file("first"), "--new-password-file", p.file("later"))
	must(t, err)
	p.keysOnce(t, "alpha", "root", "/root")
	again, err := p.add(ctx, "alpha", "root")
	if err != nil || again != key {
		t.Errorf("without a password: %v", err)
	}
	p.Count("first logins", 1)
	return key
}

// firstBeta: sudo refuses the user, then asks.
func (p *provider) firstBeta(t *testing.T) string {
	ctx := t.Context()
	_, err := p.add(ctx, "beta", "ops", "--password-file", p.file("first"))
	p.refused(t, err, 13, "salvor: beta: access denied: ops may not use sudo: ops is not in the sudoers file.")
	p.keysOnce(t, "beta", "ops", "/home/ops")
	p.on(t, "beta", "usermod -aG sudo ops")
	_, err = p.add(ctx, "beta", "ops", "--password-file", p.file("wrong"))
	p.refused(t, err, 13, "salvor: beta: access denied: wrong password of ops for sudo")
	key, err := p.add(ctx, "beta", "ops", "--password-file", p.file("first"))
	must(t, err)
	if got := p.on(t, "beta", "stat -c '%a %U %G' /etc/sudoers.d/salvor; cat /etc/sudoers.d/salvor; visudo -c >/dev/null"); got != "440 root root\nops ALL=(ALL:ALL) NOPASSWD: ALL\n" {
		t.Errorf("/etc/sudoers.d/salvor: %q", got)
	}
	p.keysOnce(t, "beta", "ops", "/home/ops")
	p.Count("first logins", 1)
	return key
}

// firstGamma: another machine answers at the address, its disk is full, it still boots.
func (p *provider) firstGamma(t *testing.T) string {
	ctx := t.Context()
	old, err := world.Fingerprint(ctx, p.hosts["gamma"])
	must(t, err)
	p.on(t, "gamma", "rm /etc/ssh/ssh_host_*; ssh-keygen -A >/dev/null; systemctl restart ssh")
	_, err = p.addAs(ctx, "gamma", "root", old, "--password-file", p.file("first"))
	p.refused(t, err, 13, "; it is not trusted")
	if tried := p.on(t, "gamma", "journalctl -u ssh -o cat | grep -c password || true"); strings.TrimSpace(tried) != "0" {
		t.Errorf("passwords that reached a machine with another key: %s", tried)
	}
	p.on(t, "gamma", "mkdir -p /root/.ssh && mount -t tmpfs -o size=4k tmpfs /root/.ssh && head -c 4096 /dev/zero >/root/.ssh/full")
	_, err = p.add(ctx, "gamma", "root", "--password-file", p.file("first"))
	p.refused(t, err, 1, "salvor: gamma: write authorized_keys of root: cat: write error: No space left on device")
	p.on(t, "gamma", "umount /root/.ssh")
	key, err := p.add(ctx, "gamma", "root", "--password-file", p.file("first"))
	must(t, err)
	p.on(t, "gamma", "test -e /run/booted") // host add waited
	p.keysOnce(t, "gamma", "root", "/root")
	p.Count("first logins", 1)
	return key
}

// keysOnce looks for the fleet's key, once, in a file that is the user's alone.
func (p *provider) keysOnce(t *testing.T, host, user, home string) {
	t.Helper()
	got := p.on(t, host, fmt.Sprintf("grep -c ' salvor-fleet$' %[1]s/.ssh/authorized_keys; stat -c '%%a %%U' %[1]s/.ssh %[1]s/.ssh/authorized_keys; ls -A %[1]s/.ssh", home))
	if want := fmt.Sprintf("1\n700 %[1]s\n600 %[1]s\nauthorized_keys\n", user); got != want {
		t.Errorf("keys on %s: %q, want %q", host, got, want)
	}
}

// otherSystem has a server say that it is one which Salvor can't prepare.
const (
	otherSystem = "sed -i.salvor-test s/^ID=debian/ID=slackware/ /etc/os-release"
	ownSystem   = "mv /etc/os-release.salvor-test /etc/os-release"
)

// unsupported: an apply that finds such a server changes nothing anywhere.
func (p *provider) unsupported(t *testing.T) {
	p.on(t, "gamma", otherSystem)
	_, err := p.w.Salvor(t.Context(), nil, "apply")
	p.refused(t, err, 13, "gamma: host is not supported: slackware 13; Salvor prepares Debian 12 and 13, Ubuntu 22.04 and 24.04")
	p.on(t, "gamma", ownSystem)
	p.on(t, "alpha", "test ! -e /etc/systemd/system/salvord.service")
}
