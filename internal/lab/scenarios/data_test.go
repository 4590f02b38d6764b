package scenarios

import (
	"context"
	"errors"
	"fmt"
	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
	"salvor/internal/storage/drivetest"
)

// A dataFleet is two hosts, two targets for snapshots, and a stack of everything that
// keeps data, under load.
type dataFleet struct {
	*scenario.Scenario
	w         *world.World
	drive     *lab.Drive
	root      string // of Drive
	reader    *lab.Reader
	collector *oracle.Collector
	on, other *lab.Host // where the stack runs, and where it does not
	taken     []takenSnapshot
}

// dataTargets are the names of the targets, each on the remote of its name.
var dataTargets = []string{"box", "drive"}

// dataEvery is how often snapshots are taken; lossLimit is what may be lost of a volume.
const (
	dataEvery = 15 * time.Minute
	lossLimit = dataEvery + time.Minute
)

// TestData keeps the data of a stack with Postgres, MariaDB, SQLite, Valkey and a
// shared folder on two targets, while pgbench and others write: every snapshot restores to a state that
// there was, and what a lost host takes along is measured in the data.
func TestData(t *testing.T) {
	d := underLoad(t, scenario.Begin(t, usualFor))
	for _, step := range []struct {
		name string
		long bool // only in full
		run  func(t *testing.T)
	}{
		{"snapshots under load", false, d.takes},
		{"snapshots killed", false, d.killed},
		{"moved, every file there", false, d.moves},
		{"restored on the other host", false, d.restored},
		{"a part brought back", true, d.bringsBack},
		{"hosts lost", true, d.losesHosts},
		{"idle", true, d.idle},
		{"read without Salvor", false, d.reads},
	} {
		if step.long && !d.Full {
			continue
		}
		began := time.Now()
		step.run(t)
		if t.Failed() {
			t.FailNow()
		}
		t.Logf("%s: %s", step.name, time.Since(began).Round(time.Second/10))
	}
	t.Log("proved: every snapshot that was taken under load restores to a state that there was, nothing stays paused, and what is lost with a host is at most what the schedule allows")
}

// underLoad starts the fleet on alpha, with six stacks.
func underLoad(t *testing.T, s *scenario.Scenario) *dataFleet {
	t.Helper()
	ctx, began := t.Context(), time.Now()
	d := &dataFleet{Scenario: s, collector: &oracle.Collector{}}
	var err error
	d.drive, err = s.Drive(ctx, drivetest.Options{})
	must(t, err)
	d.root = d.drive.Account("olga@example.com", 0)
	d.drive.AddClient(drivetest.Client{ID: driveClient, Secret: driveSecret})
	d.w, err = world.New(ctx, s.Lab, world.Options{Log: testLog{t}, Drive: d.drive})
	must(t, err)
	d.reader, err = lab.StartReader(ctx, s.Lab)
	must(t, err)
	hosts := spares(t, d.w, "alpha", "beta")
	d.on, d.other = hosts[0], hosts[1]
	d.declares(t)
	d.stacks(t)
	must(t, d.w.Commit(ctx, "a shop and what it is kept on"))
	_, err = d.w.Salvor(ctx, nil, "apply", "--allow-remote", "box", "--allow-remote", "drive")
	must(t, err)
	d.writes(t, time.Time{})
	t.Logf("a fleet under load: %s", time.Since(began).Round(time.Second/10))
	return d
}

// declares writes the remotes and targets into fleet.yaml.
func (d *dataFleet) declares(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	for name, value := range map[string]string{
		"drive_token":            d.drive.Grant("olga@example.com", driveClient, drivetest.ScopeDrive),
		"drive_client":           driveSecret,
		"shop/POSTGRES_PASSWORD": "s3cret-of-the-shop",
		"shop/MARIADB_PASSWORD":  "s3cret-of-the-books",
	} {
		_, err := d.w.Salvor(ctx, strings.NewReader(value), "secret", "set", name)
		must(t, err)
	}
	key, err := d.w.Remote.HostKey(ctx)
	must(t, err)
	at := d.w.Remote.SFTP()
	fleet, err := d.w.Read("fleet.yaml")
	must(t, err)
	remotes, _, found := strings.Cut(fleet, "data:\n  snapshots:\n    - {name: offsite, remote: nas")
	_, rest, ended := strings.Cut(fleet, "daily: 14}}\n")
	if !found || !ended {
		t.Fatalf("fleet.yaml does not have the target that the world declares:\n%s", fleet)
	}
	declared := fmt.Sprintf("  box: {type: sftp, host: %s, port: %d, user: %s, host_keys: %q, pass: \"secret:nas_password\"}\n", at.Addr(), at.Port(), d.w.Remote.User, strings.Join(strings.Fields(key)[:2], " "))
	declared += "  drive: {type: drive, client_id: " + driveClient + ", client_secret: \"secret:drive_client\", scope: drive, token: \"secret:drive_token\"}\n"
	declared += "data:\n  shared: {remote: drive, path: salvor/shared}\n  snapshots:\n"
	for _, name := range dataTargets {
		declared += fmt.Sprintf("    - {name: %s, remote: %s, path: salvor/snapshots, every: 15m, keep: {last: 50}}\n", name, name)
	}
	must(t, d.w.Write("fleet.yaml", remotes+declared+rest))
}

// writes waits until every writer of the shop has written after a time.
func (d *dataFleet) writes(t *testing.T, since time.Time) {
	t.Helper()
	writesAfter(t, d.collector, "shop", since)
	eventually(t, "the databases, the cache and the shared folder are written to", func() error {
		h, err := d.holding(t.Context(), d.on)
		for what, last := range map[string]time.Time{"transfer in Postgres": h.bank.last, "transfer in MariaDB": h.books.last, "tick": h.cache, "shared file": h.shared} {
			if err == nil && !last.After(since) {
				err = fmt.Errorf("the last %s is of %s", what, last)
			}
		}
		return err
	})
}

// salvor runs a command that must succeed.
func (d *dataFleet) salvor(t *testing.T, args ...string) string {
	t.Helper()
	out, err := d.w.Salvor(t.Context(), nil, args...)
	must(t, err)
	return out
}

// runcFailed is docker's exit code for a program that runc could not start.
const runcFailed = 126

// inShop runs a program in a container of the shop, once more where runc lost the process that was to become it.
func inShop(ctx context.Context, h *lab.Host, service string, argv ...string) (string, error) {
	argv = append([]string{"docker", "exec", "shop-" + service + "-1"}, argv...)
	for tries := 1; ; tries++ {
		out, err := h.Exec(ctx, argv...)
		if err == nil || !pausing(err) || tries == mostTries {
			return out, err
		}
		select {
		case <-ctx.Done():
			return out, err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

const mostTries = 100 // of a command in a container that a snapshot pauses

// pausing reports whether a command failed since its container is paused, or was when it began.
func pausing(err error) bool {
	exit, ended := errors.AsType[*osexec.ExitError](err)
	return ended && exit.ExitCode() == runcFailed || strings.Contains(err.Error(), "is paused")
}
