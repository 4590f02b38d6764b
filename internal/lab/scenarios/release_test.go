package scenarios

import (
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// A departure is a host with four stacks that is given back to its user: diary was adopted
// as it ran and album was changed since, shop is Salvor's own with a secret, and attic is
// stopped.
type departure struct {
	*scenario.Scenario
	w         *world.World
	images    world.Images
	url       string // of the collector
	collector *oracle.Collector
	alpha     *lab.Host
	before    lodger // diary
	gated     string // the containers of shop
}

func diary() world.Stack {
	return world.Stack{Name: "diary", Store: "sqlite", Host: "alpha", Port: 8081, Every: "20ms", Size: 100}
}

func shop() world.Stack {
	return world.Stack{Name: "shop", Store: "postgres", Host: "alpha", Port: 8082, Every: "50ms", Size: 100}
}

func album() world.Stack {
	return world.Stack{Name: "album", Store: "sqlite", Host: "alpha", Port: 8083, Every: "50ms", Size: 100}
}

func attic() world.Stack {
	return world.Stack{Name: "attic", Store: "sqlite", Host: "alpha", Port: 8084, Every: "5ms", Size: 100, Limit: writtenRows}
}

const shopPassword = "a-password-of-the-shop"

// TestRelease is issue 14, 3: a host is given back to its user. What was never made again is
// not touched, the others are made again once, and all run on without salvord, also after a
// reboot. In full it is then taken over again and given back a few times more, killed at
// random moments.
func TestRelease(t *testing.T) {
	d := moveIn(t, scenario.Begin(t, usualFor))
	_, err := d.w.Salvor(t.Context(), nil, "host", "release", "alpha")
	must(t, err)
	d.givenBack(t)
	d.upToDate(t)
	d.rebooted(t)
	for range repeats(d.Scenario, 6, 0) {
		d.andBackAgain(t)
		d.killed(t)
		d.givenBack(t)
	}
}

// moveIn has alpha run the four stacks for the fleet.
func moveIn(t *testing.T, s *scenario.Scenario) *departure {
	t.Helper()
	ctx := t.Context()
	d := &departure{Scenario: s, collector: &oracle.Collector{}}
	var err error
	d.w, err = world.New(ctx, s.Lab, world.Options{Log: testLog{t}})
	must(t, err)
	d.images, err = d.w.Images(ctx)
	must(t, err)
	d.alpha, err = d.w.Host(ctx, "alpha", lab.HostOptions{Prepared: true})
	must(t, err)
	exec(t, d.alpha, "dpkg --purge restic") // so that Salvor installs it
	d.url = listen(t, s.Lab, d.collector)
	byHand(t, d.alpha, diary(), d.images, d.url)
	byHand(t, d.alpha, album(), d.images, d.url)
	must(t, d.w.AddWith(ctx, d.alpha))
	_, err = d.w.Salvor(ctx, nil, "adopt", "alpha")
	must(t, err)
	must(t, d.w.Write("stacks/shop/compose.yaml", shop().Compose(d.images, d.url)))
	must(t, d.w.Write("stacks/attic/compose.yaml", attic().Compose(d.images, d.url)))
	_, err = d.w.Salvor(ctx, strings.NewReader(shopPassword), "secret", "set", "shop/POSTGRES_PASSWORD")
	must(t, err)
	unhurried(t, d.w, "diary", "album")
	must(t, d.w.Commit(ctx, "a shop and an attic"))
	_, err = d.w.Salvor(ctx, nil, "apply", "--adopt", "diary,album")
	must(t, err)
	content, err := d.w.Read("stacks/album/compose.yaml")
	must(t, err)
	must(t, d.w.Write("stacks/album/compose.yaml", strings.Replace(content, "EVERY: 50ms", "EVERY: 40ms", 1)))
	must(t, d.w.Commit(ctx, "album writes more often"))
	d.stopsAttic(t)
	return d
}

// stopsAttic applies what is committed, and stops attic when it has written all its rows.
func (d *departure) stopsAttic(t *testing.T) {
	t.Helper()
	full(t, d.alpha, attic())
	_, err := d.w.Salvor(t.Context(), nil, "down", "attic")
	must(t, err)
	_, err = d.w.Salvor(t.Context(), nil, "apply")
	must(t, err)
	for _, st := range []world.Stack{diary(), shop(), album()} {
		writesAfter(t, d.collector, st.Name, time.Now())
	}
	d.before, d.gated = lodging(t, d.alpha, "diary"), containersOf(t, d.alpha, "shop")
}

// containersOf are the ids of a project's containers.
func containersOf(t *testing.T, h *lab.Host, project string) string {
	t.Helper()
	return exec(t, h, "docker ps -aq --no-trunc --filter label=com.docker.compose.project="+project+" | sort")
}

// givenBack checks a host that was given back: its stacks write, but for the one that was
// stopped, nothing of Salvor is there, secrets are for root alone, and neither Git nor the
// record has the host.
func (d *departure) givenBack(t *testing.T) {
	t.Helper()
	d.runsOn(t)
	if now := lodging(t, d.alpha, "diary"); now != d.before {
		t.Errorf("the container of diary was %+v, it is %+v", d.before, now)
	}
	if containersOf(t, d.alpha, "shop") == d.gated {
		t.Error("the containers of shop have their gate still")
	}
	open := exec(t, d.alpha, "cd /opt/stacks/shop && stat -c '%a %U %n' secrets && grep -l "+shopPassword+" -r . | sort")
	if open != "700 root secrets\n./secrets/app/POSTGRES_PASSWORD\n./secrets/db/POSTGRES_PASSWORD" {
		t.Errorf("secrets in plain text:\n%s", open)
	}
	replaced := exec(t, d.alpha, "cd /srv/album && grep -o 'EVERY: [0-9]*ms' compose.yaml compose.yaml.before-salvor-release; ls -A /srv/diary /srv/album")
	if replaced != "compose.yaml:EVERY: 40ms\ncompose.yaml.before-salvor-release:EVERY: 50ms\n/srv/album:\ncompose.yaml\ncompose.yaml.before-salvor-release\n\n/srv/diary:\ncompose.yaml" {
		t.Errorf("in the user's folders there is\n%s", replaced)
	}
	_, err := d.w.Salvor(t.Context(), nil, "plan", "--check")
	must(t, err)
	if left := readLock(t, d.w).Stacks; len(left) > 0 {
		t.Errorf("salvor.lock has %v", left)
	}
	if fleet, err := d.w.Read("fleet.yaml"); err != nil || !strings.Contains(fleet, "\nhosts: {}\n") {
		t.Errorf("fleet.yaml has alpha still: %v\n%s", err, fleet)
	}
	if left, err := d.w.Unfinished(t.Context()); err != nil || left != "" {
		t.Errorf("the operator's clone is not clean: %v\n%s", err, left)
	}
	d.Count("hosts given back", 1)
}

// runsOn checks what runs without Salvor, and that nothing of it is left.
func (d *departure) runsOn(t *testing.T) {
	t.Helper()
	for _, st := range []world.Stack{diary(), shop(), album()} {
		writesAfter(t, d.collector, st.Name, time.Now())
		holdsAll(t, d.Scenario, d.collector, d.alpha, st)
	}
	if err := runs(t, d.alpha, "attic", 0); err != nil {
		t.Error(err)
	}
	left := exec(t, d.alpha, "ls -d /usr/local/bin/salvord /usr/bin/restic /etc/salvor /var/lib/salvor /run/salvor/* /etc/systemd/system/salvord.service /etc/tmpfiles.d/salvor.conf 2>/dev/null; "+
		"systemctl is-active salvord; docker ps -aq | xargs docker inspect -f '{{.HostConfig.Binds}}{{.Mounts}}' | grep -o /run/salvor/gate; true")
	if left != "inactive" {
		t.Errorf("of Salvor there is still:\n%s", left)
	}
}

// upToDate runs what a user runs: nothing is made again.
func (d *departure) upToDate(t *testing.T) {
	t.Helper()
	all := "docker ps -q --no-trunc | sort"
	before := exec(t, d.alpha, all)
	for _, folder := range []string{"/opt/stacks/shop", "/srv/diary", "/srv/album"} {
		exec(t, d.alpha, "cd "+folder+" && docker compose up -d 2>&1")
	}
	if now := exec(t, d.alpha, all); now != before {
		t.Errorf("docker compose up -d finds something to do: containers were %s, they are %s", before, now)
	}
}

// rebooted: everything runs again, and what was stopped does not, until its user starts it.
func (d *departure) rebooted(t *testing.T) {
	t.Helper()
	must(t, d.alpha.Reboot(t.Context()))
	d.runsOn(t)
	exec(t, d.alpha, "cd /opt/stacks/attic && docker compose up -d --wait 2>&1")
	holdsAll(t, d.Scenario, d.collector, d.alpha, attic())
}

// andBackAgain takes the host over again, with the stacks that are in Git already.
func (d *departure) andBackAgain(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	must(t, d.w.AddWith(ctx, d.alpha))
	_, err := d.w.Salvor(ctx, nil, "adopt", "alpha")
	must(t, err)
	_, err = d.w.Salvor(ctx, nil, "apply", "--adopt", "diary,album", "--take", "shop,attic")
	must(t, err)
	d.stopsAttic(t)
}

// killed gives the host back in runs that are killed at random moments: salvor, what it has
// started on the host, or both. The last run is not.
func (d *departure) killed(t *testing.T) {
	t.Helper()
	for range 4 {
		release := []string{"host", "release", "alpha"}
		if d.Rand.IntN(2) == 0 {
			release = append(release, "--no-snapshot")
		}
		moment := time.Duration(d.Rand.Int64N(int64(20 * time.Second)))
		if d.Rand.IntN(2) == 0 {
			cut := time.AfterFunc(moment, func() {
				_, _ = d.alpha.Exec(t.Context(), "sh", "-c", "kill -KILL $(pidof salvord)")
			})
			_, err := d.w.Salvor(t.Context(), nil, release...)
			cut.Stop()
			t.Logf("salvord killed after %s: %v", moment, err)
		} else if !killSalvor(t, d.w, moment, never, release...) {
			t.Logf("released before it was killed, after %s", moment)
		}
		d.Count("releases killed", 1)
		if fleet, err := d.w.Read("fleet.yaml"); err != nil || strings.Contains(fleet, "\nhosts: {}\n") {
			break
		}
	}
	if _, err := d.w.Salvor(t.Context(), nil, "host", "release", "alpha"); err != nil && !strings.Contains(err.Error(), "host alpha is not declared") {
		t.Fatal(err)
	}
}
