package startup_test

import (
	"strings"
	"testing"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/heretest"
	"salvor/internal/finding"
	"salvor/internal/stack/stacktest"
)

// TestAFailedUpgradeGoesBackWithItsData is fault V16: version 1 was put back onto
// the data that version 2 had migrated.
func TestAFailedUpgradeGoesBackWithItsData(t *testing.T) {
	t.Parallel()
	l := agenttest.NewLived(t)
	l.Migrates()
	receipt := l.Apply()
	u := l.Attempt(heretest.Stack)
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
	if u := l.Attempt(heretest.Stack); u.State != "" {
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
