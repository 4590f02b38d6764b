package hosts

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gossh "golang.org/x/crypto/ssh"

	"salvor/internal/agentapi"
	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/exposed"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/githost"
	"salvor/internal/grant"
	"salvor/internal/hostkey"
	"salvor/internal/hostpath"
	"salvor/internal/lockfile"
	"salvor/internal/machine"
	"salvor/internal/machine/machinetest"
	"salvor/internal/machine/ssh"
	"salvor/internal/machine/sshtest"
	"salvor/internal/needs"
	"salvor/internal/needs/needstest"
	"salvor/internal/progress"
	"salvor/internal/reach"
	"salvor/internal/route"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

const (
	alphaReads = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
	betaReads  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"
	alphaIs    = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFscGhhJ3Mgb3duIFNTSCBrZXksIDMyIGJ5dGVz"
	gammaIs    = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdhbW1hJ3Mgb3duIFNTSCBrZXksIDMyIGJ5dGVz"
)

// house has notes on alpha, and beta without a stack.
type house struct {
	*needstest.Fleet
	enrols  map[string]agentapi.Enrolment // by host, what it presents; others don't answer
	sshKey  string                        // the operator's file
	connect bool                          // over SSH
}

const declared = `hosts:
  alpha: {address: 192.0.2.10}
  beta: {address: 192.0.2.11, user: root}
remotes:
  disk: {type: local}
data: {snapshots: [{name: offsite, remote: disk, path: snapshots, every: 15m}]}
`

const notes = `x-salvor: {host: alpha}
services: {web: {image: "nginx:1", environment: {PASSWORD: "${DB}"}}}
`

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{enrols: map[string]agentapi.Enrolment{"alpha": newEnrolment(t, alphaReads), "beta": newEnrolment(t, betaReads), "gamma": newEnrolment(t, alphaReads)}}
	lock, err := lockfile.Encode(fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	h.Fleet = needstest.New(t, map[string]string{
		fleet.File: declared, "stacks/notes/compose.yaml": notes, lockfile.Name: string(lock),
		"hosts/alpha.pub": string(keysOf(h.enrols["alpha"]).File()), "hosts/beta.pub": string(keysOf(h.enrols["beta"]).File()),
		"sealed/alpha/notes.age": "sealed", "sealed/beta/notes.age": "sealed",
		fleet.FleetSignersFile: string(sign.Keys{newEnrolment(t, "").Signer}.Signers("home")),
		fleet.DeployKeysFile:   betaReads + " beta\n",
		fleet.KnownHostsFile:   "192.0.2.10 " + alphaIs + "\n192.0.2.11 " + betaReads + "\n",
	}, map[string]string{"notes/DB": "s3cret", "other": "s3cret"})
	return h
}

func keysOf(e agentapi.Enrolment) hostkey.Keys {
	return hostkey.Keys{Recipient: e.Recipient, Signer: e.Signer}
}

// newEnrolment is what a new machine presents.
func newEnrolment(t *testing.T, gitKey string) agentapi.Enrolment {
	t.Helper()
	key, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	private, err := sign.NewKey("host")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := sign.ParseKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return agentapi.Enrolment{Recipient: key.Recipient, Signer: signer.Public(), GitKey: gitKey}
}

// open opens the newest commit.
func (h *house) open(t *testing.T) *Changes {
	t.Helper()
	o := h.Open(t, checkout.Committed)
	confirmed := confirmation.New(o.Checkout, confirmation.Options{
		Approve: func(confirmation.Approval) error { return nil },
		Trust:   func(string) error { return nil },
		Needs: func(_ context.Context, at *checkout.Checkout) (*needs.Needs, error) {
			return needs.New(at, o.Identity.At(at), nil), nil
		},
	})
	confirmed.Rendered(o.Needs)
	ways := reach.Options{SSHKey: h.sshKey, Connect: h.answer, Sink: progress.Discard()}
	if h.connect {
		ways.Connect = nil
	}
	d := reach.New(o.Checkout, ways)
	t.Cleanup(func() { _ = d.Close() })
	git := func(context.Context) (agentapi.Git, error) {
		return agentapi.Git{URL: "ssh://git@git.example/home"}, nil
	}
	return New(o.Checkout, d, confirmed, exposed.New(o.Checkout, o.Identity, o.Needs, git), byHand{})
}

// byHand is a Git host whose deploy keys a person keeps.
type byHand struct{}

func (byHand) KeepKeys(context.Context, map[string]string) (githost.Kept, error) {
	return githost.Kept{}, nil
}

// answer is a machine whose salvord presents what it has.
func (h *house) answer(_ context.Context, to fleet.Host) (machine.Machine, error) {
	e, alive := h.enrols[to.Name]
	if !alive {
		return nil, machine.ErrUnreachable
	}
	return presents(e), nil
}

// presents is a machine whose salvord enrols with e.
func presents(e agentapi.Enrolment) machine.Machine {
	m := machinetest.NewFake()
	m.Handle(func(_ context.Context, p machinetest.Process) int {
		result, err := json.Marshal(e)
		if err == nil && p.Argv[1] == agentapi.VerbEnrol {
			err = json.NewEncoder(p.Stdout).Encode(agentapi.Message{Result: result})
		}
		if err != nil {
			return 1
		}
		return 0
	}, hostpath.Salvord)
	return m
}

func at(name, address string) fleet.Host {
	return fleet.Host{Name: name, Address: address, User: "root", Port: 22}
}

// TestAdd makes a machine part of the fleet in one commit, and confirms for this clone
// what the operator trusted.
func TestAdd(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.open(t)
	p := c.PrepareAdd(at("gamma", "192.0.2.12"), gammaIs)
	if p.Question != "" || p.Name != "" || p.Title != "add host gamma" {
		t.Errorf("%+v", p)
	}
	if _, known := c.checkout.Fleet.Host("gamma"); known {
		t.Error("preparing declared it")
	}
	add, err := p.Run(t.Context(), nil)
	if err != nil || add.GitKey != alphaReads || add.Replaced {
		t.Fatalf("%+v, %v", add, err)
	}
	want := []string{fleet.File, "hosts/deploy_keys", "hosts/gamma.pub", "hosts/known_hosts"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(add.Files))); diff != "" {
		t.Error(diff)
	}
	now := h.open(t)
	declared, is := now.checkout.Fleet.Host("gamma")
	if !is || declared.Address != "192.0.2.12" || now.checkout.Recipients["gamma"] != h.enrols["gamma"].Recipient || now.checkout.HostSigners["gamma"] != h.enrols["gamma"].Signer {
		t.Errorf("declared %+v", declared)
	}
	if pinned := reach.Pinned(now.checkout.HostKeys, "192.0.2.12", 22); len(pinned) != 1 || pinned[0] != gammaIs {
		t.Errorf("pinned %v", pinned)
	}
	if subject := subject(t, now); subject != "host add: gamma" {
		t.Errorf("committed as %q", subject)
	}
	e := h.enrols["gamma"]
	for _, g := range []grant.Grant{grant.Host("gamma", e.Recipient, e.Signer.Fingerprint()), grant.Address("gamma", "root@192.0.2.12", "")} {
		if has, err := now.confirmed.Has(t.Context(), g); err != nil || !has {
			t.Errorf("%+v is confirmed: %v, %v", g, has, err)
		}
	}
}

// TestANewHostAcceptsTheConfirmedKeys: where hosts have several users, the grant names them all, and a recovery on a new
// host was refused for it.
func TestANewHostAcceptsTheConfirmedKeys(t *testing.T) {
	t.Parallel()
	for _, confirmed := range []bool{true, false} {
		h := newHouse(t)
		config, err := h.open(t).checkout.File(fleet.File)
		if err != nil {
			t.Fatal(err)
		}
		h.Commit(t, map[string][]byte{
			fleet.File:               []byte(strings.Replace(string(config), "user: root", "user: ops", 1)),
			fleet.AuthorizedKeysFile: []byte(alphaReads + " salvor-fleet\n"),
		})
		c := h.open(t)
		before := confirmation.LoginGrants(c.checkout.Repository)
		if len(before) != 1 {
			t.Fatalf("grants %+v", before)
		}
		if confirmed {
			if err := c.confirmed.Note(t.Context(), before...); err != nil {
				t.Fatal(err)
			}
		}
		if has, err := c.confirmed.Has(t.Context(), before[0]); err != nil || has != confirmed {
			t.Fatal(has, err)
		}
		if _, err := c.Add(t.Context(), at("gamma", "192.0.2.12"), gammaIs, false); err != nil {
			t.Fatal(err)
		}
		now := confirmation.LoginGrants(c.checkout.Repository)
		if has, err := c.confirmed.Has(t.Context(), now[0]); err != nil || has != confirmed || now[0].Text == before[0].Text {
			t.Errorf("confirmed before %t, then %t: %s, %v", confirmed, has, now[0].Text, err)
		}
	}
}

// subject is the newest commit's.
func subject(t *testing.T, c *Changes) string {
	t.Helper()
	log, err := c.checkout.Git.Log(t.Context(), 1)
	if err != nil || len(log) != 1 {
		t.Fatal(log, err)
	}
	return log[0].Subject
}

// TestAddRefuses leaves no commit.
func TestAddRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.enrols["unsigned"] = agentapi.Enrolment{Recipient: h.enrols["gamma"].Recipient, GitKey: alphaReads}
	before := subject(t, h.open(t))
	for name, test := range map[string]struct {
		host fleet.Host
		key  ssh.PublicKey
		want string
	}{
		"a name that is none":        {at("Gamma!", "192.0.2.12"), gammaIs, "Gamma!"},
		"a machine that is alpha":    {at("gamma", "192.0.2.10"), gammaIs, "already declared as alpha"},
		"a machine that has its key": {at("gamma", "192.0.2.12"), alphaIs, "already declared as alpha"},
		"one that does not answer":   {at("delta", "192.0.2.12"), gammaIs, "delta: "},
		"one without a signing key":  {at("unsigned", "192.0.2.12"), gammaIs, "unsigned answers with an invalid signing key"},
	} {
		if _, err := h.open(t).PrepareAdd(test.host, test.key).Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := subject(t, h.open(t)); after != before {
		t.Errorf("committed %q", after)
	}
}

// TestEnrol knows a declared host by the key that Git has of it, and changes nothing
// where Git has everything.
func TestEnrol(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.open(t)
	beta, _ := c.checkout.Fleet.Host("beta")
	if add, err := c.Enrol(t.Context(), beta); err != nil || len(add.Files) > 0 || add.Replaced {
		t.Errorf("a host that Git has: %+v, %v", add, err)
	}
	h.enrols["beta"] = newEnrolment(t, betaReads)
	c = h.open(t)
	add, err := c.Enrol(t.Context(), beta)
	if diff := cmp.Diff([]string{"hosts/beta.pub"}, slices.Sorted(maps.Keys(add.Files))); diff != "" || err != nil || !add.Replaced {
		t.Errorf("another machine: %s %+v, %v", diff, add, err)
	}
	if c.checkout.Recipients["beta"] != h.enrols["beta"].Recipient {
		t.Error("what follows would seal for the machine before")
	}
	if _, err := c.Enrol(t.Context(), at("gamma", "192.0.2.12")); err == nil || fault.Hint(err) != "salvor host add gamma root@192.0.2.12" {
		t.Errorf("without a pinned key: %v", err)
	}
}

// TestANewNameOfAMachineIsNoNewHost is fault V17 for hosts: enrolled under another
// name, without formerly:, it would have its stacks taken from it.
func TestANewNameOfAMachineIsNoNewHost(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	config, err := h.open(t).checkout.File(fleet.File)
	if err != nil {
		t.Fatal(err)
	}
	h.Commit(t, map[string][]byte{
		fleet.File:                  []byte(strings.Replace(string(config), "alpha: {", "gamma: {", 1)),
		"stacks/notes/compose.yaml": []byte(strings.Replace(notes, "host: alpha", "host: gamma", 1)),
	})
	h.enrols["gamma"] = h.enrols["alpha"]
	c := h.open(t)
	gamma, _ := c.checkout.Fleet.Host("gamma")
	if _, err := c.Enrol(t.Context(), gamma); err == nil || !strings.Contains(fault.Hint(err), "formerly: alpha") {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
	if lock := c.checkout.Lock; lock.Stacks["notes"].Host != "alpha" {
		t.Errorf("placed as %+v", lock.Stacks["notes"])
	}
}

// TestRemove asks for the host's name, removes all that makes it a host in one commit,
// and notes what it could open.
func TestRemove(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.open(t)
	p, err := c.PrepareRemove("beta")
	if err != nil || p.Name != "beta" || p.Question != "This removes beta from the fleet: its declaration, its keys and its sealed files." {
		t.Fatalf("%+v, %v", p, err)
	}
	left, err := p.Run(t.Context(), nil)
	public, _, _, _, parse := gossh.ParseAuthorizedKey([]byte(betaReads))
	if parse != nil {
		t.Fatal(parse)
	}
	if err != nil || len(left.Secrets) != 1 || left.Secrets[0].Name != "notes/DB" || left.DeployKey != gossh.FingerprintSHA256(public) || left.GitURL == "" {
		t.Errorf("%+v, %v", left, err)
	}
	now := h.open(t)
	if _, still := now.checkout.Fleet.Host("beta"); still || now.checkout.Recipients["beta"] != "" || now.checkout.DeployKeys["beta"] != "" || len(reach.Pinned(now.checkout.HostKeys, "192.0.2.11", 22)) > 0 {
		t.Error("beta is still a host")
	}
	if _, err := now.checkout.File("sealed/beta/notes.age"); err == nil {
		t.Error("it still has a sealed file")
	}
	if len(reach.Pinned(now.checkout.HostKeys, "192.0.2.10", 22)) != 1 {
		t.Error("alpha's key went with it")
	}
	if subject := subject(t, now); subject != "host remove: beta" {
		t.Errorf("committed as %q", subject)
	}
}

// TestRemoveRefuses says what to do first.
func TestRemoveRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.open(t)
	c.checkout.Fleet.Stacks = append(c.checkout.Fleet.Stacks, fleet.Stack{Name: "web", Host: "beta", Dir: "stacks/web", File: "compose.yaml"})
	c.checkout.Fleet.Hosts = append(c.checkout.Fleet.Hosts, fleet.Host{Name: "delta"})
	c.checkout.Fleet.Ingress.Routes = []fleet.HostRoute{{Host: "delta", Declared: route.Declared{Hostname: "nas.example.com"}}}
	for host, want := range map[string]string{
		"gamma": "host gamma is not declared",
		"alpha": "alpha still has stacks: notes",
		"beta":  "stack web is declared on beta",
		"delta": "delta still has routes of its own: nas.example.com",
	} {
		if _, err := c.PrepareRemove(host); err == nil || err.Error() != want || fault.Hint(err) == "" {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// TestASharedKeyStays where another host is reached at the address, or through it.
func TestASharedKeyStays(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, other := range map[string]fleet.Host{
		"the same address": at("gamma", "192.0.2.11"),
		"a jump through":   {Name: "gamma", Address: "10.0.0.2", User: "root", Port: 22, Jump: "root@192.0.2.11"},
	} {
		c := h.open(t)
		beta, _ := c.checkout.Fleet.Host("beta")
		c.checkout.Fleet.Hosts = append(c.checkout.Fleet.Hosts, other)
		files, err := c.withoutHost(beta)
		if _, changed := files[fleet.KnownHostsFile]; changed || err != nil {
			t.Errorf("%s: %q, %v", name, files[fleet.KnownHostsFile], err)
		}
	}
}

// TestS19TheDeployKeyOfAHostIsNamed enrols a host, and names what is to be removed at
// the Git host when it is gone, by the fingerprint that the Git host shows.
func TestS19TheDeployKeyOfAHostIsNamed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.open(t)
	alpha, _ := c.checkout.Fleet.Host("alpha")
	add, err := c.Enrol(t.Context(), alpha)
	if err != nil {
		t.Fatal(err)
	}
	h.Commit(t, add.Files)
	public, _, _, _, err := gossh.ParseAuthorizedKey([]byte(alphaReads))
	if err != nil {
		t.Fatal(err)
	}
	c = h.open(t)
	left, err := c.exposed.ByHost(t.Context(), "alpha")
	if want := gossh.FingerprintSHA256(public); err != nil || left.DeployKey != want {
		t.Errorf("named %q, %v, want %s", left.DeployKey, err, want)
	}
	files, err := c.withoutHost(alpha)
	if keys := string(files[fleet.DeployKeysFile]); err != nil || strings.Contains(keys, "alpha") || !strings.Contains(keys, "beta") {
		t.Errorf("without alpha: %q, %v", keys, err)
	}
	config, err := c.checkout.File(fleet.File)
	if err != nil {
		t.Fatal(err)
	}
	h.Commit(t, map[string][]byte{
		fleet.File:                  []byte(strings.Replace(string(config), "alpha: {address: 192.0.2.10", "gamma: {formerly: alpha, address: 192.0.2.10", 1)),
		"stacks/notes/compose.yaml": []byte(strings.Replace(notes, "host: alpha", "host: gamma", 1)),
	})
	if left, err := h.open(t).exposed.ByHost(t.Context(), "gamma"); err != nil || left.DeployKey != gossh.FingerprintSHA256(public) {
		t.Errorf("under another name: %q, %v", left.DeployKey, err)
	}
}

// TestS17TheKeyIsFetchedThroughTheJumpHost: the operator's own network was asked for
// the key of a host that is reached through another one, and the jump host's key was
// not pinned.
func TestS17TheKeyIsFetchedThroughTheJumpHost(t *testing.T) {
	t.Parallel()
	server := sshtest.Start(t)
	h := newHouse(t)
	h.sshKey, h.connect = server.UserKey, true
	c := h.open(t)
	inner := fleet.Host{Name: "inner", Address: "127.0.0.1", Port: server.Port, User: "root", Jump: "root@" + reach.KnownHostsName("127.0.0.1", server.Port)}
	jump, unpinned := c.reach.Jump(inner)
	if !unpinned || jump.Port != server.Port {
		t.Fatalf("jump host %+v, unpinned %v", jump, unpinned)
	}
	if key, err := c.reach.ScanHost(t.Context(), inner); err == nil {
		t.Errorf("a key came through a jump host that nobody trusts: %v", key)
	}
	shown, err := c.reach.ScanHost(t.Context(), jump)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.PinJump(t.Context(), jump, shown.Key); err != nil {
		t.Fatal(err)
	}
	key, err := c.reach.ScanHost(t.Context(), inner)
	if err != nil || string(key.Key) != server.HostKey {
		t.Errorf("through the jump host: %v, %v", key, err)
	}
	line := reach.KnownHostsName("127.0.0.1", server.Port) + " " + server.HostKey
	if _, unpinned := c.reach.Jump(inner); unpinned || !slices.Equal(c.jumpKeys, []string{line}) {
		t.Errorf("for %s: %v", fleet.KnownHostsFile, c.jumpKeys)
	}
	if known, err := c.knownWith(at("gamma", "192.0.2.12"), gammaIs); err != nil || !strings.Contains(string(known), line+"\n") {
		t.Errorf("%s has %q, %v", fleet.KnownHostsFile, known, err)
	}
}
