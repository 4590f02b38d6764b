package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"salvor/internal/deploy"
	"salvor/internal/finding"
	"salvor/internal/lab"
)

// A hostLoss is how a host is lost, and how it returns.
type hostLoss struct {
	name        string
	lose, found func(context.Context, *lab.Host) error
	running     bool // it runs on, and writes to the shared folder
}

// losesHosts loses the shop's host and recovers it on the other one, while the first
// target is away.
func (d *dataFleet) losesHosts(t *testing.T) {
	losses := []hostLoss{
		{name: "power cut", lose: func(ctx context.Context, h *lab.Host) error { return h.Kill(ctx) }, found: func(ctx context.Context, h *lab.Host) error { return h.Start(ctx) }},
		{name: "cut off", lose: func(ctx context.Context, h *lab.Host) error { return h.CutOff(ctx) }, found: func(ctx context.Context, h *lab.Host) error { return h.Reconnect(ctx) }, running: true},
	}
	for _, loss := range drawn(d.Scenario, losses, 1) {
		d.loses(t, loss)
		if t.Failed() {
			return
		}
	}
}

// loses has the host be lost with a shared file that was not sent, recovers, and has the
// host return: what the new host wrote under the file's name is on the remote, and the old
// file lies in the quarantine.
func (d *dataFleet) loses(t *testing.T, loss hostLoss) {
	ctx := t.Context()
	lost, heir := d.on, d.other
	d.salvor(t, "snapshot", "take", "shop") // each target has it
	<-time.After(d.For)
	if loss.running {
		must(t, loss.lose(ctx, lost))
	}
	_, err := inShop(ctx, lost, "album", "sh", "-c", "echo old >/srv/library/same && sync /srv/library/same")
	must(t, err)
	if !loss.running {
		must(t, loss.lose(ctx, lost))
	}
	at := time.Now()
	newest := d.newestOnDrive()
	must(t, d.w.Remote.StopSFTP(ctx))
	d.cameFromDrive(t, d.salvor(t, "recover", lost.Name, "--to", heir.Name, "--json"), heir)
	d.on, d.other = heir, lost
	d.writes(t, at)
	h, err := d.holding(ctx, heir)
	must(t, err)
	t.Logf("%s: %s has %s", loss.name, heir.Name, h)
	must(t, d.w.Remote.StartSFTP(ctx))
	d.lossesBelow(t, loss.name, at, newest)
	d.Count("hosts lost and recovered", 1)

	_, err = inShop(ctx, heir, "album", "sh", "-c", "echo new >/srv/library/same")
	must(t, err)
	eventually(t, "the new host's file is on Drive", func() error { return d.has("same", "new\n") })
	must(t, loss.found(ctx, lost))
	d.quarantined(t, lost)
}

// cameFromDrive fails the test unless the receipt says that the first target was silent, and
// which snapshot of the second was restored.
func (d *dataFleet) cameFromDrive(t *testing.T, receipt string, heir *lab.Host) {
	t.Helper()
	var r deploy.Receipt
	must(t, json.Unmarshal([]byte(receipt), &r))
	shop := r.Stacks()["shop"]
	if shop.Restored == nil {
		t.Fatalf("the shop was not restored:\n%s", receipt)
	}
	found := r.Findings
	for _, h := range r.Hosts {
		found = append(found, h.Findings...)
	}
	said := fmt.Sprintf("it did not answer; snapshot %.8s", shop.Restored.ID)
	if !slices.ContainsFunc(found, func(f finding.Finding) bool {
		return f.Code == finding.TargetSilent && f.Subject == heir.Name+"/shop/"+dataTargets[0] && strings.HasPrefix(f.Text, said) && strings.Contains(f.Text, " of "+dataTargets[1]+" was restored; ")
	}) {
		t.Errorf("the receipt does not say that %s was silent and what was restored of %s: %v", dataTargets[0], dataTargets[1], found)
	}
	d.Count("receipts that name the silent target", 1)
}

// has returns an error unless Drive has a shared file with the content.
func (d *dataFleet) has(name, content string) error {
	if got, err := d.onDrive(name); err != nil || got != content {
		return fmt.Errorf("%s is %q on Drive, want %q: %w", name, got, content, err)
	}
	return nil
}

// quarantined waits until the host that was lost has set aside what it had not sent.
func (d *dataFleet) quarantined(t *testing.T, lost *lab.Host) {
	t.Helper()
	within(t, 2*time.Minute, lost.Name+" sets its file aside", func() error {
		if found := exec(t, lost, "grep -rlx old /var/lib/salvor/quarantine/shop 2>/dev/null || true"); !strings.HasSuffix(found, "/same") {
			return fmt.Errorf("in the quarantine is %q", found)
		}
		if left, err := running(t.Context(), lost); err != nil || slices.ContainsFunc(left, func(name string) bool { return strings.HasPrefix(name, "shop-") }) {
			return errors.Join(err, fmt.Errorf("on %s run %v", lost.Name, left))
		}
		return nil
	})
	if err := d.has("same", "new\n"); err != nil {
		t.Errorf("after %s returned: %v", lost.Name, err)
	}
	if status := statusOf(t, d.w); !strings.Contains(status, "not on the remote, and not uploaded") {
		t.Errorf("status does not list what was set aside:\n%s", status)
	}
	d.Count("files set aside", 1)
}

// newestOnDrive is when the newest file of the shared folder was written that is on the
// remote.
func (d *dataFleet) newestOnDrive() time.Time {
	newest := int64(0)
	for _, name := range d.sharedOnDrive() {
		n, _ := strconv.ParseInt(name, 10, 64) // another file is as old as can be
		newest = max(newest, n)
	}
	return time.Unix(newest, 0)
}

// sharedOnDrive lists the files of the shared folder that the remote has.
func (d *dataFleet) sharedOnDrive() (names []string) {
	for _, e := range d.drive.Look(d.root) {
		if name, shared := strings.CutPrefix(e.Path, "salvor/shared/shop/library/"); shared && !e.Trashed {
			names = append(names, name)
		}
	}
	return names
}

// lossesBelow measures, in the data of each target and volume, what a recovery from there
// had lost, and prints it.
func (d *dataFleet) lossesBelow(t *testing.T, how string, at, shared time.Time) {
	t.Helper()
	table := fmt.Sprintf("%s: loss by target and volume\n  %-6s %-8s %s\n", how, "", "library", at.Sub(shared).Round(time.Second/10))
	check := func(target, volume string, newest time.Time) {
		loss := at.Sub(newest)
		table += fmt.Sprintf("  %-6s %-8s %s\n", target, volume, loss.Round(time.Second/10))
		if loss > lossLimit {
			t.Errorf("%s of %s would have lost %s, more than %s", volume, target, loss, lossLimit)
		}
	}
	if loss := at.Sub(shared); loss > lossLimit {
		t.Errorf("the shared folder lost %s", loss)
	}
	for _, r := range d.readable(t) {
		h := d.read(t, r, at)
		check(r.target, "db", h.bank.last)
		check(r.target, "books", h.books.last)
		check(r.target, "notes", d.written(len(h.rows), at))
		check(r.target, "cache", h.cache)
	}
	t.Log(table)
}

// written is when the row of a number was acknowledged last before a time.
func (d *dataFleet) written(n int, before time.Time) (at time.Time) {
	for _, a := range d.collector.Acks("shop") {
		if a.N == n && a.At.Before(before) {
			at = a.At
		}
	}
	return at
}
