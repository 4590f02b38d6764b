package scenarios

import (
	"strings"
	"testing"
	"time"
)

// givenBack releases gamma with its stack, which has a gate and a secret: it runs on
// without Salvor, also after a boot.
func (a *adoption) givenBack(t *testing.T) {
	ctx, before := t.Context(), time.Now()
	_, err := a.w.Salvor(ctx, nil, "host", "release", "gamma")
	must(t, err)
	if left := exec(t, a.gamma, "ls -d /usr/local/bin/salvord /etc/salvor /var/lib/salvor/stacks /run/salvor 2>/dev/null; systemctl list-unit-files --no-legend 'salvor*'; true"); left != "" {
		t.Errorf("Salvor left %s", left)
	}
	a.lampBurns(t, before)
	if files := exec(t, a.gamma, "grep -rlF canary-of-the-lamp /opt/stacks/lamp"); files != "/opt/stacks/lamp/secrets/app/TOKEN" {
		t.Errorf("the secret is in %s", files)
	}
	if read := exec(t, a.gamma, "runuser -u nobody -- cat /opt/stacks/lamp/secrets/app/TOKEN 2>&1; true"); !strings.Contains(read, "Permission denied") {
		t.Errorf("another user reads the secret: %s", read)
	}
	booted := time.Now()
	must(t, a.gamma.Reboot(ctx))
	a.lampBurns(t, booted)
	settled(t, a.w)
	a.Count("hosts given back", 1)
}

// lampBurns checks that the stack writes on, and that gamma has all of its rows.
func (a *adoption) lampBurns(t *testing.T, since time.Time) {
	t.Helper()
	writesAfter(t, a.collector, "lamp", since)
	holdsAll(t, a.Scenario, a.collector, a.gamma, lamp())
}
