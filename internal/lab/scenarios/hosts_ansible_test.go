package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/lab"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// An office has computers of the operator's with Debian's ansible, of both releases, which
// have the operator's clone and keys, and two clean hosts, of both releases, too.
type office struct {
	*scenario.Scenario
	w         *world.World
	computers map[int]*lab.Host // by Debian's release
	hosts     map[string]*lab.Host
}

// TestHostsByAnsible is the part of hosts that Ansible does: real ansible-playbook of Debian 12
// and of Debian 13 prepares a clean host, a look names a drift, and a playbook with a vaulted
// variable runs before an apply.
func TestHostsByAnsible(t *testing.T) {
	s := scenario.Begin(t, time.Second)
	o := furnished(t, s)
	for _, step := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"prepare a clean host", o.prepares},
		{"apply, with a playbook before it", o.applies},
		{"a look at a drift", o.looks},
		{"no secret is left", o.leaves},
	} {
		if !t.Run(step.name, step.run) {
			return
		}
	}
}

const (
	vaultWord  = "vault-hunter2-password"
	vaultedOne = "vaulted-hunter2-token"
)

// beforeHook writes what a vault has where an apply comes after it.
const beforeHook = `- name: Before an apply
  hosts: salvor
  gather_facts: false
  vars_files: [../secrets/group.yml]
  tasks:
    - name: Write the token
      ansible.builtin.copy: {content: "{{ token }}\n", dest: /etc/from-hook, mode: "0600"}
      no_log: true
`

func furnished(t *testing.T, s *scenario.Scenario) *office {
	t.Helper()
	ctx := t.Context()
	repo, err := s.AptRepo(ctx)
	must(t, err)
	w, err := world.New(ctx, s.Lab, world.Options{Log: testLog{t}})
	must(t, err)
	o := &office{Scenario: s, w: w, computers: map[int]*lab.Host{}, hosts: map[string]*lab.Host{}}
	must(t, o.start(ctx))
	for _, name := range []string{"alpha", "beta"} {
		must(t, w.Add(ctx, o.hosts[name]))
	}
	key, err := fetch(ctx, repo.KeyURL)
	must(t, err)
	content, err := w.Read("fleet.yaml")
	must(t, err)
	beta := fmt.Sprintf("beta: {address: %s, user: root", o.hosts["beta"].Address)
	content = strings.Replace(content, beta, fmt.Sprintf("%s, docker: {channel: docker, url: %q, key: %q}", beta, repo.URL, key), 1)
	must(t, w.Write("fleet.yaml", content+"vaults: {default: \"secret:vault_password\"}\nansible: {before: playbooks/before.yml}\n"))
	must(t, w.Write("playbooks/before.yml", beforeHook))
	must(t, w.Commit(ctx, "a vault, and a playbook before an apply"))
	for _, kept := range []struct{ name, value string }{{"vault_password", vaultWord}, {"group.yml/token", vaultedOne}} {
		_, err = w.Salvor(ctx, strings.NewReader(kept.value), "secret", "set", kept.name)
		must(t, err)
	}
	stack := world.Stack{Name: "notes", Store: "sqlite", Host: "alpha", Port: 8081, Every: "1s", Size: 10}
	images, err := w.Images(ctx)
	must(t, err)
	must(t, w.Write("stacks/notes/compose.yaml", stack.Compose(images, "")))
	must(t, w.Commit(ctx, "the stack notes"))
	must(t, w.Push(ctx))
	for release := range o.computers {
		must(t, o.equip(ctx, release))
	}
	return o
}

// start starts the computers and the hosts.
func (o *office) start(ctx context.Context) error {
	all, within := errgroup.WithContext(ctx)
	started := make([]*lab.Host, 4)
	for i, each := range []struct {
		name    string
		release int
	}{{"alpha", 13}, {"beta", 12}, {"desk12", 12}, {"desk13", 13}} {
		all.Go(func() (err error) {
			started[i], err = o.w.Host(within, each.name, lab.HostOptions{Release: each.release})
			if err == nil && i >= 2 {
				_, err = started[i].Exec(within, "sh", "-ec", "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends ansible-core git openssh-client >/dev/null")
			}
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	o.hosts["alpha"], o.hosts["beta"] = started[0], started[1]
	o.computers[12], o.computers[13] = started[2], started[3]
	return nil
}

// equip gives a computer the operator's files and salvor, at the same paths.
func (o *office) equip(ctx context.Context, release int) error {
	root, err := world.Root(ctx)
	if err != nil {
		return err
	}
	for from, to := range map[string]string{filepath.Join(o.Folder(), "home"): o.Folder(), o.Key(): o.Folder(), filepath.Join(root, "bin", "salvor"): "/usr/local/bin"} {
		if err := o.computers[release].Put(ctx, from, to); err != nil {
			return err
		}
	}
	return nil
}

// at runs salvor on a computer of the operator's.
func (o *office) at(ctx context.Context, release int, args ...string) (string, error) {
	env := []string{"env", "-C", o.w.Dir}
	for _, v := range o.w.Person("/usr/local/bin") {
		if !strings.HasPrefix(v, "PATH=") && !strings.HasPrefix(v, "LANG=") && !strings.HasPrefix(v, "TERM=") {
			env = append(env, v)
		}
	}
	argv := append(append(env, "salvor", "--yes", "--allow-remote", "nas", "--grant", "source/docker/beta"), args...)
	began := time.Now()
	out, err := o.computers[release].Exec(ctx, argv...)
	fmt.Fprintf(o.w.Log, "Debian %d$ salvor %s\n%s(%s)\n", release, strings.Join(args, " "), out, time.Since(began).Round(time.Millisecond))
	return out, err
}

var recap = regexp.MustCompile(`(?m)^(\w+) +: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)`)

// recapOf returns how many tasks changed something on a host; a failure is an error.
func recapOf(out, host string) (int, error) {
	for _, m := range recap.FindAllStringSubmatch(out, -1) {
		if m[1] == host && m[3] == "0" && m[4] == "0" {
			return strconv.Atoi(m[2])
		}
	}
	return 0, fmt.Errorf("ansible did not end well on %s:\n%s", host, out)
}

// changed runs site.yml and checks how much it changed.
func (o *office) changed(t *testing.T, release int, host string, want func(int) bool, args ...string) string {
	t.Helper()
	out, err := o.at(t.Context(), release, append([]string{"ansible", "playbooks/site.yml", "--", "--limit", host}, args...)...)
	must(t, err)
	n, err := recapOf(out, host)
	must(t, err)
	if !want(n) {
		t.Fatalf("%d tasks changed something on %s:\n%s", n, host, out)
	}
	return out
}

func some(n int) bool { return n > 0 }
func none(n int) bool { return n == 0 }

// prepares: each ansible prepares a host of the other release, and an apply has nothing to do
// for the hosts themselves.
func (o *office) prepares(t *testing.T) {
	for release, host := range map[int]string{12: "alpha", 13: "beta"} {
		version, err := o.computers[release].Exec(t.Context(), "ansible", "--version")
		must(t, err)
		t.Log(strings.SplitN(version, "\n", 2)[0])
		if out := o.changed(t, release, host, some, "--check", "--diff"); !strings.Contains(out, "+ packages host: not installed: ") {
			t.Errorf("a look at the clean host %s names no packages:\n%s", host, out)
		}
		o.on(t, host, "! systemctl cat salvord.service && ! command -v docker")
		o.changed(t, release, host, some)
		o.on(t, host, "systemctl is-active salvord docker && docker compose version")
		o.changed(t, release, host, none)
		o.Count("clean hosts that Ansible prepared", 1)
	}
	out, err := o.w.Salvor(t.Context(), nil, "plan", "--json", "--grant", "source/docker/beta")
	must(t, err)
	var plan struct {
		Hosts []struct {
			Host    string
			Changes []struct{ Stack, ID, Cause string }
		}
	}
	must(t, json.Unmarshal([]byte(out), &plan))
	for _, h := range plan.Hosts {
		for _, c := range h.Changes {
			if c.Stack == "" {
				t.Errorf("an apply would change %s: %s: %s", h.Host, c.ID, c.Cause)
			}
		}
	}
	if len(plan.Hosts) != 2 {
		t.Errorf("the plan is of %d hosts", len(plan.Hosts))
	}
}

// on runs a script on a host from outside.
func (o *office) on(t *testing.T, host, script string) string {
	t.Helper()
	out, err := o.hosts[host].Exec(t.Context(), "sh", "-ec", script)
	must(t, err)
	return out
}

var fingerprintAsked = regexp.MustCompile(`--allow-program ([0-9a-f]{16})`)

// applies: the playbook before it has to be approved, runs on the host that has something to do
// and on no other, and the preparation is still as Ansible left it.
func (o *office) applies(t *testing.T) {
	ctx := t.Context()
	out, err := o.at(ctx, 13, "apply")
	asked := fingerprintAsked.FindStringSubmatch(fmt.Sprint(err))
	if err == nil || asked == nil {
		t.Fatalf("unapproved: %v\n%s", err, out)
	}
	o.on(t, "alpha", "! test -e /etc/from-hook")
	out, err = o.at(ctx, 13, "apply", "--allow-program", asked[1])
	must(t, err)
	if got := o.on(t, "alpha", "cat /etc/from-hook"); strings.TrimSpace(got) != vaultedOne {
		t.Errorf("the playbook wrote %q", got)
	}
	o.on(t, "beta", "! test -e /etc/from-hook")
	if strings.Contains(out, "hunter2") {
		t.Errorf("a secret is printed: %s", out)
	}
	o.on(t, "alpha", "docker ps --format '{{.Names}}' | grep notes")
	for _, host := range []string{"alpha", "beta"} {
		o.changed(t, 13, host, none)
	}
	o.Count("vaulted variables through a hook", 1)
}

// looks: a drift is named with its cause, and stays.
func (o *office) looks(t *testing.T) {
	drifts := map[string]string{
		"chmod 0600 /etc/tmpfiles.d/salvor.conf":            "~ file /etc/tmpfiles.d/salvor.conf: mode is 0600, want 0644",
		"systemctl disable --quiet docker.service":          "~ unit docker.service: is disabled, want enabled",
		"echo >>/etc/systemd/system/salvord-mount@.service": "~ file /etc/systemd/system/salvord-mount@.service: ",
	}
	for script := range drifts {
		o.on(t, "beta", script)
	}
	const state = "stat -c '%a %Y' /etc/tmpfiles.d/salvor.conf /etc/systemd/system/*.service; systemctl is-enabled docker.service || true"
	before := o.on(t, "beta", state)
	out := o.changed(t, 13, "beta", some, "--check", "--diff")
	for _, want := range drifts {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if after := o.on(t, "beta", state); after != before {
		t.Errorf("a look changed the host:\n%s\n%s", before, after)
	}
	o.changed(t, 13, "beta", some)
	o.changed(t, 13, "beta", none)
	o.Count("drifts that a look named", len(drifts))
}

// leaves: nothing that was in a vault, or opens one, is on the operator's computers in plain text.
func (o *office) leaves(t *testing.T) {
	for _, computer := range o.computers {
		left, err := computer.Exec(t.Context(), "sh", "-c", "grep -rlsF hunter2 /tmp /root /var/tmp /run "+o.Folder()+" || true")
		must(t, err)
		if strings.TrimSpace(left) != "" {
			t.Errorf("%s has a secret in %s", computer.Name, left)
		}
	}
}
