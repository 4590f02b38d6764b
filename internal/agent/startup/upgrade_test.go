package startup_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/heretest"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hold"
	"salvor/internal/stack/stacktest"
)

// TestAFailedUpgradeGoesBackWithItsData is fault V16: version 1 was put back onto
// the data that version 2 had migrated.
func TestAFailedUpgradeGoesBackWithItsData(t *testing.T) {
	t.Parallel()
	l := agenttest.NewLived(t)
	l.Migrates()
	receipt := l.Apply()
	u := l.Here().Attempt()
	if receipt.Error == nil || !strings.Contains(receipt.Error.Text, u.Before[:8]) || !strings.Contains(receipt.Error.Text, u.After[:8]) {
		t.Errorf("%+v", receipt.Error)
	}
	l.CheckBack()
	if receipt := l.Boot(); receipt.Error != nil || receipt.Outcome != "started" {
		t.Errorf("the next boot: %+v", receipt)
	}
	l.CheckBack()
	l.Runs("reg/app:1")
	if receipt := l.Apply(); receipt.Error != nil || receipt.Outcome != "untouched" {
		t.Errorf("the rollback: %+v", receipt)
	}
	if found := l.Findings(); len(found) > 0 {
		t.Errorf("%+v", found)
	}
}

// A good upgrade leaves nothing behind, and a snapshot of the last that the old
// version wrote.
func TestAnUpgradeThatWorks(t *testing.T) {
	t.Parallel()
	l := agenttest.NewLived(t)
	l.Runs("reg/app:2")
	if receipt := l.Apply(); receipt.Error != nil || l.Image() != "reg/app:2@sha256:2" || l.Data() != "written since" {
		t.Errorf("%+v, %s on %q", receipt, l.Image(), l.Data())
	}
	if u := l.Here().Attempt(); u.State != "" {
		t.Errorf("noted: %+v", u)
	}
	if l.Newest().Seq <= l.Old.Snapshot.Seq {
		t.Error("no snapshot was taken")
	}
}

// TestAFailedDeployIsAFinding is newcomer's item 20: a deploy that failed was
// forgotten by the next morning.
func TestAFailedDeployIsAFinding(t *testing.T) {
	t.Parallel()
	l := agenttest.NewLived(t)
	l.Stack.Volumes = nil
	l.Runs("reg/app:2")
	l.Engine.OnStart = func(c stacktest.Container) int {
		if strings.HasPrefix(c.Image, "reg/app:2") {
			return 1
		}
		return -1
	}
	if receipt := l.Apply(); receipt.Error == nil || l.Image() != "reg/app:1@sha256:1" {
		t.Fatalf("%+v, %s runs", receipt.Error, l.Image())
	}
	found := l.Findings()
	if agenttest.Codes(found) != string(finding.NotAsCommitted) || !strings.Contains(found[0].Text, "exited with code 1") {
		t.Errorf("%+v", found)
	}
	l.Engine.OnStart = nil
	if receipt := l.Apply(); receipt.Error != nil {
		t.Errorf("%+v", receipt)
	}
	if found := l.Findings(); agenttest.Codes(found) != "" {
		t.Errorf("%+v", found)
	}
}

// TestAnAttemptEndsWithItsEpoch: a host died in the middle of an upgrade, another one took
// the stack over and wrote on. When it comes back, the version before must not be put back
// with the data that it had then.
func TestAnAttemptEndsWithItsEpoch(t *testing.T) {
	t.Parallel()
	l := agenttest.NewLived(t)
	l.Migrates()
	ctx, dies := context.WithCancel(t.Context())
	l.Start().Deploy(hold.With(ctx, func(at string) {
		if at == "upgrade-stopped" {
			dies()
		}
	}), agenttest.Own())
	if !l.Here().Attempt().InProgress() {
		t.Fatal("the upgrade was not interrupted")
	}

	beta := agenttest.Began(t, heretest.Host(t), l.Remote, 2)
	agenttest.Restore(t, beta)
	heretest.Write(t, filepath.Join(beta.Protected()[0].Path, "note"), "written on beta")
	newest := agenttest.Take(t, beta).Snapshot

	l.Engine.OnStart = nil
	l.Stack = heretest.Sealed(t, l.Host, l.Remote, 3, "aaaa0001")
	l.Stack.Volumes[0].Born = time.Unix(1, 0)
	l.Stack.Proven = map[string]fleet.Proven{"aaaa0001": {Epoch: newest.Epoch, Seq: newest.Seq, ID: newest.ID}}
	l.Runs("reg/app:3")
	if receipt := l.Apply(); receipt.Error != nil || l.Data() != "written on beta" || l.Image() != "reg/app:3@sha256:3" {
		t.Errorf("%+v: %s runs on %q", receipt, l.Image(), l.Data())
	}
}
