package hosts

import (
	"os/exec"
	"strings"
	"testing"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine/ssh"
)

// TestWhatIsSalvorsOnANewHost: of a host with containers nothing is, of a clean one also who gets in and security
// upgrades, where Salvor installs packages. What the operator says counts before that, and what fleet.yaml says of a
// declared one, whatever runs there.
func TestWhatIsSalvorsOnANewHost(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	fresh := h.open(t)
	for name, test := range map[string]struct {
		host       string
		containers []string
		unseen     string
		elsewhere  bool
		asked      fleet.Areas
		inUse      string
		manage     string
	}{
		"empty":             {host: "gamma", manage: "docker, time, updates, ssh"},
		"another Linux":     {host: "gamma", elsewhere: true, manage: "docker, time"},
		"as asked":          {host: "gamma", asked: fleet.Areas{fleet.AreaDocker, fleet.AreaFirewall}, manage: "docker, firewall"},
		"none":              {host: "gamma", asked: fleet.Areas{}, manage: "none"},
		"asked, in use":     {host: "gamma", asked: fleet.EveryArea(), containers: []string{"web"}, manage: "docker, time"},
		"one container":     {host: "gamma", containers: []string{"web"}, inUse: "it has the container web", manage: "none"},
		"three":             {host: "gamma", containers: []string{"db", "old", "web"}, inUse: "it has the containers db, old, web", manage: "none"},
		"many":              {host: "gamma", containers: []string{"a", "b", "c", "d", "e"}, inUse: "it has 5 containers (a, b, c and others)", manage: "none"},
		"an engine is down": {host: "gamma", unseen: "its engine does not run", inUse: "its engine does not run", manage: "none"},
		"declared":          {host: "beta", containers: []string{"web"}, manage: "docker, time"},
	} {
		e := h.enrols[test.host]
		e.Containers, e.Unseen, e.Prepares = test.containers, test.unseen, !test.elsewhere
		h.enrols[test.host] = e
		host, key := at("gamma", "192.0.2.12"), gammaIs
		if test.host == "beta" {
			host, key = at("beta", "192.0.2.11"), betaReads
		}
		host.Manage = test.asked
		add, err := fresh.PrepareAdd(host, ssh.PublicKey(key)).Run(t.Context(), nil)
		declared, _ := h.open(t).checkout.Fleet.Host(test.host)
		if err != nil || add.InUse != test.inUse || declared.Manage.String() != test.manage {
			t.Errorf("%s: %v, in use %q, manages %s", name, err, add.InUse, declared.Manage)
		}
		reset := exec.CommandContext(t.Context(), "git", "-C", h.Dir, "reset", "--quiet", "--hard", "HEAD~1")
		if test.host == "gamma" { // which is new for the next one, too
			if out, err := reset.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			fresh = h.open(t)
		}
	}
}

// TestTake adds an area as one commit, in which comments stay; what is Salvor's already is
// not asked about, and not committed.
func TestTake(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	config, err := h.open(t).checkout.File(fleet.File)
	if err != nil {
		t.Fatal(err)
	}
	none := strings.Replace(string(config), "alpha: {address: 192.0.2.10}", "alpha: {address: 192.0.2.10, manage: []} # the NAS", 1)
	h.Commit(t, map[string][]byte{fleet.File: []byte(none)})
	p, err := h.open(t).PrepareTake("alpha", fleet.AreaDocker)
	if err != nil || p.Question != "Let Salvor take care of docker on alpha?" || p.Title != "take docker of alpha" {
		t.Fatalf("%+v, %v", p, err)
	}
	if taken, err := p.Run(t.Context(), nil); !taken || err != nil {
		t.Fatal(taken, err)
	}
	now := h.open(t)
	content, err := now.checkout.File(fleet.File)
	if want := "alpha: {address: 192.0.2.10, manage: [docker]} # the NAS\n"; err != nil || !strings.Contains(string(content), want) {
		t.Errorf("%v\n%s", err, content)
	}
	before := subject(t, now)
	if before != "host take: alpha docker" {
		t.Errorf("committed as %q", before)
	}
	for _, host := range []string{"alpha", "beta"} { // beta says nothing of areas: all of them
		p, err := now.PrepareTake(host, fleet.AreaDocker)
		if err != nil || p.Question != "" {
			t.Errorf("%s: %+v, %v", host, p, err)
		}
		if taken, err := p.Run(t.Context(), nil); taken || err != nil || subject(t, h.open(t)) != before {
			t.Errorf("%s: again: %v, %v", host, taken, err)
		}
	}
	if _, err := now.PrepareTake("delta", fleet.AreaTime); err == nil || fault.Hint(err) != "salvor host ls" {
		t.Errorf("a host that there is not: %v", err)
	}
}
