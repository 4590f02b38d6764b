package scenarios

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/world"
)

// tailnet has the servers join a tailnet: alpha with keys that are wrong, have expired, and
// are good, beta with one that was used, and gamma while the control server is away. What alpha
// publishes on its address there is reached by its name from beta, also after a boot, and its SSH can be open there alone.
func (p *provider) tailnet(t *testing.T) {
	ctx := t.Context()
	began := time.Now()
	n, err := lab.StartTailnet(ctx, p.Lab)
	must(t, err)
	t.Logf("the control server and the package: %s", time.Since(began).Round(time.Millisecond))
	p.declareTailnet(t, n)
	p.badKeys(t, n)
	p.joins(t, n, "alpha", "good-hunter2-key")
	p.notJoined(t, "beta", "the control server refuses the key: ") // it was used
	p.joins(t, n, "beta", "other-hunter2-key")
	p.loggedOut(t, n)
	p.byName(t, n)
	p.afterABoot(t, n)
	p.fromTailnet(t)
	must(t, n.Down(ctx))
	p.controlAway(t)
	t.Logf("tailnet: %s", time.Since(began).Round(time.Millisecond))
}

// keyLasts is how long a good key is good: longer than what a slow machine needs to use it.
const keyLasts = time.Hour

// noArea is what the servers have that need nothing but the tailnet.
var noArea = regexp.MustCompile(`((?:beta|gamma): \{[^}]*manage: )\[[^\]]*\]`)

// declareTailnet has fleet.yaml say what the tailnet is, and alpha have a stack that publishes a port
// there, and one that does not.
func (p *provider) declareTailnet(t *testing.T, n *lab.Tailnet) {
	ctx := t.Context()
	key := p.on(t, "alpha", "curl -fsS "+n.Packages.KeyURL)
	declared, err := p.w.Read("fleet.yaml")
	must(t, err)
	declared = noArea.ReplaceAllString(declared, "$1[]")
	declared = regexp.MustCompile(`(?m)(  gamma: .*), ssh: \{[^}]*\}`).ReplaceAllString(declared, "$1")
	declared += fmt.Sprintf("tailnet:\n  tags: [tag:lab]\n  auth: secret:tailnet\n  login_server: %s\n  accept_dns: true\n  url: %s\n  key: |\n    %s\n",
		n.URL, n.Packages.URL, strings.ReplaceAll(strings.TrimSpace(key), "\n", "\n    "))
	must(t, p.w.Write("fleet.yaml", declared))
	i, err := p.w.Images(ctx)
	must(t, err)
	files := world.Site("alpha", 8082, i)
	files["stacks/inside/compose.yaml"] = strings.ReplaceAll(files["stacks/site/compose.yaml"], `"8082:80"`, `"${SALVOR_TAILNET_IP}:8081:80"`)
	files["stacks/inside/html/index.html"] = "<h1>inside</h1>\n"
	for name, content := range files {
		must(t, p.w.Write(name, content))
	}
	must(t, p.w.Commit(ctx, "a tailnet, and a stack in it"))
}

// give sets the secret that lets hosts in.
func (p *provider) give(t *testing.T, key string) {
	_, err := p.w.Salvor(t.Context(), strings.NewReader(key), "secret", "set", "tailnet")
	must(t, err)
}

// badKeys: alpha is ready otherwise, and the stack that needs no tailnet runs.
func (p *provider) badKeys(t *testing.T, n *lab.Tailnet) {
	ctx := t.Context()
	p.give(t, "wrong-hunter2-key")
	_, err := p.w.Salvor(ctx, nil, "host", "take", "alpha", "tailnet")
	must(t, err)
	must(t, n.Admit(ctx, "good-hunter2-key", keyLasts))
	p.notJoined(t, "alpha", "the control server refuses the key: ")
	p.on(t, "alpha", "systemctl is-active salvord docker && docker ps --format '{{.Names}}' | grep site-web && ! docker ps --format '{{.Names}}' | grep inside-web")
	must(t, n.Admit(ctx, "good-hunter2-key", time.Nanosecond))
	p.give(t, "good-hunter2-key")
	p.notJoined(t, "alpha", "the control server refuses the key: ") // it has expired
}

// notJoined has a host not join, for a reason that is said once, while others are applied to.
func (p *provider) notJoined(t *testing.T, host, why string, others ...string) {
	t.Helper()
	ctx := t.Context()
	_, err := p.w.Salvor(ctx, nil, "host", "take", host, "tailnet")
	must(t, err)
	out, err := p.w.Command(ctx, append([]string{"apply"}, only(append(others, host))...)...).CombinedOutput()
	said := string(out)
	if err == nil || strings.Count(said, "warning: "+host+": it is not in the tailnet: ") != 1 || !strings.Contains(said, why) || !strings.Contains(said, "not in the tailnet: "+host) {
		t.Fatalf("%v; want one %q in\n%s", err, why, said)
	}
	if strings.Contains(said, "hunter2") {
		t.Fatalf("the output has a key: %s", said)
	}
	p.Count("hosts that could not join and are ready otherwise", 1)
}

// joins has a host join with a key, which is nowhere afterwards; a second apply has nothing to do.
func (p *provider) joins(t *testing.T, n *lab.Tailnet, host, key string) {
	ctx := t.Context()
	must(t, n.Admit(ctx, key, keyLasts))
	p.give(t, key)
	_, err := p.w.Salvor(ctx, nil, "host", "take", host, "tailnet")
	must(t, err)
	_, err = p.w.Salvor(ctx, nil, "apply", "--host", host)
	must(t, err)
	_, err = p.w.Salvor(ctx, nil, "plan", "--check", "--host", host)
	must(t, err)
	if left := p.on(t, host, "grep -rlsF "+key+" /etc /var/lib/salvor /var/lib/tailscale /root /run /var/log || true"); strings.TrimSpace(left) != "" {
		t.Errorf("%s has its key in %s", host, left)
	}
	p.Count("hosts that joined", 1)
}

// loggedOut is a drift: the next apply has the host join again.
func (p *provider) loggedOut(t *testing.T, n *lab.Tailnet) {
	must(t, n.Admit(t.Context(), "other-hunter2-key", keyLasts))
	p.repairs(t, "beta", drift{"tailscale", "timeout 120 tailscale logout", "tailnet beta it is logged out: NeedsLogin"})
}

// fromTailnet has alpha take SSH from the tailnet alone: its operator comes by way of beta, which is a member.
func (p *provider) fromTailnet(t *testing.T) {
	ctx := t.Context()
	began := time.Now()
	before, err := p.w.Read("fleet.yaml")
	must(t, err)
	print, err := world.Fingerprint(ctx, p.hosts["alpha"])
	must(t, err)
	address := strings.TrimSpace(p.on(t, "alpha", "tailscale ip -4"))
	_, err = p.w.Salvor(ctx, nil, "host", "add", "alpha", "root@"+address, "--jump", "ops@"+p.hosts["beta"].Address.String(), "--host-key", print)
	must(t, err)
	open, err := p.w.Read("fleet.yaml")
	must(t, err)
	p.edit(t, regexp.MustCompile(`(?m)^(  alpha: \{.*)\}$`), "${1}, ssh: {from: [tailnet]}}")
	p.commit(t, "alpha: SSH from the tailnet alone")
	p.apply(t, "alpha")
	if p.answers(ctx, "alpha", 22) {
		t.Error("alpha takes SSH at its address outside of the tailnet")
	}
	_, err = p.w.Salvor(ctx, nil, "plan", "--check", "--host", "alpha")
	must(t, err)
	must(t, p.w.Write("fleet.yaml", open))
	p.commit(t, "alpha: SSH from where it was")
	p.apply(t, "alpha")
	must(t, p.w.Write("fleet.yaml", before))
	p.commit(t, "alpha: at the address that it had")
	_, err = p.w.Salvor(ctx, nil, "apply", "--host", "alpha", "--grant", "address/alpha")
	must(t, err)
	p.Count("hosts with SSH from the tailnet alone", 1)
	t.Logf("SSH from the tailnet alone: %s", time.Since(began).Round(time.Millisecond))
}

// byName: beta reaches alpha by its name, at its address in the tailnet alone.
func (p *provider) byName(t *testing.T, n *lab.Tailnet) {
	p.fetches(t, "http://alpha."+n.Domain+":8081", "inside")
	address := strings.TrimSpace(p.on(t, "alpha", "tailscale ip -4"))
	p.fetches(t, "http://"+address+":8081", "inside")
	p.on(t, "beta", "! curl -fsS --max-time 3 http://"+p.hosts["alpha"].Address.String()+":8081 2>/dev/null")
	lock, err := p.w.Read("salvor.lock")
	must(t, err)
	if !strings.Contains(lock, `"alpha": "`+address+`"`) {
		t.Errorf("salvor.lock does not have alpha's address %s: %s", address, lock)
	}
	p.Count("reached by name in the tailnet", 1)
}

// fetches has beta fetch a page, for as long as a boot may take.
func (p *provider) fetches(t *testing.T, url, want string) {
	t.Helper()
	got := p.on(t, "beta", "for i in $(seq 90); do curl -fsS --max-time 2 "+url+" 2>/dev/null && exit; sleep 1; done; tailscale status >&2; curl -sS "+url)
	if !strings.Contains(got, want) {
		t.Fatalf("%s shows %q, want %q", url, got, want)
	}
}

// afterABoot: Docker alone tries to publish on an address that is not there yet.
func (p *provider) afterABoot(t *testing.T, n *lab.Tailnet) {
	ctx := t.Context()
	must(t, n.Admit(ctx, "", 0)) // members come back without a key
	began := time.Now()
	must(t, p.hosts["alpha"].Kill(ctx))
	must(t, p.hosts["alpha"].Start(ctx))
	p.fetches(t, "http://alpha."+n.Domain+":8081", "inside")
	t.Logf("after a boot of alpha: reached in the tailnet after %s", time.Since(began).Round(time.Second/10))
	within(t, backIn, "the stack that needs no tailnet runs, too", func() error {
		_, err := p.hosts["alpha"].Exec(ctx, "sh", "-ec", "docker ps --format '{{.Names}}' | grep site-web")
		return err
	})
	p.Count("ports on the tailnet's address after a boot", 1)
}

// controlAway: members are applied to over SSH; a host that is to join is ready otherwise.
func (p *provider) controlAway(t *testing.T) {
	must(t, p.w.Write("stacks/site/html/index.html", "<h1>changed</h1>\n"))
	p.commit(t, "site: another page")
	p.notJoined(t, "gamma", "the control server does not answer: ", "alpha")
	if page := p.on(t, "alpha", "curl -fsS http://127.0.0.1:8082"); !strings.Contains(page, "changed") {
		t.Errorf("the page is %q", page)
	}
	p.Count("hosts that were applied to while the control server is away", 2)
}

// recovered: alpha is lost, and the machine that takes its place knows a password alone.
func (p *provider) recovered(t *testing.T) {
	ctx := t.Context()
	began := time.Now()
	must(t, p.hosts["alpha"].Kill(ctx))
	print, err := world.Fingerprint(ctx, p.hosts["delta"])
	must(t, err)
	to := []string{"recover", "alpha", "--to", "delta=root@" + p.hosts["delta"].Address.String(), "--host-key", print, "--only", "site", "--password-file"}
	_, err = p.w.Salvor(ctx, nil, append(to, p.file("wrong"))...)
	p.refused(t, err, 13, "salvor: delta: access denied: root@"+p.hosts["delta"].Address.String()+":22: wrong password")
	_, err = p.w.Salvor(ctx, nil, append(to, p.file("first"))...)
	must(t, err)
	p.keysOnce(t, "delta", "root", "/root")
	page := p.on(t, "delta", "curl -fsS http://127.0.0.1:8082 && sshd -T | grep '^passwordauthentication '")
	if !strings.Contains(page, "changed") || !strings.Contains(page, "passwordauthentication no") {
		t.Errorf("delta after the recovery: %q", page)
	}
	p.Count("recoveries on a machine with a password", 1)
	t.Logf("recovered: %s", time.Since(began).Round(time.Millisecond))
}
