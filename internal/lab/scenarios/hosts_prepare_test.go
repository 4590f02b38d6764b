package scenarios

import (
	"strings"
	"testing"
	"time"
)

// What a provider's machine may be busy with, or lack, when the first apply comes.
const (
	// serversAway has nothing answer where apt asks, as on a machine whose network is not up.
	serversAway = "mv /etc/apt/apt.conf.d/90lab-cache /root/90lab-cache; echo 'Acquire::http::Proxy \"http://127.0.0.1:9\";' >/etc/apt/apt.conf.d/90lab-cache; rm -rf /var/lib/apt/lists/*\n"
	serversBack = "mv /root/90lab-cache /etc/apt/apt.conf.d/90lab-cache\n"

	// interrupted leaves what a dpkg leaves that lost its power: a package whose files are there and that is not
	// configured, and a note of it that was not merged into the status file. apt-get refuses to work then.
	interrupted = `cd /root && apt-get update -qq && apt-get download -qq tree && dpkg --unpack --no-triggers tree_*.deb >/dev/null && rm tree_*.deb
dpkg-query -s tree >/var/lib/dpkg/updates/0000
! apt-get install -qq tree 2>/root/refused
grep -q 'dpkg was interrupted' /root/refused
`
	// locked holds dpkg's lock, as a machine does that upgrades itself at its first boot, until someone has asked
	// for it more than once.
	locked = `cat >/root/hold <<'END'
use Fcntl;
sub packages { grep { open(C, "<", $_) && <C> =~ m{^(apt-get|dpkg)\n} } glob "/proc/[0-9]*/comm" }
open(F, ">>", "/var/lib/dpkg/lock-frontend") or die;
my $whole = pack("ssqqi", F_WRLCK, 0, 0, 0, 0);
fcntl(F, F_SETLK, $whole) or die;
for (my $seen = 0; $seen < 5;) { select undef, undef, undef, 0.02; $seen++ if packages() }
open(H, ">", "/root/held");
END
systemd-run --quiet --unit upgrades perl /root/hold
`
)

// prepare is the first apply on gamma: apt's servers do not answer, then dpkg was interrupted and another
// package manager is at work.
func (p *provider) prepare(t *testing.T) {
	ctx := t.Context()
	p.on(t, "gamma", serversAway)
	_, err := p.w.Salvor(ctx, nil, "apply", "--host", "gamma")
	p.refused(t, err, 1, "package lists could not be fetched: ")
	p.on(t, "gamma", serversBack+interrupted+locked)
	began := time.Now()
	_, err = p.w.Salvor(ctx, nil, "apply", "--host", "gamma")
	must(t, err)
	if tried := p.on(t, "gamma", "ls /root/held"); strings.TrimSpace(tried) != "/root/held" {
		t.Error("the lock was not held as long as the apply wanted it")
	}
	state := p.on(t, "gamma", "dpkg-query -W -f '${db:Status-Abbrev}' tree; dpkg --audit; systemctl is-active salvord docker")
	if state != "ii active\nactive\n" {
		t.Errorf("gamma after the apply: %q", state)
	}
	p.on(t, "gamma", "dpkg -s unattended-upgrades >/dev/null && systemctl is-enabled apt-daily-upgrade.timer && sshd -T | grep -qx 'passwordauthentication no'")
	p.Count("first applies", 1)
	t.Logf("servers away, dpkg interrupted, locked: prepared %s after they were back", time.Since(began).Round(time.Second/10))
}
