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

// TestRelease is issue 14, 3: a host with a stack that was adopted as it ran, and one that
// Salvor deployed with a secret, is given back to its user. The first is not touched, the
// second is made again once, and both run on without salvord, also after a reboot.
func TestRelease(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, usualFor)
	var collector oracle.Collector
	w, err := world.New(ctx, s.Lab, world.Options{Log: testLog{t}})
	must(t, err)
	images, err := w.Images(ctx)
	must(t, err)
	alpha := spare(t, w, "alpha")
	url := listen(t, s.Lab, &collector)
	diary := world.Stack{Name: "diary", Store: "sqlite", Host: "alpha", Port: 8081, Every: "20ms", Size: 100}
	shop := world.Stack{Name: "shop", Store: "postgres", Host: "alpha", Port: 8082, Every: "50ms", Size: 100}

	byHand(t, alpha, diary, images, url)
	_, err = w.Salvor(ctx, nil, "adopt", "alpha", "diary")
	must(t, err)
	must(t, w.Write("stacks/shop/compose.yaml", shop.Compose(images, url)))
	_, err = w.Salvor(ctx, strings.NewReader(shopPassword), "secret", "set", "shop/POSTGRES_PASSWORD")
	must(t, err)
	must(t, w.Commit(ctx, "a shop"))
	_, err = w.Salvor(ctx, nil, "apply", "--adopt", "diary")
	must(t, err)
	for _, st := range []world.Stack{diary, shop} {
		writesAfter(t, &collector, st.Name, time.Now())
	}
	before, gated := lodging(t, alpha, diary.Name), containersOf(t, alpha, shop.Name)

	_, err = w.Salvor(ctx, nil, "host", "release", "alpha")
	must(t, err)
	released(t, s, &collector, alpha, []world.Stack{diary, shop})
	if now := lodging(t, alpha, diary.Name); now != before {
		t.Errorf("the container of diary was %+v, it is %+v", before, now)
	}
	plain := containersOf(t, alpha, shop.Name)
	if plain == gated {
		t.Error("the containers of shop have their gate still")
	}
	exec(t, alpha, "cd /opt/stacks/shop && docker compose up -d 2>&1; cd /srv/diary && docker compose up -d 2>&1")
	if now := containersOf(t, alpha, shop.Name); now != plain || lodging(t, alpha, diary.Name) != before {
		t.Errorf("docker compose up -d finds something to do: containers were %s, they are %s", plain, now)
	}

	must(t, alpha.Reboot(ctx))
	released(t, s, &collector, alpha, []world.Stack{diary, shop})
	_, err = w.Salvor(ctx, nil, "plan", "--check")
	must(t, err)
	if left := readLock(t, w).Stacks; len(left) > 0 {
		t.Errorf("salvor.lock has %v", left)
	}
	if fleet, err := w.Read("fleet.yaml"); err != nil || !strings.Contains(fleet, "\nhosts: {}\n") {
		t.Errorf("fleet.yaml has alpha still: %v\n%s", err, fleet)
	}
}

const shopPassword = "a-password-of-the-shop"

// containersOf are the ids of a project's containers.
func containersOf(t *testing.T, h *lab.Host, project string) string {
	t.Helper()
	return exec(t, h, "docker ps -aq --no-trunc --filter label=com.docker.compose.project="+project+" | sort")
}

// released checks a host that was given back: its stacks write, nothing of Salvor is there,
// and secrets are for root alone.
func released(t *testing.T, s *scenario.Scenario, c *oracle.Collector, h *lab.Host, stacks []world.Stack) {
	t.Helper()
	for _, st := range stacks {
		writesAfter(t, c, st.Name, time.Now())
		holdsAll(t, s, c, h, st)
	}
	left := exec(t, h, "ls -d /usr/local/bin/salvord /etc/salvor /var/lib/salvor /run/salvor/* /etc/systemd/system/salvord.service /etc/tmpfiles.d/salvor.conf 2>/dev/null; "+
		"systemctl is-active salvord; true")
	if left != "inactive" {
		t.Errorf("of Salvor there is still:\n%s", left)
	}
	open := exec(t, h, "cd /opt/stacks/shop && stat -c '%a %U %n' secrets && grep -l "+shopPassword+" -r . | sort")
	if open != "700 root secrets\n./secrets/app/POSTGRES_PASSWORD\n./secrets/db/POSTGRES_PASSWORD" {
		t.Errorf("secrets in plain text:\n%s", open)
	}
}
