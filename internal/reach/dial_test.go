package reach

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/machine/machinetest"
	"salvor/internal/machine/ssh"
	"salvor/internal/progress"
	"salvor/internal/secret"
)

// opened is a checkout with these host keys.
func opened(keys ...controlrepo.HostKey) *checkout.Checkout {
	f := fleet.Fleet{Hosts: []fleet.Host{{Name: "alpha", Address: "192.0.2.10", Port: 22, User: "root"}, {Name: "beta", Address: "beta.example.net", Port: 2222, User: "ops", Jump: "gate@gate.example.net:2200"}}}
	return &checkout.Checkout{Repository: &controlrepo.Repository{Fleet: f, HostKeys: keys}}
}

// pinned is a line of known_hosts for names.
func pinned(key string, names ...string) controlrepo.HostKey {
	return controlrepo.HostKey{Patterns: names, Type: "ssh-ed25519", Key: []byte(key)}
}

// public is a key as known_hosts writes it.
func public(key string) ssh.PublicKey {
	return ssh.PublicKey("ssh-ed25519 " + base64.StdEncoding.EncodeToString([]byte(key)))
}

func TestPinnedKeysAreThoseOfTheAddress(t *testing.T) {
	t.Parallel()
	keys := []controlrepo.HostKey{pinned("one", "192.0.2.10", "alpha.example.net"), pinned("two", "[192.0.2.10]:2222"), pinned("three", "192.0.2.10"), pinned("four", "192.0.2.1"),
		{Marker: "@cert-authority", Patterns: []string{"192.0.2.10"}, Type: "ssh-ed25519", Key: []byte("authority")}}
	for _, c := range []struct {
		address string
		port    int
		want    []ssh.PublicKey
	}{
		{"192.0.2.10", 22, []ssh.PublicKey{public("one"), public("three")}},
		{"192.0.2.10", 0, []ssh.PublicKey{public("one"), public("three")}},
		{"192.0.2.10", 2222, []ssh.PublicKey{public("two")}},
		{"alpha.example.net", 22, []ssh.PublicKey{public("one")}},
		{"192.0.2.100", 22, nil},
	} {
		if got := Pinned(keys, c.address, c.port); !slices.Equal(got, c.want) {
			t.Errorf("%s, port %d: %q, want %q", c.address, c.port, got, c.want)
		}
	}
}

func TestParseJump(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]ssh.Options{
		"gate@gate.example.net:2200": {User: "gate", Address: "gate.example.net", Port: 2200}, "gate.example.net": {Address: "gate.example.net"}, "ops@192.0.2.1": {User: "ops", Address: "192.0.2.1"}, "ops@[2001:db8::1]:22": {User: "ops", Address: "2001:db8::1", Port: 22},
	} {
		if got := ParseJump(in); got.User != want.User || got.Address != want.Address || got.Port != want.Port {
			t.Errorf("%s: %+v", in, got)
		}
	}
}

// TestPin trusts a key for the rest of the command, and no other in the place of one that is
// pinned. The checkout stays as it was opened.
func TestPin(t *testing.T) {
	t.Parallel()
	c := opened(pinned("one", "192.0.2.10"))
	d := New(c, Options{})
	alpha, beta := c.Fleet.Hosts[0], c.Fleet.Hosts[1]
	if err := errors.Join(d.Pin(alpha, public("one")), d.Pin(beta, public("two"))); err != nil {
		t.Fatal(err)
	}
	if got := Pinned(d.HostKeys(), beta.Address, beta.Port); !slices.Equal(got, []ssh.PublicKey{public("two")}) {
		t.Errorf("pinned %q", got)
	}
	if err := d.Pin(alpha, public("another")); err == nil || !strings.Contains(err.Error(), "another key is pinned for 192.0.2.10 in hosts/known_hosts") || fault.Hint(err) == "" {
		t.Errorf("another key: %v", err)
	}
	for _, bad := range []ssh.PublicKey{"", "ssh-ed25519", "ssh-ed25519 ***"} {
		if err := d.Pin(fleet.Host{Name: "new", Address: "192.0.2.9"}, bad); err == nil || !strings.Contains(err.Error(), "is not a host key") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if got := Pinned(d.HostKeys(), "192.0.2.9", 22); len(got) > 0 || len(c.HostKeys) != 1 {
		t.Errorf("pinned %q; the checkout has %d keys", got, len(c.HostKeys))
	}
}

// TestAHostIsReachedWithWhatIsPinned: through its jump host where it has one, which has keys
// of its own.
func TestAHostIsReachedWithWhatIsPinned(t *testing.T) {
	t.Parallel()
	c := opened(pinned("inner", "[beta.example.net]:2222"), pinned("gate", "[gate.example.net]:2200"), pinned("one", "192.0.2.10"))
	d := New(c, Options{})
	alpha, beta := c.Fleet.Hosts[0], c.Fleet.Hosts[1]
	auth := ssh.Auth{Files: []string{"/keys/id"}}
	if o := d.SSHOptions(alpha, auth); o.Jump != nil || o.Name != "alpha" || o.User != "root" || !slices.Equal(o.Keys, []ssh.PublicKey{public("one")}) || !slices.Equal(o.Auth.Files, auth.Files) {
		t.Errorf("alpha: %+v", o)
	}
	o := d.SSHOptions(beta, auth)
	if o.Port != 2222 || !slices.Equal(o.Keys, []ssh.PublicKey{public("inner")}) || o.Jump == nil {
		t.Fatalf("beta: %+v", o)
	}
	if j := o.Jump; j.Name != "beta's jump host" || j.User != "gate" || j.Port != 2200 || !slices.Equal(j.Keys, []ssh.PublicKey{public("gate")}) || !slices.Equal(j.Auth.Files, auth.Files) {
		t.Errorf("its jump host: %+v", j)
	}
	if _, unpinned := d.Jump(alpha); unpinned {
		t.Error("alpha has a jump host")
	}
	want := fleet.Host{Name: "beta's jump host", Address: "gate.example.net", Port: 2200, User: "gate"}
	if jump, unpinned := d.Jump(beta); unpinned || !cmp.Equal(jump, want, cmp.AllowUnexported(secret.Setting{})) {
		t.Errorf("%+v, unpinned %v", jump, unpinned)
	}
	c.HostKeys = c.HostKeys[:1]
	if jump, unpinned := d.Jump(beta); !unpinned || !cmp.Equal(jump, want, cmp.AllowUnexported(secret.Setting{})) {
		t.Errorf("without its key: %+v, unpinned %v", jump, unpinned)
	}
}

// TestWhoseKeysAreTried: the operator's own or the one that was named, and then those that
// the fleet keeps, the present one first.
func TestWhoseKeysAreTried(t *testing.T) {
	t.Parallel()
	c := opened()
	c.LetIn = []string{"ssh-ed25519 AAAA ann", "ssh-ed25519 BBBB " + OldSSHKeyComment, "ssh-ed25519 CCCC " + SSHKeyComment}
	opens := 0
	asked := ""
	o := Options{
		Kept:       func(context.Context) (secret.Value, error) { opens++; return secret.NewString("kept"), nil },
		Passphrase: func(file string, _ int) (secret.Value, error) { asked = file; return secret.NewString("pass"), nil },
	}
	auth, err := New(c, o).sshAuth("192.0.2.10")
	if err != nil || len(auth.Kept) != 2 || auth.Kept[0].Public != ssh.PublicKey(c.LetIn[2]) || auth.Kept[1].Public != ssh.PublicKey(c.LetIn[1]) || opens != 0 {
		t.Fatalf("%+v, %v; opened %d times before it was needed", auth.Kept, err, opens)
	}
	if v, err := auth.Kept[0].Open(t.Context()); err != nil || string(v.Reveal()) != "kept" || opens != 1 {
		t.Errorf("%v, opened %d times", err, opens)
	}
	o.SSHKey = "/keys/mine"
	auth, err = New(c, o).sshAuth("192.0.2.10")
	if err != nil || !slices.Equal(auth.Files, []string{"/keys/mine"}) || auth.Agent != "" || len(auth.Kept) != 2 {
		t.Errorf("a key that was named: %+v, %v", auth, err)
	}
	if _, err := auth.Passphrase("/keys/mine", 0); err != nil || asked != "/keys/mine" {
		t.Errorf("asked %q, %v", asked, err)
	}
}

// closing is a machine that says when it is closed.
type closing struct {
	*machinetest.Fake
	closed *atomic.Int32
	err    error
}

// Close implements machine.Machine.
func (c closing) Close() error { c.closed.Add(1); return c.err }

// TestEachHostIsReachedOnce: by however many at a time, and what failed is not tried again
// in this command.
func TestEachHostIsReachedOnce(t *testing.T) {
	t.Parallel()
	c := opened()
	var dialled, closed atomic.Int32
	away, stuck := errors.New("no route to host"), errors.New("stuck")
	d := New(c, Options{Sink: progress.Discard(), Connect: func(_ context.Context, h fleet.Host) (machine.Machine, error) {
		dialled.Add(1)
		if h.Name == "beta" {
			return nil, away
		}
		return closing{machinetest.NewFake(), &closed, stuck}, nil
	}})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if link, err := d.Dial(t.Context(), c.Fleet.Hosts[0]); err != nil || link.Host != "alpha" {
				t.Errorf("alpha: %v", err)
			}
			if link, err := d.Dial(t.Context(), c.Fleet.Hosts[1]); !errors.Is(err, away) || err.Error() != "beta: no route to host" || link != nil {
				t.Errorf("beta: %v", err)
			}
		})
	}
	all.Wait()
	if dialled.Load() != 2 {
		t.Errorf("dialled %d times", dialled.Load())
	}
	if m, err := d.Machine(t.Context(), "alpha"); err != nil || m == nil || dialled.Load() != 2 {
		t.Errorf("alpha's machine: %v", err)
	}
	for _, host := range []string{"beta", "gamma"} {
		if m, err := d.Machine(t.Context(), host); err == nil || m != nil {
			t.Errorf("%s's machine: %v, %v", host, m, err)
		}
	}
	if err := d.Close(); !errors.Is(err, stuck) || closed.Load() != 1 {
		t.Errorf("closed %d, %v", closed.Load(), err)
	}
}

// TestALinkCarriesSalvord that fits, and says what it does.
func TestALinkCarriesSalvord(t *testing.T) {
	t.Parallel()
	var steps []string
	c := opened()
	d := New(c, Options{
		Connect: func(context.Context, fleet.Host) (machine.Machine, error) { return machinetest.NewFake(), nil },
		Sink:    progress.SinkFunc(func(e progress.Event) { steps = append(steps, e.Step) }),
	})
	link, err := d.Dial(t.Context(), c.Fleet.Hosts[0])
	if err != nil {
		t.Fatal(err)
	}
	link.Sink.Emit(progress.Event{Step: "install salvord"})
	if link.Carrier.Version() == "" || !slices.Equal(steps, []string{"install salvord"}) {
		t.Errorf("version %q, steps %q", link.Carrier.Version(), steps)
	}
	if _, err := link.Carrier.Open("pdp11"); err == nil {
		t.Error("there is a salvord for a PDP-11")
	}
}

func TestLinesAndFingerprints(t *testing.T) {
	t.Parallel()
	lines := []string{"ssh-ed25519 AAAA ann", "ssh-ed25519 BBBB not-salvor-fleet", "ssh-ed25519 CCCC salvor-fleet"}
	got := []string{Marked(lines, SSHKeyComment), Marked(lines, OldSSHKeyComment), Marked(nil, "x"), KnownHostsName("a", 22), KnownHostsName("a", 2222), FingerprintOf([]byte("key"))}
	want := []string{lines[2], "", "", "a", "[a]:2222", "SHA256:LHDhK3oGRvkiefQnx7OOczTY5Tic/xZ6HcMOc/gmtoM"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b", ""}, Lines([]byte("a\r\nb\n"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
