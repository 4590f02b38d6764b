package ec2

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"salvor/internal/cloud"
	"salvor/internal/cloud/ec2/ec2test"
	"salvor/internal/fault"
	"salvor/internal/machine/ssh"
)

func open(s *ec2test.Server, fleet string) *EC2 {
	return New(s.Config(), Options{Fleet: fleet, Site: s.Site()})
}

func small(host string) cloud.Order {
	return cloud.Order{Host: host, Type: "t3.small", From: []netip.Prefix{netip.MustParsePrefix("203.0.113.7/32"), netip.MustParsePrefix("2001:db8::/64")}}
}

func newSeed(t *testing.T) cloud.Seed {
	t.Helper()
	_, line, err := ssh.NewKey("salvor-fleet")
	if err != nil {
		t.Fatal(err)
	}
	seed, err := cloud.NewSeed(line)
	if err != nil {
		t.Fatal(err)
	}
	return seed
}

// create makes a server, as far as it goes.
func create(t *testing.T, e *EC2, o cloud.Order) (cloud.Server, error) {
	t.Helper()
	offer, err := e.Offer(t.Context(), o)
	if err != nil {
		return cloud.Server{}, err
	}
	return offer.Make(t.Context(), cloud.NewID(), newSeed(t))
}

// TestAServerFromItsOrderToItsEnd: the newest image of Debian's own account, what people see
// first, all parts under one ID, and nothing left. Another fleet of the account sees nothing.
func TestAServerFromItsOrderToItsEnd(t *testing.T) {
	t.Parallel()
	s := ec2test.New(t)
	e := open(s, "home-1")
	offer, err := e.Offer(t.Context(), small("alpha"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"instance: t3.small in eu-central-1, image debian-13-amd64-20261101-1948 (ami-new of 136693071363), IMDSv2 alone",
		"volume: 20 GiB gp3, encrypted, deleted with the instance",
		"security group: SSH from 203.0.113.7/32, 2001:db8::/64, and nothing else, comes in",
		"key pair: the fleet's public SSH key",
	}
	if diff := cmp.Diff(want, offer.Lines); diff != "" {
		t.Error(diff)
	}
	if s.Count() != (ec2test.Count{}) {
		t.Errorf("an offer made %+v", s.Count())
	}
	seed := newSeed(t)
	made, err := offer.Make(t.Context(), "k3v9x2mq", seed)
	if err != nil {
		t.Fatal(err)
	}
	if made.String() != "aws:eu-central-1/k3v9x2mq" || made.Address != "127.77.0.1" || made.Host != "alpha" || s.Count() != (ec2test.Count{Instances: 1, Groups: 1, KeyPairs: 1}) {
		t.Errorf("%+v, %+v", made, s.Count())
	}
	shown, err := ssh.Scan(t.Context(), ssh.Options{Address: made.Address, Port: made.Port})
	if err != nil || shown.Key != seed.Once {
		t.Errorf("it shows %s, %v; it was given %s", shown.Key, err, seed.Once)
	}
	found, err := e.Servers(t.Context())
	if err != nil || len(found) != 1 || len(found[0].Parts) != 3 || found[0].Server != made.Server || found[0].Host != "alpha" {
		t.Errorf("%+v, %v", found, err)
	}
	if others, err := open(s, "home-2").Servers(t.Context()); err != nil || len(others) > 0 {
		t.Errorf("another fleet sees %+v, %v", others, err)
	}
	for range 2 {
		if err := e.Remove(t.Context(), made); err != nil || s.Count() != (ec2test.Count{}) {
			t.Errorf("removed: %v, %+v", err, s.Count())
		}
	}
}

// TestImages: by owner and name, for the processor that the type has.
func TestImages(t *testing.T) {
	t.Parallel()
	e := open(ec2test.New(t), "home")
	for name, c := range map[string]struct {
		order cloud.Order
		want  string
		err   string
	}{
		"arm64":            {cloud.Order{Type: "t4g.small"}, "ami-arm", ""},
		"another one":      {cloud.Order{Type: "t3.small", Image: "136693071363/debian-12-amd64-*"}, "ami-12", ""},
		"of another owner": {cloud.Order{Type: "t3.small", Image: "999999999999/debian-13-*"}, "ami-fake", ""},
		"none":             {cloud.Order{Type: "t3.small", Image: "1/debian-*"}, "", "1 has no image debian-* for amd64 in eu-central-1"},
		"not an image":     {cloud.Order{Type: "t3.small", Image: "ami-new"}, "", `"ami-new" is not an image`},
		"no such type":     {cloud.Order{Type: "t3.tiny"}, "", "aws: look up type t3.tiny: The following supplied instance types do not exist: [t3.tiny] (InvalidInstanceType)"},
		"a Mac":            {cloud.Order{Type: "mac1.metal"}, "", "have neither an amd64 nor an arm64 processor"},
	} {
		offer, err := e.Offer(t.Context(), c.order)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || !strings.Contains(offer.Lines[0], c.want+" of ") {
			t.Errorf("%s: %v, %v", name, offer.Lines, err)
		}
	}
}

// TestRefusals: one line each, with the next command; what was made until then is known.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault ec2test.Fault
		want  string
		hint  string
		is    error
	}{
		"no capacity": {ec2test.Fault{Action: "RunInstances", Code: "InsufficientInstanceCapacity", Text: "We currently do not have sufficient t3.small capacity."},
			"aws: start an instance: We currently do not have sufficient t3.small capacity (InsufficientInstanceCapacity): the provider has none free now", "take another --type", cloud.ErrNothingFree},
		"no permission": {ec2test.Fault{Action: "CreateSecurityGroup", Code: "UnauthorizedOperation", Text: "You are not authorized to perform: ec2:CreateSecurityGroup. Encoded authorization failure message: AAAA"},
			"aws: make a security group: You are not authorized to perform: ec2:CreateSecurityGroup (UnauthorizedOperation)", "docs/cloud.md", nil},
		"no subnet": {ec2test.Fault{Action: "RunInstances", Code: "MissingInput", Text: "No subnets found for the default VPC"},
			"aws: start an instance: No subnets found for the default VPC (MissingInput)", "create-default-subnet", nil},
		"no default VPC after all": {ec2test.Fault{Action: "CreateSecurityGroup", Code: "VPCIdNotSpecified", Text: "No default VPC for this user"},
			"aws: make a security group: No default VPC for this user (VPCIdNotSpecified)", "aws ec2 create-default-vpc --region eu-central-1", nil},
		"a name that is taken": {ec2test.Fault{Action: "ImportKeyPair", Code: "InvalidKeyPair.Duplicate", Text: "The keypair already exists"},
			"aws: import the fleet's key: The keypair already exists (InvalidKeyPair.Duplicate)", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ec2test.New(t)
			e := open(s, "home")
			s.Fail(c.fault)
			made, err := create(t, e, small("alpha"))
			if err == nil || err.Error() != c.want || !strings.Contains(fault.Hint(err), c.hint) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v (%s)", err, fault.Hint(err))
			}
			if err := e.Remove(t.Context(), made); err != nil || s.Count() != (ec2test.Count{}) {
				t.Errorf("left %+v, %v", s.Count(), err)
			}
		})
	}
	s := ec2test.New(t)
	s.NoVPC(true)
	if _, err := create(t, open(s, "home"), small("alpha")); err == nil || err.Error() != "eu-central-1 has no default VPC" || !strings.Contains(fault.Hint(err), "create-default-vpc") || s.Count() != (ec2test.Count{}) {
		t.Errorf("no default VPC: %v, %+v", err, s.Count())
	}
	c := s.Config()
	c.Credentials = credentials.NewStaticCredentialsProvider("AKIAOTHER", "x", "")
	if _, err := New(c, Options{Fleet: "home", Site: s.Site()}).Servers(t.Context()); err == nil || !strings.Contains(fault.Hint(err), "aws sts get-caller-identity") {
		t.Errorf("wrong credentials: %v", err)
	}
}

// TestABusyAPIIsAskedAgain: also one that does not answer, or has done what it does not
// answer; a second instance is never started.
func TestABusyAPIIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := ec2test.New(t)
	e := open(s, "home")
	s.Limit(5)
	s.Fail(ec2test.Fault{Action: "RunInstances"}, ec2test.Fault{Action: "RunInstances", Done: true}, ec2test.Fault{Action: "AuthorizeSecurityGroupIngress", Done: true})
	made, err := create(t, e, small("alpha"))
	if err != nil || s.Count() != (ec2test.Count{Instances: 1, Groups: 1, KeyPairs: 1}) {
		t.Fatalf("%v, %+v", err, s.Count())
	}
	s.Limit(5)
	s.Fail(ec2test.Fault{Action: "TerminateInstances", Done: true}, ec2test.Fault{Action: "DeleteSecurityGroup"})
	if err := e.Remove(t.Context(), made); err != nil || s.Count() != (ec2test.Count{}) {
		t.Errorf("%v, %+v", err, s.Count())
	}
}

// TestKilledAtEveryCall: what a client that was killed leaves behind is found by its tags,
// and goes. The number of calls is not written here: it cuts until a run gets through.
func TestKilledAtEveryCall(t *testing.T) {
	t.Parallel()
	s := ec2test.New(t)
	e := open(s, "home")
	cuts := 0
	for n := 1; ; n++ {
		killed := false
		for _, done := range []bool{false, true} {
			s.CutAt(n, done)
			_, err := create(t, e, small("alpha"))
			if killed = s.Mend(); killed != (err != nil) {
				t.Fatalf("call %d: %v, killed %v", n, err, killed)
			}
			left := removeAll(t, e)
			if s.Count() != (ec2test.Count{}) {
				t.Fatalf("call %d, done %v: left %+v of %v", n, done, s.Count(), left)
			}
			cuts++
		}
		if !killed {
			break
		}
	}
	t.Logf("cut %d times: 0 instances, groups and key pairs left", cuts-2)
	if cuts < 12 {
		t.Errorf("cut %d times only", cuts)
	}
	for n := 1; ; n++ { // and so it is while it removes
		made, err := create(t, e, small("alpha"))
		if err != nil {
			t.Fatal(err)
		}
		s.CutAt(n, n%2 == 0)
		err = e.Remove(t.Context(), made)
		if killed := s.Mend(); killed != (err != nil) {
			t.Fatalf("removing, call %d: %v", n, err)
		}
		removeAll(t, e)
		if s.Count() != (ec2test.Count{}) {
			t.Fatalf("removing, call %d: left %+v", n, s.Count())
		}
		if err == nil {
			break
		}
	}
}

// removeAll removes what there is of the fleet, twice: what was just made may be listed late.
func removeAll(t *testing.T, e *EC2) []cloud.Server {
	t.Helper()
	var all []cloud.Server
	for range 2 {
		found, err := e.Servers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, server := range found {
			if err := e.Remove(t.Context(), server); err != nil {
				t.Fatal(err)
			}
		}
		all = slices.Concat(all, found)
	}
	return all
}
