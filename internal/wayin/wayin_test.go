package wayin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"salvor/internal/converge"
	"salvor/internal/converge/convergetest"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/machine/debiantest"
	"salvor/internal/progress"
)

// cloudImage sorts before everything that an administrator writes, and has passwords on.
const cloudImage = "PasswordAuthentication yes\nPermitRootLogin yes\n"

// newHost is a server from a cloud image.
func newHost() *debiantest.Host {
	h := debiantest.New()
	h.Available["nftables"] = debiantest.Package{Version: "1.1", Program: "/usr/sbin/nft"}
	h.Put(folder+"/50-cloud-init.conf", cloudImage, 0o600)
	debiantest.InstallSSHD(h)
	return h
}

func both() Spec {
	return Spec{Manage: fleet.Areas{fleet.AreaSSH, fleet.AreaFirewall}, User: "root", SSHFrom: []fleet.Source{"192.0.2.0/24", "2001:db8::/32", fleet.Tailnet}, Open: []fleet.OpenPort{"443/tcp", "80/tcp", "53/udp"}}
}

func quiet() progress.Scope { return progress.Scope{Sink: progress.Discard()} }

func TestConvergenceLaw(t *testing.T) {
	t.Parallel()
	for name, area := range map[string]fleet.Area{"ssh": fleet.AreaSSH, "firewall": fleet.AreaFirewall} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := both()
			s.Manage = fleet.Areas{area}
			convergetest.Law(t, newHost, append(s.needs(), s.guarded()...)...)
		})
	}
}

// way is how one gets in to a host: what sshd does, what it would do by its files, and the firewall.
func way(t *testing.T, h *debiantest.Host) string {
	t.Helper()
	by, err := ask(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	file, err := h.ReadFile(t.Context(), DropIn)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	rules, err := h.ReadFile(t.Context(), rulesFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return fmt.Sprintf("passwords %s root %s, by its files %s\n%s\n%s\n%s", debiantest.SSHD(h, "passwordauthentication"), debiantest.SSHD(h, "permitrootlogin"), by.First("passwordauthentication"), file, rules, debiantest.Rules(h))
}

func mustChange(t *testing.T, h machine.Machine, s Spec) Made {
	t.Helper()
	made, err := Change(t.Context(), h, s, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestAConfirmedChangeStays(t *testing.T) {
	t.Parallel()
	h := newHost()
	made := mustChange(t, h, both())
	if made.ID == "" || debiantest.SSHD(h, "passwordauthentication") != "no" || debiantest.SSHD(h, "permitrootlogin") != "without-password" || debiantest.SSHD(h, "macs") != "hmac-sha2-256" {
		t.Fatalf("changed %v: passwords %s", made, debiantest.SSHD(h, "passwordauthentication"))
	}
	for _, rule := range []string{"ip saddr { 192.0.2.0/24 } tcp dport { 22 } accept", "ip6 saddr { 2001:db8::/32 }", "tcp dport { 443, 80 } accept", "udp dport { 53 } accept"} {
		if !strings.Contains(debiantest.Rules(h), rule) {
			t.Errorf("without %q: %s", rule, debiantest.Rules(h))
		}
	}
	if err := Confirm(t.Context(), h, made.ID); err != nil {
		t.Fatal(err)
	}
	after := way(t, h)
	if what, err := Undo(t.Context(), h, ""); what != "" || err != nil || way(t, h) != after {
		t.Errorf("a confirmed change was taken back: %q, %v", what, err)
	}
	if changes, err := Plan(t.Context(), h, both()); err != nil || len(changes) > 0 {
		t.Errorf("there is still a plan: %v, %v", changes, err)
	}
	if again := mustChange(t, h, both()); again.ID != "" {
		t.Errorf("nothing changes, and is to be confirmed: %v", again)
	}
	if err := Confirm(t.Context(), h, made.ID); !errors.Is(err, ErrUndone) {
		t.Errorf("confirmed twice: %v", err)
	}
}

func TestAChangeThatIsNotConfirmedIsTakenBack(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*testing.T, *debiantest.Host){
		"the first one": func(*testing.T, *debiantest.Host) {},
		"after another one, with a rule by hand": func(t *testing.T, h *debiantest.Host) {
			s := both()
			s.Open = nil
			if err := Confirm(t.Context(), h, mustChange(t, h, s).ID); err != nil {
				t.Fatal(err)
			}
			debiantest.AddRule(h, "outside", "tcp dport 2222 accept")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost()
			prepare(t, h)
			before := way(t, h)
			made := mustChange(t, h, both())
			if way(t, h) == before {
				t.Fatal("nothing was changed")
			}
			what, err := Undo(t.Context(), h, "")
			if err != nil || !strings.Contains(what, "firewall rules: ") || way(t, h) != before {
				t.Errorf("took back %q, %v:\n%s\nwant\n%s", what, err, way(t, h), before)
			}
			if err := Confirm(t.Context(), h, made.ID); !errors.Is(err, ErrUndone) || fault.Hint(err) == "" {
				t.Errorf("confirmed too late: %v", err)
			}
		})
	}
}

// TestWhateverCutsAChange the timer brings back what there was: a call fails, has its effect and fails, or the context
// ends, at each of them.
func TestWhateverCutsAChange(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		for at := range 1000 {
			h := newHost()
			if _, err := apply(t.Context(), h, quiet(), both().needs()); err != nil {
				t.Fatal(err)
			}
			before := way(t, h)
			cut := &cutting{Machine: h, left: at, lost: lost}
			_, err := Change(t.Context(), cut, both(), quiet())
			cut.left = 1 << 30 // salvord is gone, the timer is not
			if !cut.cut {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			if _, err := Undo(t.Context(), h, ""); err != nil {
				t.Fatalf("cut at call %d: %v", at, err)
			}
			if got := way(t, h); got != before {
				t.Fatalf("cut at call %d: the way in is\n%s\nit was\n%s", at, got, before)
			}
		}
	}
}

// A cutting machine fails from a call on, as one does whose salvord is killed.
type cutting struct {
	machine.Machine
	left int
	lost bool // the call at which it is cut has its effect
	cut  bool
}

var errCut = errors.New("cut")

func (c *cutting) pass() (reach, fail bool) {
	c.left--
	if c.left >= 0 {
		return true, false
	}
	first := !c.cut
	c.cut = true
	return first && c.lost, true
}

func (c *cutting) Run(ctx context.Context, cmd machine.Cmd) (machine.Output, error) {
	reach, fail := c.pass()
	var out machine.Output
	var err error
	if reach {
		out, err = c.Machine.Run(ctx, cmd)
	}
	if fail {
		return machine.Output{}, errCut
	}
	return out, err
}

func (c *cutting) ReadFile(ctx context.Context, path string) ([]byte, error) {
	if reach, fail := c.pass(); fail || !reach {
		return nil, errCut
	}
	return c.Machine.ReadFile(ctx, path)
}

func (c *cutting) WriteFile(ctx context.Context, path string, content io.Reader, mode fs.FileMode) error {
	reach, fail := c.pass()
	var err error
	if reach {
		err = c.Machine.WriteFile(ctx, path, content, mode)
	}
	if fail {
		return errCut
	}
	return err
}

// TestAPortThatSSHDDoesNotHaveYet is refused before anything is armed or changed: someone wrote it into sshd's files,
// and reloading sshd for something else would move it there.
func TestAPortThatSSHDDoesNotHaveYet(t *testing.T) {
	t.Parallel()
	h := newHost()
	if _, err := apply(t.Context(), h, quiet(), both().needs()); err != nil {
		t.Fatal(err)
	}
	h.Put(folder+"/99-port.conf", "Port 2222\n", 0o600)
	before := h.State()
	for _, areas := range []fleet.Areas{both().Manage, {fleet.AreaFirewall}} {
		s := both()
		s.Manage = areas
		_, err := Change(t.Context(), h, s, quiet())
		if err == nil || err.Error() != "sshd would listen on port 2222, which it does not now: its files were changed since it read them" || fault.Hint(err) == "" {
			t.Errorf("%v: error %v", areas, err)
		}
		if h.State() != before {
			t.Errorf("%v: something was changed", areas)
		}
	}
}

// TestWhereSSHListens is where the firewall lets SSH in: an address of sshd's can have its own port, and where a socket
// starts sshd, its files do not count.
func TestWhereSSHListens(t *testing.T) {
	t.Parallel()
	socket := func(h *debiantest.Host, runs bool) {
		h.Put("/usr/lib/systemd/system/ssh.socket", "[Socket]\nListenStream=0.0.0.0:2222\n", 0o644)
		if runs {
			h.Start("ssh.socket")
		}
	}
	for name, c := range map[string]struct {
		prepare func(*debiantest.Host)
		port    string
	}{
		"as it comes": {func(*debiantest.Host) {}, "22"},
		"a port":      {func(h *debiantest.Host) { h.Put(folder+"/10-port.conf", "Port 2222\n", 0o600) }, "2222"},
		"an address": {func(h *debiantest.Host) {
			h.Put(folder+"/10-port.conf", "ListenAddress 0.0.0.0:2222\n", 0o600)
		}, "2222"},
		"a socket":                   {func(h *debiantest.Host) { socket(h, true) }, "2222"},
		"a socket that does not run": {func(h *debiantest.Host) { socket(h, false) }, "22"},
	} {
		for _, area := range []fleet.Areas{{fleet.AreaFirewall}, {fleet.AreaFirewall, fleet.AreaSSH}} {
			h := newHost()
			c.prepare(h)
			debiantest.InstallSSHD(h)
			s := both()
			s.Manage = area
			mustChange(t, h, s)
			if want := "tcp dport { " + c.port + " } accept"; !strings.Contains(debiantest.Rules(h), want) {
				t.Errorf("%s, %v: without %q: %s", name, area, want, debiantest.Rules(h))
			}
		}
	}
}

// TestAMatchOfAPort asks sshd for what the login does not decide.
func TestAMatchOfAPort(t *testing.T) {
	t.Parallel()
	h := newHost()
	h.Put(folder+"/70-b.conf", "Match LocalPort 2222\nX11Forwarding no\n", 0o600)
	if made := mustChange(t, h, both()); made.ID == "" {
		t.Error("nothing was changed")
	}
}

// TestFilesThatSSHDCannotRead leave all as it is, and are a finding.
func TestFilesThatSSHDCannotRead(t *testing.T) {
	t.Parallel()
	h := newHost()
	if _, err := apply(t.Context(), h, quiet(), both().needs()); err != nil {
		t.Fatal(err)
	}
	h.Put(folder+"/99-broken.conf", "Foo bar\n", 0o600)
	before := h.State()
	if made, err := Change(t.Context(), h, both(), quiet()); err != nil || made.ID != "" || h.State() != before {
		t.Errorf("changed %v, %v", made, err)
	}
	got, err := Overruled(t.Context(), h, both())
	want := "sshd can't read its files: /usr/sbin/sshd: exit 255: " + folder + "/99-broken.conf: line 1: Bad configuration option: Foo; until it can, how one gets in is not changed"
	if err != nil || !slices.Equal(got, []string{want}) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func TestDriftIsShownWithItsCause(t *testing.T) {
	t.Parallel()
	for want, drift := range map[string]func(*debiantest.Host){
		"firewall rules: a rule of the chain outside was added": func(h *debiantest.Host) { debiantest.AddRule(h, "outside", "tcp dport 2222 accept") },
		"firewall rules: is not loaded":                         func(h *debiantest.Host) { _ = restore(t.Context(), h, nil) },
		"sshd settings: " + DropIn + ": is not there; sshd takes passwords (passwordauthentication yes); sshd takes weak key exchanges (kexalgorithms diffie-hellman-group14-sha256); sshd takes weak MACs (macs umac-64@openssh.com,hmac-sha1); sshd does not let root in by key alone (permitrootlogin yes)": func(h *debiantest.Host) { h.Remove(DropIn) },
		"unit salvor-undo.service: is disabled, want enabled": func(h *debiantest.Host) {
			_ = systemctl(t.Context(), h, "disable", undoService)
		},
	} {
		h := newHost()
		if err := Confirm(t.Context(), h, mustChange(t, h, both()).ID); err != nil {
			t.Fatal(err)
		}
		drift(h)
		changes, err := Plan(t.Context(), h, both())
		var said []string
		for _, c := range changes {
			said = append(said, c.ID+": "+c.Cause)
		}
		if err != nil || !slices.Equal(said, []string{want}) {
			t.Errorf("%q, %v, want %q", said, err, want)
		}
	}
}

func TestAnUnconfirmedChangeIsInThePlan(t *testing.T) {
	t.Parallel()
	h := newHost()
	mustChange(t, h, both())
	changes, err := Plan(t.Context(), h, both())
	if err != nil || len(changes) != 1 || changes[0].ID != "way in" || changes[0].Action != converge.Changes || !strings.HasPrefix(changes[0].Cause, "a change was not confirmed, and is taken back: sshd settings: ") {
		t.Errorf("%v, %v", changes, err)
	}
	if none, err := Plan(t.Context(), h, Spec{Manage: fleet.Areas{}}); err != nil || len(none) > 0 {
		t.Errorf("a host of which nothing is Salvor's: %v, %v", none, err)
	}
}

func TestWhatOverrulesTheDropIn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*debiantest.Host)
		want   []string
	}{
		"nothing": {func(*debiantest.Host) {}, nil},
		"a file that comes first": {func(h *debiantest.Host) { h.Put(folder+"/00-a.conf", "# mine\nPasswordAuthentication yes\n", 0o600) },
			[]string{"sshd takes passwords (passwordauthentication yes): " + folder + "/00-a.conf, line 2, comes first"}},
		"a Match": {func(h *debiantest.Host) {
			h.Put(folder+"/70-b.conf", "Match User bob\nPasswordAuthentication yes\n", 0o600)
		},
			[]string{"sshd takes passwords (passwordauthentication yes) for some logins: " + folder + "/70-b.conf, line 2, below Match User bob"}},
		"no Include": {func(h *debiantest.Host) {
			h.Put(mainFile, "PermitRootLogin prohibit-password\nKbdInteractiveAuthentication no\n", 0o600)
		},
			[]string{
				"sshd takes passwords (passwordauthentication yes): " + mainFile + " does not include " + folder + "; its first line should be: Include " + folder + "/*.conf",
				"sshd takes weak key exchanges (kexalgorithms diffie-hellman-group14-sha256): " + mainFile + " does not include " + folder + "; its first line should be: Include " + folder + "/*.conf",
				"sshd takes weak MACs (macs umac-64@openssh.com,hmac-sha1): " + mainFile + " does not include " + folder + "; its first line should be: Include " + folder + "/*.conf",
			}},
		"no sshd": {func(h *debiantest.Host) { h.Remove(program) }, []string{"the host has no " + program + ": whatever answers there is not Salvor's"}},
	} {
		h := newHost()
		if err := Confirm(t.Context(), h, mustChange(t, h, both()).ID); err != nil {
			t.Fatal(err)
		}
		test.change(h)
		if got, err := Overruled(t.Context(), h, both()); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, test.want)
		}
	}
	h := newHost()
	if got, err := Overruled(t.Context(), h, both()); err != nil || len(got) > 0 {
		t.Errorf("before it is written: %q, %v", got, err)
	}
}

// TestWhatLeavesWithSalvor is what does not work without it; sshd keeps taking keys only.
func TestWhatLeavesWithSalvor(t *testing.T) {
	t.Parallel()
	h := newHost()
	if none, err := Leave(t.Context(), h); err != nil || len(none) > 0 {
		t.Errorf("a host without any of it: %q, %v", none, err)
	}
	if err := Confirm(t.Context(), h, mustChange(t, h, both()).ID); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{{"salvor-firewall", "salvor-undo.timer", "salvor-undo", "the firewall's table inet salvor"}, nil} {
		if got, err := Leave(t.Context(), h); err != nil || !slices.Equal(got, want) {
			t.Errorf("removed %q, %v, want %q", got, err, want)
		}
	}
	if debiantest.Rules(h) != "" || debiantest.SSHD(h, "passwordauthentication") != "no" {
		t.Errorf("rules %q, passwords %s", debiantest.Rules(h), debiantest.SSHD(h, "passwordauthentication"))
	}
}

// TestWhatLeavesUnconfirmed is taken back first: nothing is left that would do it.
func TestWhatLeavesUnconfirmed(t *testing.T) {
	t.Parallel()
	h := newHost()
	before := debiantest.SSHD(h, "passwordauthentication")
	mustChange(t, h, both())
	if _, err := Leave(t.Context(), h); err != nil || debiantest.SSHD(h, "passwordauthentication") != before || debiantest.Rules(h) != "" {
		t.Errorf("passwords %s, were %s; rules %q: %v", debiantest.SSHD(h, "passwordauthentication"), before, debiantest.Rules(h), err)
	}
}
