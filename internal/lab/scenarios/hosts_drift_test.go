package scenarios

import (
	"strings"
	"testing"
	"time"
)

// A drift is what others change on a host that is prepared, and what a plan says of it.
type drift struct{ name, change, cause string }

// inPlaceOfSamba mounts something for the helper of SMB shares: the lab has no server of that kind.
const inPlaceOfSamba = `printf '#!/bin/sh\nexec mount -i -t tmpfs -o size=64k films "$2"\n' >/usr/sbin/mount.cifs
systemctl start srv-films.mount && mountpoint -q /srv/films
`

// drifts can all be seen by one plan.
func drifts() []drift {
	return []drift{
		{"a file", "echo '# mine' >>/etc/tmpfiles.d/salvor.conf", "file /etc/tmpfiles.d/salvor.conf its content differs"},
		{"a unit", "systemctl -q disable salvord", "unit salvord.service is disabled, want enabled"},
		{"a package", "dpkg -r unattended-upgrades >/dev/null", "not installed: unattended-upgrades"},
		{"a user in group docker", "useradd mallory && gpasswd -a mallory docker >/dev/null", "members docker mallory is in it"},
		{"daemon.json", "sed -i 's/\"live-restore\": true/\"live-restore\": false/' /etc/docker/daemon.json", "file /etc/docker/daemon.json live-restore is false, want true"},
		{"a mount", "systemctl -q disable srv-films.mount && umount /srv/films", "unit srv-films.mount: is disabled, want enabled"},
		{"an sshd option", "sed -i 's/^PasswordAuthentication no/PasswordAuthentication yes/' /etc/ssh/sshd_config.d/00-salvor.conf && systemctl reload ssh", "sshd takes passwords"},
		{"a firewall rule", "nft insert rule inet salvor outside tcp dport 8086 accept", "a rule of the chain outside was added"},
		{"a unit of the firewall", "systemctl -q disable salvor-firewall", "unit salvor-firewall.service is disabled, want enabled"},
		{"an authorized key", "sed -i 's/^# end salvor/ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9\\/cu7\\/QEXn9OIeZJ intruder\\n# end salvor/' /root/.ssh/authorized_keys", "accept the fleet's keys"},
	}
}

// drift is what others change on gamma: one plan names all of it, and one apply repairs it. What runs in salvord's place can't
// say what else differs, so it comes after the others.
func (p *provider) drift(t *testing.T) {
	began := time.Now()
	p.on(t, "gamma", inPlaceOfSamba)
	p.repairs(t, "gamma", drifts()...)
	p.on(t, "gamma", "mountpoint -q /srv/films && docker info -f '{{.LiveRestoreEnabled}}' | grep -q true && ! id -nG mallory | grep -qw docker")
	p.repairs(t, "gamma", drift{"salvord", "printf '#!/bin/sh\nexit 0\n' >/root/other && chmod 755 /root/other && mv /root/other /usr/local/bin/salvord", "salvord installed in this version"})
	t.Logf("drift: %s", time.Since(began).Round(time.Millisecond))
}

// repairs has a host drift, and checks that a plan shows the causes, and that after an apply it has none of them.
func (p *provider) repairs(t *testing.T, host string, kinds ...drift) {
	t.Helper()
	for _, kind := range kinds {
		p.on(t, host, kind.change)
	}
	plan, err := p.w.Salvor(t.Context(), nil, "plan", "--host", host)
	must(t, err)
	for _, kind := range kinds {
		if !strings.Contains(oneLine(plan), kind.cause) {
			t.Errorf("%s: the plan does not have %q:\n%s", kind.name, kind.cause, plan)
		}
	}
	p.apply(t, host)
	again, err := p.w.Salvor(t.Context(), nil, "plan", "--host", host)
	must(t, err)
	for _, kind := range kinds {
		if strings.Contains(oneLine(again), kind.cause) {
			t.Errorf("%s is not repaired:\n%s", kind.name, again)
		}
	}
	p.Count("kinds of drift", len(kinds))
}

// oneLine is a plan without its columns.
func oneLine(plan string) string { return strings.Join(strings.Fields(plan), " ") }
