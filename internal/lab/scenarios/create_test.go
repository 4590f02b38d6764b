package scenarios

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/cloud/ec2/ec2test"
	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// A datacenter is an account at AWS, emulated, whose instances are hosts of the lab: clean
// Debian with cloud-init, which reads the user-data when such a host boots for the first time.
type datacenter struct {
	*scenario.Scenario
	w    *world.World
	aws  *ec2test.Server
	from string // the operator's address

	mu     sync.Mutex
	images []*lab.Host // that no instance was made of yet
	booted []*lab.Host
	boots  errgroup.Group
}

// TestCreate has a cloud make a host, which is interrupted once; the host gets a stack with data and is
// terminated; a recovery has the cloud make another one, and brings the data back there. In
// the end nothing is left at the cloud. `salvorlab run create` runs it.
func TestCreate(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, usualFor)
	d := &datacenter{Scenario: s, aws: ec2test.New(t), from: s.Gateway().String() + "/32"}
	w, err := world.New(ctx, s.Lab, world.Options{Log: testLog{t}, Environ: []string{
		"AWS_ENDPOINT_URL_EC2=" + d.aws.URL(), "AWS_ACCESS_KEY_ID=AKIATEST", "AWS_SECRET_ACCESS_KEY=secret", "AWS_EC2_METADATA_DISABLED=true",
	}})
	must(t, err)
	d.w = w
	must(t, d.prepare(ctx, 3))
	d.aws.Hosts(d.boot)
	t.Cleanup(func() {
		if err := d.boots.Wait(); err != nil {
			t.Error(err)
		}
	})
	d.interrupted(t)
	d.create(t)
	notes, began, collector := d.deploy(t)
	d.aws.End()
	d.recover(t, notes, began, collector)
	d.destroy(t)
}

// asImage makes a host what a provider's image is: it has cloud-init, which takes user-data
// from a folder here, and neither a host key nor anyone's key.
const asImage = `export DEBIAN_FRONTEND=noninteractive
apt-get -qq update && apt-get -qq install -y --no-install-recommends cloud-init
cat >/etc/cloud/cloud.cfg.d/99-lab.cfg <<'END'
datasource_list: [NoCloud]
network: {config: disabled}
apt: {preserve_sources_list: true}
preserve_hostname: true
END
rm -f /root/.ssh/authorized_keys /etc/ssh/ssh_host_*
`

// seed is where cloud-init finds what it is given.
const seed = "/var/lib/cloud/seed/nocloud/"

// prepare starts the hosts that instances are made of.
func (d *datacenter) prepare(ctx context.Context, n int) error {
	all, within := errgroup.WithContext(ctx)
	d.images = make([]*lab.Host, n)
	for i := range n {
		all.Go(func() (err error) {
			if d.images[i], err = d.w.Host(within, fmt.Sprintf("i-%d", i+1), lab.HostOptions{Prepared: true}); err == nil {
				_, err = d.images[i].Exec(within, "sh", "-ec", asImage)
			}
			return err
		})
	}
	return all.Wait()
}

// boot starts an instance: a host that was never started with this user-data.
func (d *datacenter) boot(ctx context.Context, b ec2test.Boot) (string, func(), error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.images) == 0 {
		return "", nil, errors.New("no host is left")
	}
	h := d.images[0]
	err := errors.Join(
		h.WriteFile(ctx, seed+"user-data", b.UserData),
		h.WriteFile(ctx, seed+"meta-data", "instance-id: "+h.Name+"\npublic-keys: [\""+strings.TrimSpace(b.Line)+"\"]\n"),
		h.Kill(ctx))
	if err != nil {
		return "", nil, err
	}
	d.images, d.booted = d.images[1:], append(d.booted, h)
	ended, end := context.WithCancel(ctx)
	d.boots.Go(func() error { // the instance is pending meanwhile
		if err := h.Start(ended); err != nil && ended.Err() == nil {
			return err
		}
		return nil
	})
	return h.Address.String(), func() {
		end()
		_ = h.Kill(context.WithoutCancel(ctx)) // it may not have been on yet
	}, nil
}

// newest is the host that the newest instance is.
func (d *datacenter) newest() *lab.Host {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.booted[len(d.booted)-1]
}

// has checks what there is at the cloud.
func (d *datacenter) has(t *testing.T, when string, want ec2test.Count) {
	t.Helper()
	got := d.aws.Count()
	t.Logf("%s: %d instances, %d groups, %d key pairs", when, got.Instances, got.Groups, got.KeyPairs)
	if got != want {
		t.Errorf("%s: %+v, want %+v", when, got, want)
	}
}

var oneServer = ec2test.Count{Instances: 1, Groups: 1, KeyPairs: 1}

// making are the arguments of host create.
func (d *datacenter) making() []string {
	return []string{"host", "create", "web", "--provider", "aws", "--type", "t3.small", "--region", ec2test.Region, "--from", d.from, "--manage", "docker,time,firewall"}
}

// interrupted kills salvor in the middle of a create, which leaves something.
func (d *datacenter) interrupted(t *testing.T) {
	at := []string{"ImportKeyPair", "CreateSecurityGroup", "RunInstances"}[d.Rand.IntN(3)]
	cmd := d.w.Command(t.Context(), d.making()...)
	must(t, cmd.Start())
	within(t, time.Minute, at, func() error {
		for _, call := range d.aws.Calls() {
			if call == at {
				return nil
			}
		}
		return errors.New("it was not called yet")
	})
	must(t, cmd.Process.Kill())
	if err := cmd.Wait(); err == nil {
		t.Fatalf("it had ended before it was killed at %s", at)
	}
	left := d.aws.Count()
	t.Logf("killed at %s: %d instances, %d groups, %d key pairs are left", at, left.Instances, left.Groups, left.KeyPairs)
	if left.KeyPairs != 1 {
		t.Errorf("killed at %s: %+v", at, left)
	}
	out, err := d.w.Salvor(t.Context(), nil, "doctor")
	if !strings.Contains(out, "salvor host destroy web --server aws:"+ec2test.Region+"/") {
		t.Errorf("doctor does not list it: %v\n%s", err, out)
	}
	d.Count("creates killed", 1)
}

// create is the run after it: it takes away what was left.
func (d *datacenter) create(t *testing.T) {
	ctx := t.Context()
	began := time.Now()
	key, err := d.w.Salvor(ctx, nil, d.making()...)
	must(t, err)
	t.Logf("created in %s", time.Since(began).Round(time.Second/10))
	must(t, d.w.Git.AddReadKey(ctx, strings.TrimSpace(key)))
	d.has(t, "created", oneServer)
	d.owns(t, "web")
	d.Count("hosts created", 1)
}

// owns checks that a host has a key of its own: the one that it was given is in its
// user-data, and not in Git.
func (d *datacenter) owns(t *testing.T, host string) {
	t.Helper()
	h := d.newest()
	key, err := h.HostKey(t.Context())
	must(t, err)
	encoded := strings.Fields(key)[1]
	given := exec(t, h, "cat "+seed+"user-data")
	known, err := d.w.Read("hosts/known_hosts")
	must(t, err)
	if strings.Contains(given, encoded) || !strings.Contains(known, h.Address.String()+" ssh-ed25519 "+encoded) {
		t.Errorf("%s: its key is the one it was given, or is not pinned:\n%s", host, known)
	}
	if state := exec(t, h, "cloud-init status"); !strings.Contains(state, "status: done") {
		t.Errorf("%s: %s", host, state)
	}
	if keys := exec(t, h, "ls /etc/ssh/ssh_host_*_key"); strings.TrimSpace(keys) != "/etc/ssh/ssh_host_ed25519_key" {
		t.Errorf("%s has other host keys: %s", host, keys)
	}
}

// deploy has a stack write on web, and takes a snapshot of it.
func (d *datacenter) deploy(t *testing.T) (world.Stack, time.Time, *oracle.Collector) {
	ctx := t.Context()
	images, err := d.w.Images(ctx)
	must(t, err)
	collector := &oracle.Collector{}
	notes := world.Stack{Name: "notes", Store: "sqlite", Host: "web", Port: 8081, Every: "20ms", Size: 100}
	must(t, d.w.Write("stacks/notes/compose.yaml", notes.Compose(images, listen(t, d.Lab, collector))))
	must(t, d.w.Commit(ctx, "notes"))
	_, err = d.w.Salvor(ctx, nil, "apply")
	must(t, err)
	writesAfter(t, collector, notes.Name, time.Time{})
	if rules := exec(t, d.newest(), "nft list table inet salvor"); !strings.Contains(rules, strings.TrimSuffix(d.from, "/32")) {
		t.Errorf("web lets SSH in from elsewhere than %s:\n%s", d.from, rules)
	}
	began := time.Now()
	_, err = d.w.Salvor(ctx, nil, "snapshot", "take", notes.Name)
	must(t, err)
	_, err = d.w.Salvor(ctx, nil, "host", "destroy", "web")
	if err == nil || !strings.Contains(err.Error(), "web still has stacks: notes") {
		t.Errorf("a host with a stack: %v", err)
	}
	d.has(t, "a host with a stack is not destroyed", oneServer)
	return notes, began, collector
}

// recover has the cloud make the host that takes over.
func (d *datacenter) recover(t *testing.T, notes world.Stack, began time.Time, collector *oracle.Collector) {
	ctx := t.Context()
	start := time.Now()
	receipt, err := d.w.Salvor(ctx, nil, "recover", "web", "--to", "shop", "--create", "aws:t3.small@"+ec2test.Region, "--ssh-from", d.from)
	must(t, err)
	t.Logf("recovered in %s\n%s", time.Since(start).Round(time.Second/10), receipt)
	key := deployKey.FindString(receipt)
	must(t, d.w.Git.AddReadKey(ctx, key))
	d.owns(t, "shop")
	eventually(t, "notes answers on shop", func() error {
		all, err := rows(ctx, d.newest(), notes.Port)
		if err != nil {
			return err
		}
		d.Count("rows back", len(all))
		if err := collector.Check(notes.Name, all, began); err != nil {
			t.Error(err)
		}
		return nil
	})
	writesAfter(t, collector, notes.Name, time.Now())
	d.has(t, "recovered", ec2test.Count{Instances: 1, Groups: 2, KeyPairs: 2}) // web's instance is gone, the rest of it not
	d.Count("hosts created by a recovery", 1)
}

// destroy ends both hosts: the one whose instance is gone already, and the other one once it
// has no stack.
func (d *datacenter) destroy(t *testing.T) {
	ctx := t.Context()
	_, err := d.w.Salvor(ctx, nil, "host", "destroy", "web")
	must(t, err)
	d.has(t, "web is destroyed", oneServer)
	withdraw(t, d.w, "notes")
	_, err = d.w.Salvor(ctx, nil, "host", "destroy", "shop")
	must(t, err)
	d.has(t, "shop is destroyed", ec2test.Count{})
	fleet, err := d.w.Read("fleet.yaml")
	must(t, err)
	if strings.Contains(fleet, "aws:") {
		t.Errorf("a server is still declared:\n%s", fleet)
	}
	if out, err := d.w.Salvor(ctx, nil, "doctor"); !strings.Contains(out, "every server there is a host") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	d.Count("hosts destroyed", 2)
	d.Count("instances, groups and key pairs left", 0)
}
