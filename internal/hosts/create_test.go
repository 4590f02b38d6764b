package hosts

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/cloud"
	"salvor/internal/cloud/ec2"
	"salvor/internal/cloud/ec2/ec2test"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/machine/ssh"
	"salvor/internal/progress"
	"salvor/internal/reach"
)

// rented is a house whose fleet has an SSH key, and an account at AWS. Each instance is a
// machine of its own.
type rented struct {
	*house
	aws    *ec2test.Server
	given  ec2test.Boot  // of the newest instance
	within time.Duration // how long a new server is waited for
}

func rent(t *testing.T) *rented {
	t.Helper()
	r := &rented{house: newHouse(t), aws: ec2test.New(t), within: 10 * time.Second}
	private, line, err := ssh.NewKey(reach.SSHKeyComment)
	if err != nil {
		t.Fatal(err)
	}
	r.connect, r.sshKey = true, filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(r.sshKey, private.Reveal(), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Commit(t, map[string][]byte{fleet.AuthorizedKeysFile: []byte(line + "\n")})
	r.aws.Boots(func(ctx context.Context, b ec2test.Boot) (func(), error) {
		r.given = b
		return ec2test.Start(ctx, t.TempDir(), b, enrolled(t))
	})
	return r
}

// enrolled is a new machine, which presents an identity of its own.
func enrolled(t *testing.T) machine.Machine {
	return presents(newEnrolment(t, alphaReads))
}

func (r *rented) making(host string) Making {
	config := r.aws.Config()
	config.RetryMaxAttempts = 2 // a client that was killed gets no answer, however often it asks
	return Making{
		Provider: ec2.New(config, ec2.Options{Fleet: "home-1", Site: r.aws.Site()}),
		Order:    cloud.Order{Host: host, Type: "t3.small", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
		Patience: cloud.Patience{Every: time.Millisecond, Within: r.within},
	}
}

// create is `host create`: at the newest commit, confirmed.
func (r *rented) create(t *testing.T, host string) (Addition, error) {
	t.Helper()
	return r.createAt(t, NewServers(r.open(t)), host)
}

// createAt is create at a commit that is open.
func (r *rented) createAt(t *testing.T, s *Servers, host string) (Addition, error) {
	t.Helper()
	p, err := s.PrepareCreate(t.Context(), r.making(host))
	if err != nil {
		return Addition{}, err
	}
	return p.Run(t.Context(), nil)
}

// destroy is `host destroy`.
func (r *rented) destroy(t *testing.T, host string) error {
	t.Helper()
	c := NewServers(r.open(t))
	if _, err := c.Made(host); err != nil {
		return err
	}
	p, err := c.PrepareDestroy(host, r.making(host).Provider)
	if err != nil {
		return err
	}
	_, err = p.Run(t.Context(), nil)
	return err
}

func (r *rented) nothingLeft(t *testing.T, when string) {
	t.Helper()
	if left := r.aws.Count(); left != (ec2test.Count{}) {
		t.Errorf("%s: left %+v", when, left)
	}
}

// TestCreateAndDestroy: a server becomes a host with a host key that no user-data has, and
// goes again; twice.
func TestCreateAndDestroy(t *testing.T) {
	t.Parallel()
	r := rent(t)
	for range 2 {
		p, err := NewServers(r.open(t)).PrepareCreate(t.Context(), r.making("gamma"))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"For host gamma, at aws:eu-central-1", "  + instance: t3.small", "SSH from 127.0.0.1/32"} {
			if !strings.Contains(p.Plan, want) {
				t.Errorf("the plan lacks %q:\n%s", want, p.Plan)
			}
		}
		r.nothingLeft(t, "before it is confirmed")
		add, err := p.Run(t.Context(), nil)
		if err != nil || add.GitKey != alphaReads {
			t.Fatalf("%+v, %v", add, err)
		}
		c := r.open(t)
		h, declared := c.checkout.Fleet.Host("gamma")
		if !declared || h.User != "root" || h.Server.Place() != "aws:eu-central-1" || r.aws.Count() != (ec2test.Count{Instances: 1, Groups: 1, KeyPairs: 1}) {
			t.Errorf("%+v, %+v", h, r.aws.Count())
		}
		pinned := reach.Pinned(c.reach.HostKeys(), h.Address, h.Port)
		shown, err := ssh.Scan(t.Context(), ssh.Options{Address: h.Address, Port: h.Port})
		if err != nil || len(pinned) != 1 || pinned[0] != shown.Key {
			t.Errorf("pinned %v, it shows %v, %v", pinned, shown.Key, err)
		}
		if encoded := strings.Fields(string(shown.Key))[1]; strings.Contains(r.given.UserData, encoded) {
			t.Error("the pinned key was in the user-data")
		}
		if stray, err := NewServers(c).Stray(t.Context(), r.making("gamma").Provider); err != nil || len(stray) > 0 {
			t.Errorf("stray: %+v, %v", stray, err)
		}
		if _, err := r.create(t, "gamma"); err == nil || !strings.Contains(err.Error(), "gamma is a host of home already") {
			t.Errorf("again: %v", err)
		}
		if err := r.destroy(t, "gamma"); err != nil {
			t.Fatal(err)
		}
		r.nothingLeft(t, "destroyed")
		if _, declared := r.open(t).checkout.Fleet.Host("gamma"); declared {
			t.Error("it is still declared")
		}
		if err := r.destroy(t, "gamma"); err == nil {
			t.Error("it was destroyed twice")
		}
	}
	if err := r.destroy(t, "beta"); err == nil || fault.Hint(err) != "salvor host remove beta takes it out of the fleet; the server is yours to end" {
		t.Errorf("a host that was there before: %v (%s)", err, fault.Hint(err))
	}
	if places, err := NewServers(r.open(t)).Places(); err != nil || len(places) != 1 || places[0] != "aws:eu-central-1" {
		t.Errorf("places %q, %v", places, err)
	}
}

// TestCreateFails: one line that says why, nothing left, nothing committed; the next run
// succeeds.
func TestCreateFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bad  func(r *rented)
		fix  func(r *rented)
		want string
		hint string
		is   error
	}{
		"no capacity": {
			bad: func(r *rented) {
				r.aws.Fail(ec2test.Fault{Action: "RunInstances", Code: "InsufficientInstanceCapacity", Text: "Not enough."})
			},
			want: "aws: start an instance: Not enough (InsufficientInstanceCapacity)", hint: "take another --type", is: cloud.ErrNothingFree,
		},
		"no default VPC": {
			bad: func(r *rented) { r.aws.NoVPC(true) }, fix: func(r *rented) { r.aws.NoVPC(false) },
			want: "eu-central-1 has no default VPC", hint: "create-default-vpc",
		},
		"it never answers": {
			bad: func(r *rented) { r.aws.Dead(true) }, fix: func(r *rented) { r.aws.Dead(false) },
			want: "it did not let the fleet's key in within 200ms", hint: "--from", is: machine.ErrUnreachable,
		},
		"another host key": {
			bad: func(r *rented) {
				boot := r.boots(t, func(b *ec2test.Boot) {
					b.UserData = strings.Replace(b.UserData, "ssh_keys", "ignored", 1) // an image without cloud-init, or someone in between
				})
				r.aws.Boots(boot)
			},
			fix:  func(r *rented) { r.aws.Boots(r.boots(t, func(*ec2test.Boot) {})) },
			want: "presents SHA256:", is: machine.ErrHostKey,
		},
		"the fleet's key is not let in": {
			bad: func(r *rented) {
				r.aws.Boots(r.boots(t, func(b *ec2test.Boot) { b.UserData = strings.Replace(b.UserData, "disable_root", "ignored", 1) }))
			},
			fix:  func(r *rented) { r.aws.Boots(r.boots(t, func(*ec2test.Boot) {})) },
			want: "it did not let the fleet's key in within 200ms", is: machine.ErrDenied,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rent(t)
			before := r.open(t).checkout.Commit
			c.bad(r)
			patient := r.within
			r.within = 200 * time.Millisecond
			_, err := r.create(t, "gamma")
			r.within = patient
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.Hint(err), c.hint) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v (%s)", err, fault.Hint(err))
			}
			r.nothingLeft(t, "after it failed")
			if now := r.open(t).checkout.Commit; now != before {
				t.Error("something was committed")
			}
			if c.fix != nil {
				c.fix(r)
			}
			if _, err := r.create(t, "gamma"); err != nil {
				t.Errorf("the second run: %v", err)
			}
		})
	}
}

// boots starts instances with something changed.
func (r *rented) boots(t *testing.T, change func(*ec2test.Boot)) func(context.Context, ec2test.Boot) (func(), error) {
	return func(ctx context.Context, b ec2test.Boot) (func(), error) {
		change(&b)
		return ec2test.Start(ctx, t.TempDir(), b, enrolled(t))
	}
}

// TestCreateKilledAtEveryCall: the client is killed at each call that it makes, before the
// call has its effect and after it. What it left is found by the next run, which shows it,
// takes it away and makes the host; or by doctor's command. A run that was killed commits
// nothing, so the commit that is open stays the newest one until a run gets through.
func TestCreateKilledAtEveryCall(t *testing.T) {
	t.Parallel()
	r := rent(t)
	before := r.open(t)
	s := NewServers(before)
	cuts, found := 0, 0
	for n, killed := 1, true; killed; n++ {
		for _, done := range []bool{false, true} {
			r.aws.CutAt(n, done)
			_, err := r.createAt(t, s, "gamma")
			if killed = r.aws.Mend(); killed != (err != nil) {
				t.Fatalf("call %d: %v, killed %v", n, err, killed)
			}
			if !killed {
				break
			}
			cuts++
			if r.leftovers(t, s) {
				found++
				s = r.takeUp(t, s, n)
			}
			r.nothingLeft(t, "taken up")
		}
	}
	if err := r.destroy(t, "gamma"); err != nil { // which the last run made
		t.Fatal(err)
	}
	r.nothingLeft(t, "destroyed")
	t.Logf("killed %d times, %d times something was left; then 0 instances, 0 groups, 0 key pairs", cuts, found)
	if cuts < 10 || found < 6 {
		t.Errorf("killed %d times, %d times something was left", cuts, found)
	}
}

// leftovers reports whether something was left by a run that was killed, which has not
// committed anything.
func (r *rented) leftovers(t *testing.T, s *Servers) bool {
	t.Helper()
	if now, err := s.checkout.Git.Head(t.Context()); err != nil || now != s.checkout.Commit {
		t.Fatalf("a run that was killed committed %s, %v", now, err)
	}
	left, err := s.Strays(t.Context(), r.making("gamma").Provider)
	if err != nil {
		t.Fatal(err)
	}
	return len(left) > 0
}

// takeUp has what was left taken away, where n is even by doctor's command, else by the next
// run. It returns what is open then.
func (r *rented) takeUp(t *testing.T, s *Servers, n int) *Servers {
	t.Helper()
	if n%2 == 0 {
		m := r.making("gamma")
		left, err := s.Strays(t.Context(), m.Provider)
		if err != nil {
			t.Fatal(err)
		}
		for _, each := range left {
			p, err := s.PrepareTakeAway(t.Context(), "gamma", each.Server.Server, m.Provider)
			if err != nil || each.Fix != "salvor host destroy gamma --server "+each.String() {
				t.Fatalf("%v; %s", err, each.Fix)
			}
			if _, err := p.Run(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	if _, err := r.createAt(t, s, "gamma"); err != nil {
		t.Fatal(err)
	}
	if left := r.aws.Count(); left != (ec2test.Count{Instances: 1, Groups: 1, KeyPairs: 1}) {
		t.Errorf("call %d: %+v for one host", n, left)
	}
	if err := r.destroy(t, "gamma"); err != nil {
		t.Fatal(err)
	}
	return NewServers(r.open(t))
}

// TestDestroyKilledAtEveryCall: run again, it ends what it began. Where a run was killed
// before it took anything away, the next one, which is killed a call later, is that run.
func TestDestroyKilledAtEveryCall(t *testing.T) {
	t.Parallel()
	r := rent(t)
	cuts, ended := 0, true
	for n, killed := 1, true; killed; n++ {
		if ended {
			if _, err := r.create(t, "gamma"); err != nil {
				t.Fatal(err)
			}
		}
		before := len(r.aws.Calls())
		r.aws.CutAt(n, n%2 == 0)
		err := r.destroy(t, "gamma")
		if killed = r.aws.Mend(); killed != (err != nil) {
			t.Fatalf("call %d: %v", n, err)
		}
		ended = !killed || slices.Contains(r.aws.Calls()[before:], "TerminateInstances")
		if killed {
			cuts++
		}
		if killed && ended {
			if err := r.destroy(t, "gamma"); err != nil {
				t.Fatalf("call %d: again: %v", n, err)
			}
		}
		if ended {
			r.nothingLeft(t, "destroyed")
		}
	}
	t.Logf("killed %d times; 0 instances, 0 groups, 0 key pairs", cuts)
	if cuts < 7 {
		t.Errorf("killed %d times", cuts)
	}
}

// TestAHostWithStacksIsNotDestroyed, nor is a server taken away that a host has.
func TestAHostWithStacksIsNotDestroyed(t *testing.T) {
	t.Parallel()
	r := rent(t)
	c := NewServers(r.open(t))
	if _, err := c.PrepareDestroy("alpha", r.making("alpha").Provider); err == nil || !strings.Contains(err.Error(), "alpha still has stacks: notes") {
		t.Errorf("%v", err)
	}
	if _, err := r.create(t, "gamma"); err != nil {
		t.Fatal(err)
	}
	c = NewServers(r.open(t))
	h, _ := c.checkout.Fleet.Host("gamma")
	if _, err := c.PrepareTakeAway(t.Context(), "gamma", h.Server, r.making("gamma").Provider); err == nil || fault.Hint(err) != "salvor host destroy gamma" {
		t.Errorf("%v", err)
	}
	none := h.Server
	none.ID = "nothing"
	if _, err := c.PrepareTakeAway(t.Context(), "gamma", none, r.making("gamma").Provider); err == nil || !strings.Contains(err.Error(), "has no server nothing") {
		t.Errorf("%v", err)
	}
}

// TestAServerForAnotherWorkflow: as a recovery has it made, which adds it, or gives it back.
func TestAServerForAnotherWorkflow(t *testing.T) {
	t.Parallel()
	r := rent(t)
	declined := errors.New("not confirmed")
	for _, adds := range []bool{false, true} {
		s, m := NewServers(r.open(t)), r.making("gamma")
		m.Manage = fleet.Areas{fleet.AreaDocker, fleet.AreaFirewall}
		p, err := s.PrepareMake(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		born, err := p.Run(t.Context(), nil)
		if err != nil || born.Host.Name != "gamma" || born.Key == "" || r.aws.Count().Instances != 1 {
			t.Fatalf("%+v, %v", born, err)
		}
		if !adds {
			if stays, err := s.Unmake(t.Context(), m, born, declined); stays || !errors.Is(err, declined) {
				t.Errorf("stays %v, %v", stays, err)
			}
			r.nothingLeft(t, "given back")
			continue
		}
		add, err := s.hosts.Add(t.Context(), born.Host, born.Key, false)
		if err != nil {
			t.Fatal(err)
		}
		r.Commit(t, add.Files)
		h, _ := r.open(t).checkout.Fleet.Host("gamma")
		if h.Server != born.Host.Server || !slices.Equal(h.SSHFrom, []fleet.Source{"127.0.0.1"}) || h.Manage.String() != "docker, firewall" {
			t.Errorf("declared as %+v, made as %s", h, born.Host.Server)
		}
		if stays, err := s.Unmake(t.Context(), m, born, declined); !stays || !errors.Is(err, declined) || r.aws.Count().Instances != 1 {
			t.Errorf("a host's server: stays %v, %v, %+v", stays, err, r.aws.Count())
		}
	}
}

// TestUserDataOfAnyCloud: a server that was made by hand shows the key that its user-data
// gave it, and gets another one when it is added.
func TestUserDataOfAnyCloud(t *testing.T) {
	t.Parallel()
	r := rent(t)
	c := NewServers(r.open(t))
	for range 2 { // the second one counts
		if _, err := c.NewUserData("delta"); err != nil {
			t.Fatal(err)
		}
	}
	data, err := c.NewUserData("gamma")
	if err != nil {
		t.Fatal(err)
	}
	given, err := c.Given("gamma")
	if err != nil || !strings.Contains(string(data.Reveal()), string(given)) || given == "" {
		t.Fatalf("%q, %v", given, err)
	}
	end, err := ec2test.Start(t.Context(), t.TempDir(), ec2test.Boot{Address: "127.77.1.1", Port: r.aws.Port, UserData: string(data.Reveal())}, enrolled(t))
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	h := fleet.Host{Name: "gamma", Address: "127.77.1.1", Port: r.aws.Port, User: "root"}
	if key, err := c.hosts.reach.ScanHost(t.Context(), h); err != nil || key.Key != given {
		t.Fatalf("it shows %v, %v", key, err)
	}
	ops := h
	ops.User = "ops"
	if _, err := c.Rekey(t.Context(), ops, given, progress.Discard()); err == nil || !strings.Contains(fault.Hint(err), "salvor host add gamma root@") {
		t.Errorf("as ops: %v", err)
	}
	own, err := c.Rekey(t.Context(), h, given, progress.Discard())
	if err != nil || own == given {
		t.Fatalf("%v, %v", own, err)
	}
	if _, err := c.hosts.PrepareAdd(h, own).Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if key, err := c.Given("gamma"); err != nil || key != own { // so an interrupted run goes on
		t.Errorf("given: %v, %v; it made %v", key, err, own)
	}
	if err := c.Known("gamma"); err != nil {
		t.Fatal(err)
	}
	if key, err := c.Given("gamma"); err != nil || key != "" {
		t.Errorf("the given key still counts: %v, %v", key, err)
	}
	if key, err := c.Given("delta"); err != nil || key == "" {
		t.Errorf("delta's is gone: %v", err)
	}
}
