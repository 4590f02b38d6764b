package scenarios

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/lab/world"
)

const (
	sitePort = 8086
	nowhere  = "203.0.113.0/24" // not where the operator is

	// backIn is how long a host that locks out, or boots, is waited for. How long it took is printed.
	backIn = 3 * time.Minute
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

func (p *provider) apply(t *testing.T, hosts ...string) {
	t.Helper()
	_, err := p.w.Salvor(t.Context(), nil, append([]string{"apply"}, only(hosts)...)...)
	must(t, err)
}

// only has a command work on some hosts.
func only(hosts []string) (flags []string) {
	for _, h := range hosts {
		flags = append(flags, "--host", h)
	}
	return flags
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
	p.declare(t, "gamma", "manage: [docker, time, updates, ssh, firewall], docker: {live_restore: true, users: []}, ssh: {from: ["+p.Gateway().String()+"]}, mounts: {films: {smb: //nas.lan/films, at: /srv/films}}")
	p.from(t, p.Gateway().String())
	p.commit(t, "keys only, and closed from outside")
	p.apply(t, "alpha", "beta")
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
	p.asDeclared(t, "alpha", "beta")
	p.Count("hosts with keys only and a firewall", 2)
	t.Logf("keys only, ports closed: %s", time.Since(began).Round(time.Millisecond))
}

// listed opens the site's port, and closes it again.
func (p *provider) listed(t *testing.T) {
	began := time.Now()
	images, err := p.w.Images(t.Context())
	must(t, err)
	fromContainer := fmt.Sprintf("docker run --rm %s bash -c 'exec 3<>/dev/tcp/%s/%d; printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3; timeout 5 cat <&3'", images.Nginx, p.hosts["alpha"].Address, sitePort)
	p.declare(t, "alpha", "manage: [docker, time, updates, ssh, firewall], open: [8086]")
	p.commit(t, "the site is open")
	p.apply(t, "alpha")
	p.published(t, true)
	if page := p.on(t, "gamma", fromContainer); !strings.Contains(page, "home") {
		t.Errorf("a container on gamma gets %q from the site on alpha", page)
	}
	p.declare(t, "alpha", "manage: [docker, time, updates, ssh, firewall]")
	p.commit(t, "the site is closed")
	p.apply(t, "alpha")
	p.published(t, false)
	p.Count("ports that a container on another host reached where listed", 1)
	t.Logf("a listed port: %s", time.Since(began).Round(time.Millisecond))
}

// neighbour gives a host another machine on a network of its own, which speaks IPv6 with it.
const neighbour = `for all in all default; do echo 0 >/proc/sys/net/ipv6/conf/$all/disable_ipv6; done
ip netns add neighbour
ip link add wan0 type veth peer name eth0 netns neighbour
ip addr add fd00:5a1::1/64 dev wan0 nodad && ip link set wan0 up
ip -n neighbour addr add fd00:5a1::2/64 dev eth0 nodad && ip -n neighbour link set eth0 up
`

// published checks who reaches the site: the host in any case, and from outside also a neighbour by IPv6.
func (p *provider) published(t *testing.T, outside bool) {
	t.Helper()
	p.on(t, "alpha", fmt.Sprintf("curl -fsS -m 60 -o /dev/null http://127.0.0.1:%[1]d && curl -fsS -m 60 -o /dev/null http://%[2]s:%[1]d", sitePort, p.hosts["alpha"].Address))
	// a transport of its own: another one may have a connection from when the port was open
	patience := 2 * time.Second // for what is closed
	if outside {
		patience = time.Minute
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s:%d", p.hosts["alpha"].Address, sitePort), nil)
	must(t, err)
	answer, err := client.Do(request)
	if err == nil {
		must(t, answer.Body.Close())
	}
	if open := err == nil; open != outside {
		t.Errorf("the published port is open from outside: %t, want %t (%v)", open, outside, err)
	}
	p.on(t, "alpha", fmt.Sprintf("curl -gfsS -m 60 -o /dev/null http://[fd00:5a1::1]:%d", sitePort))
	got := p.on(t, "alpha", fmt.Sprintf("ip netns exec neighbour curl -gfsS -m %d -o /dev/null http://[fd00:5a1::1]:%d 2>/dev/null && echo open || echo closed", int(patience.Seconds()), sitePort))
	if open := got == "open\n"; open != outside {
		t.Errorf("the published port is open by IPv6: %t, want %t", open, outside)
	}
}

// asDeclared checks that a plan has nothing for the way in to hosts.
func (p *provider) asDeclared(t *testing.T, hosts ...string) {
	t.Helper()
	plan, err := p.w.Salvor(t.Context(), nil, append([]string{"plan"}, only(hosts)...)...)
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
	t.Logf("lock-outs: %s", time.Since(began).Round(time.Millisecond))
}

// brokenFile: someone's own file for sshd has a mistake, and Salvor's is gone. Nothing is reloaded.
func (p *provider) brokenFile(t *testing.T) {
	p.on(t, "alpha", "echo Nonsense yes >/etc/ssh/sshd_config.d/70-broken.conf; rm /etc/ssh/sshd_config.d/00-salvor.conf")
	plan, err := p.w.Salvor(t.Context(), nil, "plan", "--host", "alpha")
	must(t, err)
	if !strings.Contains(plan, "[ssh-overruled]") && !strings.Contains(plan, "can't read its files") {
		t.Errorf("the plan does not say that sshd can't read its files:\n%s", plan)
	}
	p.apply(t, "alpha")
	p.on(t, "alpha", "test ! -e /etc/ssh/sshd_config.d/00-salvor.conf && rm /etc/ssh/sshd_config.d/70-broken.conf")
	p.apply(t, "alpha")
	p.on(t, "alpha", "test -e /etc/ssh/sshd_config.d/00-salvor.conf")
	p.Count("lock-outs that were none for long", 1)
}

// wrongPort: sshd's files have another port since it read them.
func (p *provider) wrongPort(t *testing.T) {
	p.on(t, "beta", "echo Port 2222 >/etc/ssh/sshd_config.d/10-port.conf; rm /etc/ssh/sshd_config.d/00-salvor.conf")
	_, err := p.w.Salvor(t.Context(), nil, "apply", "--host", "beta")
	p.refused(t, err, 1, "beta: sshd would listen on port 2222, which it does not now")
	p.letsIn(t, "beta")
	p.on(t, "beta", "rm /etc/ssh/sshd_config.d/10-port.conf")
	p.apply(t, "beta")
	p.Count("lock-outs that were none for long", 1)
}

// cutOff: the firewall takes SSH from where the operator is not. The new connection fails, and the old one takes
// the change back.
func (p *provider) cutOff(t *testing.T) {
	p.from(t, nowhere)
	p.commit(t, "SSH from nowhere")
	_, err := p.w.Salvor(t.Context(), nil, "apply", "--host", "alpha", "--host", "beta")
	p.refused(t, err, 13, "the change of how one gets in was taken back, since a new connection failed")
	for _, host := range []string{"alpha", "beta"} {
		took := p.letsIn(t, host)
		t.Logf("%s answers again after %s", host, took.Round(time.Millisecond))
		p.on(t, host, "grep -h '\"kind\":\"way-in\"' /var/lib/salvor/journal/* | tail -1 | grep -q 'took back firewall rules'")
	}
	p.Count("lock-outs that were none for long", 2)
}

// killed: the operator's salvor dies right after the change that cuts it off. Alpha's own timer takes it back; beta loses its
// power meanwhile, and takes it back when it boots.
func (p *provider) killed(t *testing.T) {
	ctx := t.Context()
	began := time.Now()
	cut := []string{"alpha", "beta"}
	for _, host := range cut {
		p.on(t, host, "rm /etc/ssh/sshd_config.d/00-salvor.conf && systemctl reload ssh")
		must(t, p.hosts[host].Hold(ctx, "way-in-changed"))
	}
	cmd := p.w.Command(ctx, append([]string{"apply"}, only(cut)...)...)
	must(t, cmd.Start())
	changed, waiting := errgroup.WithContext(ctx)
	for _, host := range cut {
		changed.Go(func() error { return p.isChanged(waiting, host) })
	}
	must(t, changed.Wait())
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	must(t, p.hosts["beta"].Kill(ctx))
	must(t, p.hosts["alpha"].LetGo(ctx, "way-in-changed"))
	must(t, p.hosts["beta"].Start(ctx))
	t.Logf("after its power came back, beta answers after %s", p.letsIn(t, "beta").Round(time.Millisecond))
	p.tookBack(t, "beta")
	t.Logf("after the operator was killed, alpha answers again after %s", p.letsIn(t, "alpha").Round(time.Millisecond))
	p.tookBack(t, "alpha")
	p.Count("lock-outs that were none for long", 1)
	p.Count("reboots before a change was confirmed", 1)
	t.Logf("killed: %s", time.Since(began).Round(time.Millisecond))
}

// isChanged waits until a host has changed its way in, and checks at once that it did: alpha takes no connection
// then, until its time is over.
func (p *provider) isChanged(ctx context.Context, host string) error {
	if err := p.hosts[host].Held(ctx, "way-in-changed"); err != nil {
		return err
	}
	if _, err := p.hosts[host].Exec(ctx, "sh", "-ec", "test -e /etc/ssh/sshd_config.d/00-salvor.conf && test -e /etc/salvor/way-in.json"); err != nil {
		return err
	}
	if host == "alpha" && p.answers(ctx, host, 22) {
		return errors.New("alpha takes connections: the change does not cut anyone off")
	}
	return nil
}

// letBackIn has fleet.yaml name where the operator is again.
func (p *provider) letBackIn(t *testing.T) {
	p.from(t, p.Gateway().String())
	p.commit(t, "SSH from where the operator is")
	p.apply(t, "alpha", "beta")
	p.asDeclared(t, "alpha", "beta")
}

// tookBack checks that a host has the old way in, and that systemd's journal says what was taken back and why.
func (p *provider) tookBack(t *testing.T, host string) {
	t.Helper()
	within(t, backIn, "systemd's journal says what was taken back and why", func() error {
		_, err := p.hosts[host].Exec(t.Context(), "sh", "-ec", "test ! -e /etc/ssh/sshd_config.d/00-salvor.conf && test ! -e /etc/salvor/way-in.json && journalctl -u salvor-undo -o cat | grep -q 'took back .*sshd settings.*since it was not confirmed over a new connection'")
		return err
	})
}
