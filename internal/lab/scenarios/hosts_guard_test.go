package scenarios

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"salvor/internal/lab/world"
)

const (
	sitePort = 8086
	nowhere  = "203.0.113.0/24" // not where the operator is

	// backIn is how long a change that locks out may do so.
	backIn = time.Minute
)

// declare replaces what a host says about areas and ports.
func (p *provider) declare(t *testing.T, host, areas string) {
	t.Helper()
	p.edit(t, regexp.MustCompile(`(?m)^(  `+host+`: \{.*)manage: \[[^]]*\](, open: \[[^]]*\])?`), "${1}"+areas)
}

// from says from where the fleet's hosts take SSH.
func (p *provider) from(t *testing.T, where string) {
	t.Helper()
	p.edit(t, regexp.MustCompile(`(?m)^ssh: .*\n|^hosts:\n`), "")
	p.edit(t, regexp.MustCompile(`(?m)^  alpha: `), "ssh: {from: ["+where+"]}\nhosts:\n  alpha: ")
}

func (p *provider) edit(t *testing.T, pattern *regexp.Regexp, replacement string) {
	t.Helper()
	content, err := p.w.Read("fleet.yaml")
	must(t, err)
	if !pattern.MatchString(content) {
		t.Fatalf("fleet.yaml has nothing like %s:\n%s", pattern, content)
	}
	must(t, p.w.Write("fleet.yaml", pattern.ReplaceAllString(content, replacement)))
}

// commit commits fleet.yaml.
func (p *provider) commit(t *testing.T, message string) {
	t.Helper()
	must(t, p.w.Commit(t.Context(), message))
}

func (p *provider) apply(t *testing.T) {
	t.Helper()
	_, err := p.w.Salvor(t.Context(), nil, "apply")
	must(t, err)
}

// answers reports whether the operator's computer can connect to a port of a host.
func (p *provider) answers(ctx context.Context, host string, port int) bool {
	conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "tcp", fmt.Sprintf("%s:%d", p.hosts[host].Address, port))
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// letsIn waits until a host takes connections, and returns how long that took.
func (p *provider) letsIn(t *testing.T, host string) time.Duration {
	t.Helper()
	began := time.Now()
	for !p.answers(t.Context(), host, 22) {
		if time.Since(began) > backIn {
			t.Fatalf("%s can't be reached after %s", host, backIn)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
	return time.Since(began)
}

// guard has one apply take care of Debian 13, with Docker and a published port, and of Debian 12.
func (p *provider) guard(t *testing.T) {
	began := time.Now()
	images, err := p.w.Images(t.Context())
	must(t, err)
	for name, content := range world.Site("alpha", sitePort, images) {
		must(t, p.w.Write(name, content))
	}
	p.declare(t, "alpha", "manage: [docker, time, updates, ssh, firewall]")
	p.declare(t, "beta", "manage: [time, ssh, firewall]")
	p.declare(t, "gamma", "manage: []")
	p.from(t, p.Gateway().String())
	p.commit(t, "keys only, and closed from outside")
	p.apply(t)
	for _, host := range []string{"alpha", "beta"} {
		got := p.on(t, host, "test -e /etc/ssh/sshd_config.d/50-cloud-init.conf; sshd -T | grep -E '^(password|kbdinteractive|pubkey)authentication '")
		if want := "pubkeyauthentication yes\npasswordauthentication no\nkbdinteractiveauthentication no\n"; got != want {
			t.Errorf("sshd of %s: %q, want %q", host, got, want)
		}
	}
	if got := p.on(t, "alpha", "sshd -T | grep -E '^permitrootlogin '"); got != "permitrootlogin without-password\n" {
		t.Errorf("alpha: %s", got)
	}
	p.published(t, false)
	p.declare(t, "alpha", "manage: [docker, time, updates, ssh, firewall], open: [8086]")
	p.commit(t, "the site is open")
	p.apply(t)
	p.published(t, true)
	p.declare(t, "alpha", "manage: [docker, time, updates, ssh, firewall]")
	p.commit(t, "the site is closed")
	p.apply(t)
	p.published(t, false)
	p.asDeclared(t)
	p.Count("hosts with keys only and a firewall", 2)
	t.Logf("keys only, ports closed: %s", time.Since(began).Round(time.Millisecond))
}

// published checks who reaches the site: containers and the host in any case.
func (p *provider) published(t *testing.T, outside bool) {
	t.Helper()
	p.on(t, "alpha", fmt.Sprintf("curl -fsS -m 5 -o /dev/null http://127.0.0.1:%[1]d && curl -fsS -m 5 -o /dev/null http://%[2]s:%[1]d", sitePort, p.hosts["alpha"].Address))
	// a transport of its own: another one may have a connection from when the port was open
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s:%d", p.hosts["alpha"].Address, sitePort), nil)
	must(t, err)
	answer, err := client.Do(request)
	if err == nil {
		must(t, answer.Body.Close())
	}
	if open := err == nil; open != outside {
		t.Errorf("the published port is open from outside: %t, want %t (%v)", open, outside, err)
	}
}

// asDeclared checks that a plan has nothing for the hosts' way in.
func (p *provider) asDeclared(t *testing.T) {
	t.Helper()
	plan, err := p.w.Salvor(t.Context(), nil, "plan")
	must(t, err)
	for _, word := range []string{"sshd settings", "firewall", "salvor-undo", "way in"} {
		if strings.Contains(plan, word) {
			t.Errorf("after an apply the plan has %q:\n%s", word, plan)
		}
	}
}

// lockout is what could lock the operator out, and does not for long.
func (p *provider) lockout(t *testing.T) {
	began := time.Now()
	p.brokenFile(t)
	p.wrongPort(t)
	p.cutOff(t)
	p.killed(t)
	p.asDeclared(t)
	t.Logf("lock-outs: %s", time.Since(began).Round(time.Millisecond))
}

// brokenFile: someone's own file for sshd has a mistake, and Salvor's is gone. Nothing is reloaded.
func (p *provider) brokenFile(t *testing.T) {
	p.on(t, "alpha", "echo Nonsense yes >/etc/ssh/sshd_config.d/70-broken.conf; rm /etc/ssh/sshd_config.d/00-salvor.conf")
	plan, err := p.w.Salvor(t.Context(), nil, "plan")
	must(t, err)
	if !strings.Contains(plan, "[ssh-overruled]") && !strings.Contains(plan, "can't read its files") {
		t.Errorf("the plan does not say that sshd can't read its files:\n%s", plan)
	}
	p.apply(t)
	p.on(t, "alpha", "test ! -e /etc/ssh/sshd_config.d/00-salvor.conf && rm /etc/ssh/sshd_config.d/70-broken.conf")
	p.apply(t)
	p.on(t, "alpha", "test -e /etc/ssh/sshd_config.d/00-salvor.conf")
	p.Count("lock-outs that were none for long", 1)
}

// wrongPort: sshd's files have another port since it read them.
func (p *provider) wrongPort(t *testing.T) {
	p.on(t, "beta", "echo Port 2222 >/etc/ssh/sshd_config.d/10-port.conf; rm /etc/ssh/sshd_config.d/00-salvor.conf")
	_, err := p.w.Salvor(t.Context(), nil, "apply")
	p.refused(t, err, 1, "beta: sshd would listen on port 2222, which it does not now")
	if !p.answers(t.Context(), "beta", 22) {
		t.Error("beta can't be reached")
	}
	p.on(t, "beta", "rm /etc/ssh/sshd_config.d/10-port.conf")
	p.apply(t)
	p.Count("lock-outs that were none for long", 1)
}

// cutOff: the firewall takes SSH from where the operator is not. The new connection fails, and the old one takes
// the change back.
func (p *provider) cutOff(t *testing.T) {
	p.from(t, nowhere)
	p.commit(t, "SSH from nowhere")
	_, err := p.w.Salvor(t.Context(), nil, "apply")
	p.refused(t, err, 13, "the change of how one gets in was taken back, since a new connection failed")
	for _, host := range []string{"alpha", "beta"} {
		took := p.letsIn(t, host)
		t.Logf("%s answers again after %s", host, took.Round(time.Millisecond))
		p.on(t, host, "grep -h '\"kind\":\"way-in\"' /var/lib/salvor/journal/* | tail -1 | grep -q 'took back firewall rules'")
	}
	p.Count("lock-outs that were none for long", 2)
}

// killed: the operator's salvor dies right after the change that cuts it off. The host's own timer takes it back.
func (p *provider) killed(t *testing.T) {
	ctx := t.Context()
	alpha := p.hosts["alpha"]
	p.on(t, "alpha", "rm /etc/ssh/sshd_config.d/00-salvor.conf && systemctl reload ssh")
	must(t, alpha.Hold(ctx, "way-in-changed"))
	cmd := p.w.Command(ctx, "apply")
	must(t, cmd.Start())
	must(t, alpha.Held(ctx, "way-in-changed"))
	p.on(t, "alpha", "test -e /etc/ssh/sshd_config.d/00-salvor.conf")
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	must(t, alpha.LetGo(ctx, "way-in-changed"))
	if p.answers(ctx, "alpha", 22) {
		t.Error("alpha takes connections: the change does not cut anyone off")
	}
	took := p.letsIn(t, "alpha")
	t.Logf("after the operator was killed, alpha answers again after %s", took.Round(time.Millisecond))
	within(t, 10*time.Second, "systemd's journal says what was taken back and why", func() error {
		_, err := alpha.Exec(ctx, "sh", "-ec", "test ! -e /etc/ssh/sshd_config.d/00-salvor.conf && journalctl -u salvor-undo -o cat | grep -q 'took back .*sshd settings.*since it was not confirmed over a new connection'")
		return err
	})
	p.from(t, p.Gateway().String())
	p.commit(t, "SSH from where the operator is")
	p.apply(t)
	p.Count("lock-outs that were none for long", 1)
}

// drift is what others change on a host that is prepared: one plan names all of it, and one apply repairs it.
func (p *provider) drift(t *testing.T) {
	began := time.Now()
	kinds := []struct{ name, change, cause string }{
		{"a file", "echo '# mine' >>/etc/tmpfiles.d/salvor.conf", "file /etc/tmpfiles.d/salvor.conf its content differs"},
		{"a unit", "systemctl -q disable salvord", "unit salvord.service is disabled, want enabled"},
		{"a package", "dpkg -r unattended-upgrades >/dev/null", "not installed: unattended-upgrades"},
		{"an sshd option", "sed -i 's/^PasswordAuthentication no/PasswordAuthentication yes/' /etc/ssh/sshd_config.d/00-salvor.conf && systemctl reload ssh", "sshd takes passwords"},
		{"a firewall rule", "nft insert rule inet salvor outside tcp dport 8086 accept", "a rule of the chain outside was added"},
		{"a unit of the firewall", "systemctl -q disable salvor-firewall", "unit salvor-firewall.service is disabled, want enabled"},
		{"an authorized key", "sed -i 's/^# end salvor/ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9\\/cu7\\/QEXn9OIeZJ intruder\\n# end salvor/' /root/.ssh/authorized_keys", "accept the fleet's keys"},
	}
	for _, kind := range kinds {
		p.on(t, "alpha", kind.change)
	}
	plan, err := p.w.Salvor(t.Context(), nil, "plan")
	must(t, err)
	for _, kind := range kinds {
		if !strings.Contains(oneLine(plan), kind.cause) {
			t.Errorf("%s: the plan does not have %q:\n%s", kind.name, kind.cause, plan)
		}
	}
	p.apply(t)
	again, err := p.w.Salvor(t.Context(), nil, "plan")
	must(t, err)
	for _, kind := range kinds {
		if strings.Contains(oneLine(again), kind.cause) {
			t.Errorf("%s is not repaired:\n%s", kind.name, again)
		}
	}
	p.published(t, false)
	p.Count("kinds of drift", len(kinds))
	t.Logf("drift: %s", time.Since(began).Round(time.Millisecond))
}

// oneLine is a plan without its columns.
func oneLine(plan string) string { return strings.Join(strings.Fields(plan), " ") }
