package scenarios

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// A moving is one stack on its way between two living hosts.
type moving struct {
	*scenario.Scenario
	w         *world.World
	collector *oracle.Collector
	stack     world.Stack
	from, to  *lab.Host
	known     int // claims before the move
}

// TestMove moves stacks under constant writes between living hosts: with salvor
// move, with a hand-edited host:, and with the old host cut off midway.
func TestMove(t *testing.T) {
	s := scenario.Begin(t, usualFor)
	var collector oracle.Collector
	w, alpha, beta := pair(t, s, &collector)
	for _, st := range guarded("alpha") {
		m := &moving{Scenario: s, w: w, collector: &collector, stack: st, from: alpha, to: beta}
		m.check(t, "salvor move", m.command)
		m.from, m.to = m.to, m.from
		m.check(t, "hand-edited host:", m.edit)
	}
	notes := &moving{Scenario: s, w: w, collector: &collector, stack: guarded("alpha")[0], from: alpha, to: beta}
	cuts := []struct {
		name string
		cut  cut
	}{
		{"while its stack is stopped", cut{when: notes.stopping}},
		{"after the release, and booted", cut{when: notes.released, boot: true}},
		{"after the release", cut{when: notes.released}},
		{"after the claim", cut{when: notes.claimed}},
	}
	for _, c := range drawn(s, cuts, 1) {
		t.Run(c.name, func(t *testing.T) { notes.cut(t, c.cut) })
		notes.from, notes.to = notes.to, notes.from
	}
	for _, st := range guarded("alpha") {
		if twice := collector.Forks(st.Name); len(twice) > 0 {
			t.Errorf("%s: rows %v were acknowledged twice", st.Name, twice)
		}
		s.Count("rows acknowledged", len(collector.Acks(st.Name)))
	}
	t.Log("proved: every acknowledged row moved along, no row was written twice, and no two hosts wrote at a time")
}

func (m *moving) command(ctx context.Context) error {
	_, err := m.w.Salvor(ctx, nil, "move", m.stack.Name, "--to", m.to.Name)
	return err
}

func (m *moving) edit(ctx context.Context) error {
	file := "stacks/" + m.stack.Name + "/compose.yaml"
	content, err := m.w.Read(file)
	if err != nil {
		return err
	}
	edited := strings.Replace(content, "host: "+m.from.Name, "host: "+m.to.Name, 1)
	if edited == content {
		return fmt.Errorf("%s does not say host: %s", file, m.from.Name)
	}
	if err := m.w.Write(file, edited); err != nil {
		return err
	}
	if err := m.w.Commit(ctx, m.stack.Name+" to "+m.to.Name); err != nil {
		return err
	}
	_, err = m.w.Salvor(ctx, nil, "apply")
	return err
}

// check moves the stack while it writes and judges what arrived.
func (m *moving) check(t *testing.T, how string, move func(context.Context) error) {
	t.Helper()
	began := time.Now()
	writesAfter(t, m.collector, m.stack.Name, began)
	must(t, move(t.Context()))
	m.arrived(t, began)
	m.Count("moves", 1)
	t.Logf("%s of %s from %s to %s: %s without a write", how, m.stack.Name, m.from.Name, m.to.Name,
		m.collector.LongestGap(m.stack.Name, began).Round(time.Second/10))
}

// arrived waits until the stack writes on its new host and checks that nothing
// acknowledged is lost and that the hosts wrote one after the other.
func (m *moving) arrived(t *testing.T, began time.Time) {
	t.Helper()
	eventually(t, m.stack.Name+" writes on "+m.to.Name, func() error {
		if n := len(acksFrom(m.collector, m.stack.Name, m.to, began)); n < 10 {
			return fmt.Errorf("%d rows", n)
		}
		return nil
	})
	<-time.After(m.For)
	asked := time.Now()
	all, err := rows(t.Context(), m.to, m.stack.Port)
	must(t, err)
	if err := m.collector.Check(m.stack.Name, all, asked.Add(-time.Second)); err != nil {
		t.Error(err)
	}
	m.Count("rows checked", len(all))
	first := acksFrom(m.collector, m.stack.Name, m.to, began)[0].At
	if late := acksFrom(m.collector, m.stack.Name, m.from, first); len(late) > 0 {
		t.Errorf("%s: %s wrote %d rows after %s had begun to", m.stack.Name, m.from.Name, len(late), m.to.Name)
	}
	if left, err := m.containers(t.Context(), m.from); err != nil || len(left) > 0 {
		t.Errorf("%s still runs on %s: %v, %v", m.stack.Name, m.from.Name, left, err)
	}
}

// containers returns what runs of the stack on a host.
func (m *moving) containers(ctx context.Context, h *lab.Host) ([]string, error) {
	out, err := h.Exec(ctx, "docker", "ps", "-q", "--filter", "label=com.docker.compose.project="+m.stack.Name)
	return strings.Fields(out), err
}

// stopping reports whether the old host has stopped the stack.
func (m *moving) stopping(ctx context.Context) (bool, error) {
	left, err := m.containers(ctx, m.from)
	return len(left) == 0, err
}

// released reports whether the old host has handed the stack over.
func (m *moving) released(ctx context.Context) (bool, error) {
	local, err := m.from.Exec(ctx, "cat", "/var/lib/salvor/placements/"+m.stack.Name+".json")
	return strings.Contains(local, `"released":`), err
}

// claims counts the stack's claims as they are on the remote.
func (m *moving) claims() (int, error) {
	n := 0
	err := filepath.WalkDir(m.w.Remote.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(path, "/claims/"+m.stack.Name+"/") {
			n++
		}
		return err
	})
	return n, err
}

// claimed reports whether there are more claims than before the move.
func (m *moving) claimed(context.Context) (bool, error) {
	n, err := m.claims()
	return n > m.known, err
}

// A cut takes the old host off the network once something has happened, for as long
// as the command continues.
type cut struct {
	when func(context.Context) (bool, error)
	boot bool // its power is cut as well, so that it boots and must not start what it released
}

// cut moves the stack while the old host is cut off, and then makes the same command
// finish what was begun.
func (m *moving) cut(t *testing.T, c cut) {
	ctx := t.Context()
	began := time.Now()
	writesAfter(t, m.collector, m.stack.Name, began)
	var err error
	m.known, err = m.claims()
	must(t, err)
	ended := make(chan error, 1)
	go func() { ended <- m.command(ctx) }()
	eventually(t, "the moment to cut", func() error {
		happened, err := c.when(ctx)
		if err == nil && !happened {
			err = errors.New("it has not come")
		}
		return err
	})
	must(t, m.from.CutOff(ctx))
	at := time.Since(began)
	if c.boot {
		m.boots(t)
	}
	err = <-ended
	there := acksFrom(m.collector, m.stack.Name, m.to, began)
	t.Logf("%s cut off %s into the move to %s, which wrote %d rows meanwhile; the command ended after %s: %v",
		m.from.Name, at.Round(time.Second/10), m.to.Name, len(there), time.Since(began).Round(time.Second/10), err)
	if len(there) > 0 {
		m.Count("moves cut: went on, the old host fenced", 1)
	} else {
		m.Count("moves cut: refused", 1)
	}
	must(t, m.from.Reconnect(ctx))
	must(t, m.command(ctx))
	m.arrived(t, began)
	t.Logf("run again: %s writes on %s; %s without a write in all", m.stack.Name, m.to.Name, m.collector.LongestGap(m.stack.Name, began).Round(time.Second/10))
}

// boots powers the cut off host down and on: what it released stays stopped.
func (m *moving) boots(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	boot := time.Now()
	must(t, m.from.Kill(ctx))
	must(t, m.from.PowerOn(ctx))
	eventually(t, m.from.Name+" decides what to start", func() error {
		said, err := m.from.Exec(ctx, "sh", "-c", "cat /var/lib/salvor/journal/* /etc/salvor/fleet.json")
		// the move may have ended before the cut: then the stack is not in what was applied here
		if err == nil && !strings.Contains(said, "not started") && strings.Contains(said, "/var/lib/salvor/stacks/"+m.stack.Name+`"`) {
			err = errors.New("the journal does not say so")
		}
		return err
	})
	started, err := startedSince(ctx, m.from, boot)
	must(t, err)
	for _, name := range started {
		if strings.HasPrefix(strings.TrimPrefix(name, "/"), m.stack.Name+"-") {
			t.Errorf("%s started %s, which it had let go of", m.from.Name, name)
		}
	}
	m.Count("boots of a host that had let go", 1)
}
