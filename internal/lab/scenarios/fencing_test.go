package scenarios

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// The stacks of fencing and move: one SQLite, one Postgres.
func guarded(host string) []world.Stack {
	return []world.Stack{
		{Name: "notes", Store: "sqlite", Host: host, Port: 8081, Every: "20ms", Size: 100},
		{Name: "blog", Store: "postgres", Host: host, Port: 8082, Every: "20ms", Size: 100},
	}
}

// pair starts a fleet of two hosts with the guarded stacks writing on alpha.
func pair(t *testing.T, s *scenario.Scenario, collector *oracle.Collector) (w *world.World, alpha, beta *lab.Host) {
	t.Helper()
	ctx := t.Context()
	w, err := world.New(ctx, s.Lab, world.Options{Log: testLog{t}})
	must(t, err)
	images, err := w.Images(ctx)
	must(t, err)
	alpha, err = w.Host(ctx, "alpha", lab.HostOptions{Prepared: true})
	must(t, err)
	beta, err = w.Host(ctx, "beta", lab.HostOptions{Prepared: true})
	must(t, err)
	must(t, w.Add(ctx, alpha))
	must(t, w.Add(ctx, beta))
	_, err = w.Salvor(ctx, strings.NewReader("s3cret-of-the-blog"), "secret", "set", "blog/POSTGRES_PASSWORD")
	must(t, err)
	url := listen(t, s.Lab, collector)
	for _, st := range guarded("alpha") {
		must(t, w.Write("stacks/"+st.Name+"/compose.yaml", st.Compose(images, url)))
	}
	must(t, w.Commit(ctx, "the stacks"))
	_, err = w.Salvor(ctx, nil, "apply")
	must(t, err)
	for _, st := range guarded("alpha") {
		writesAfter(t, collector, st.Name, time.Time{})
	}
	return w, alpha, beta
}

// writesAfter waits until ten writes of a stack were acknowledged after a time.
func writesAfter(t *testing.T, collector *oracle.Collector, stack string, since time.Time) {
	t.Helper()
	eventually(t, stack+" writes", func() error {
		acks := collector.Acks(stack)
		if len(acks) >= 10 && acks[len(acks)-10].At.After(since) {
			return nil
		}
		return fmt.Errorf("%d rows acknowledged so far", len(acks))
	})
}

// running returns the containers that run on a host, looked at from outside the
// network.
func running(ctx context.Context, h *lab.Host) ([]string, error) {
	out, err := h.Exec(ctx, "docker", "ps", "--format", "{{.Names}}")
	return strings.Fields(out), err
}

// startedSince returns the containers of a host that ran at any moment since its
// engine started: those which run, those whose last start is younger than the
// engine, and those of which the engine reports a start.
func startedSince(ctx context.Context, h *lab.Host, boot time.Time) ([]string, error) {
	started, err := running(ctx, h)
	if err != nil {
		return nil, err
	}
	events, err := h.Exec(ctx, "docker", "events", "--since", fmt.Sprint(boot.Unix()), "--until", fmt.Sprint(time.Now().Unix()+1),
		"--filter", "type=container", "--filter", "event=start", "--format", "{{.Actor.Attributes.name}}")
	if err != nil {
		return nil, err
	}
	started = append(started, strings.Fields(events)...)
	all, err := h.Exec(ctx, "sh", "-c", "docker ps -aq | xargs -r docker inspect --format '{{.Name}} {{.State.StartedAt}}'")
	if err != nil {
		return nil, err
	}
	seen := 0
	for line := range strings.Lines(all) {
		name, at, _ := strings.Cut(strings.TrimSpace(line), " ")
		when, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			return nil, err
		}
		if seen++; when.After(boot) {
			started = append(started, name)
		}
	}
	if seen == 0 {
		return nil, errors.New("the host has no containers at all, so nothing was shown")
	}
	return started, nil
}

// fenced waits until a host's journal says that it fenced each stack.
func fenced(t *testing.T, h *lab.Host, stacks []world.Stack) {
	t.Helper()
	eventually(t, h.Name+" fences its stacks", func() error { return journalHas(t.Context(), h, "fenced", stacks) })
}

// journalHas looks for an entry of a kind for each stack in a host's journal.
func journalHas(ctx context.Context, h *lab.Host, kind string, stacks []world.Stack) error {
	journal, err := h.Exec(ctx, "sh", "-c", "cat /var/lib/salvor/journal/*")
	if err != nil {
		return err
	}
	var missing []error
	for _, st := range stacks {
		found := false
		for line := range strings.Lines(journal) {
			found = found || strings.Contains(line, `"kind":"`+kind+`"`) && strings.Contains(line, `"stack":"`+st.Name+`"`)
		}
		if !found {
			missing = append(missing, fmt.Errorf("no entry %s of %s in the journal", kind, st.Name))
		}
	}
	return errors.Join(missing...)
}

// TestFencing has a host come back after its stacks were recovered elsewhere: with
// the network, without it, and, as the owner, with no other host there.
func TestFencing(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, usualFor)
	var collector oracle.Collector
	stacks := guarded("alpha")
	w, alpha, beta := pair(t, s, &collector)
	began := snapshots(t, w, stacks)
	<-time.After(s.For)
	must(t, alpha.Kill(ctx))
	_, err := w.Salvor(ctx, nil, "recover", "alpha", "--to", "beta")
	must(t, err)
	recovered := time.Now()
	for _, st := range stacks {
		writesAfter(t, &collector, st.Name, recovered)
		all, err := rows(ctx, beta, st.Port)
		must(t, err)
		if err := collector.Check(st.Name, all, began[st.Name]); err != nil {
			t.Error(err)
		}
	}
	comesBack(t, s, alpha, stacks)
	for _, st := range stacks {
		if told := acksFrom(&collector, st.Name, alpha, recovered); len(told) > 0 {
			t.Errorf("%s: the lost host wrote %d rows after the recovery", st.Name, len(told))
		}
	}
	bootsCutOff(t, s, w, alpha, beta, &collector, stacks)
	stopped := time.Now()
	ownerReboots(t, s, w, beta, &collector, stacks)
	for _, st := range stacks {
		if told := acksFrom(&collector, st.Name, alpha, stopped); len(told) > 0 {
			t.Errorf("%s: the fenced host wrote %d rows", st.Name, len(told))
		}
		s.Count("rows acknowledged", len(collector.Acks(st.Name)))
	}
	t.Log("proved: a lost host starts nothing, cut off it changes nothing outside and stops in time; an owner starts by itself")
}

// comesBack boots the lost host with its network: nothing is ever started.
func comesBack(t *testing.T, s *scenario.Scenario, alpha *lab.Host, stacks []world.Stack) {
	t.Helper()
	ctx := t.Context()
	boot := time.Now()
	must(t, alpha.Start(ctx))
	fenced(t, alpha, stacks)
	<-time.After(s.For)
	started, err := startedSince(ctx, alpha, boot)
	must(t, err)
	if len(started) > 0 {
		t.Errorf("the lost host ran %v", started)
	}
	s.Count("boots of a lost host", 1)
	t.Logf("the lost host came back and ran %d containers", len(started))
}

// bootsCutOff takes alpha back to before it knew that it lost: the stacks move
// home, and while it is powered down beta takes them over again. It then boots
// without a network, and cannot know. beta is frozen meanwhile, so that whatever
// changes on the remote is alpha's doing.
func bootsCutOff(t *testing.T, s *scenario.Scenario, w *world.World, alpha, beta *lab.Host, collector *oracle.Collector, stacks []world.Stack) {
	t.Helper()
	ctx := t.Context()
	for _, st := range stacks {
		_, err := w.Salvor(ctx, nil, "move", st.Name, "--to", "alpha")
		must(t, err)
	}
	must(t, alpha.Kill(ctx))
	_, err := w.Salvor(ctx, nil, "recover", "alpha", "--to", "beta")
	must(t, err)
	must(t, beta.Freeze(ctx))
	before, err := oracle.Manifest(w.Remote.Dir)
	must(t, err)

	must(t, alpha.CutOff(ctx))
	must(t, alpha.PowerOn(ctx))
	eventually(t, "the cut off host starts its stacks for availability", func() error { return journalHas(ctx, alpha, "unfenced-start", stacks) })
	ran, err := running(ctx, alpha)
	must(t, err)
	_, err = alpha.Exec(ctx, "sh", "-c", "rm -f /var/lib/salvor/placements/*.snapshot") // every snapshot is due now
	must(t, err)
	<-time.After(s.For)
	must(t, alpha.Reconnect(ctx))
	back := time.Now()
	stopsAll(t, alpha)
	took := lastStopped(t, alpha).Sub(back)
	t.Logf("booted cut off with %d containers for availability; all were stopped %s after the network's return", len(ran), took.Round(time.Second/10))
	if took > 60*time.Second {
		t.Errorf("it took %s", took)
	}
	s.Count("seconds until the last stopped", int(took.Seconds()))
	<-time.After(s.For)
	after, err := oracle.Manifest(w.Remote.Dir)
	must(t, err)
	for _, difference := range oracle.Differences(before, after) {
		t.Errorf("a fenced host changed the remote: %s", difference)
	}
	s.Count("remote files compared", len(after))
	must(t, beta.Thaw(ctx))
	for _, st := range stacks {
		s.Count("rows the cut off host told of before it was stopped", len(acksFrom(collector, st.Name, alpha, back)))
	}
}

// lastStopped is when the last of a host's containers ended.
func lastStopped(t *testing.T, h *lab.Host) (last time.Time) {
	t.Helper()
	for _, text := range strings.Fields(exec(t, h, "docker inspect -f '{{.State.FinishedAt}}' $(docker ps -aq)")) {
		at, err := time.Parse(time.RFC3339Nano, text)
		must(t, err)
		if at.After(last) {
			last = at
		}
	}
	return last
}

// stopsAll waits until no container runs on a host.
func stopsAll(t *testing.T, h *lab.Host) {
	t.Helper()
	eventually(t, h.Name+" stops what it lost", func() error {
		now, err := running(t.Context(), h)
		if err == nil && len(now) > 0 {
			err = fmt.Errorf("%v run", now)
		}
		return err
	})
}

// acksFrom returns the acknowledgements of a stack that one host sent after a
// time.
func acksFrom(collector *oracle.Collector, stack string, h *lab.Host, since time.Time) []oracle.Ack {
	var from []oracle.Ack
	for _, ack := range collector.Acks(stack) {
		if ack.From == h.Address.String() && ack.At.After(since) {
			from = append(from, ack)
		}
	}
	return from
}

// holds checks that a host has an unbroken chain with every row that it
// acknowledged itself after a time.
func holds(t *testing.T, s *scenario.Scenario, collector *oracle.Collector, st world.Stack, h *lab.Host, since time.Time) {
	t.Helper()
	acked := acksFrom(collector, st.Name, h, since)
	eventually(t, st.Name+" answers on "+h.Name, func() error {
		all, err := rows(t.Context(), h, st.Port)
		if err != nil {
			return err
		}
		if _, err := oracle.Verify(all); err != nil {
			t.Errorf("%s on %s: %v", st.Name, h.Name, err)
		}
		for _, ack := range acked {
			if ack.N > len(all) || all[ack.N-1].Hash != ack.Hash {
				t.Errorf("%s on %s: row %d of %d was acknowledged and is lost", st.Name, h.Name, ack.N, len(all))
				break
			}
		}
		s.Count("rows checked", len(all))
		return nil
	})
}

// ownerReboots cuts the owner's power: its stacks run again by themselves, first
// with Git and the remote there, then with both down.
func ownerReboots(t *testing.T, s *scenario.Scenario, w *world.World, beta *lab.Host, collector *oracle.Collector, stacks []world.Stack) {
	t.Helper()
	ctx := t.Context()
	since := time.Now()
	boot := func(what string) {
		before := time.Now()
		must(t, beta.Kill(ctx))
		cut := time.Now()
		must(t, beta.Start(ctx))
		for _, st := range stacks {
			writesAfter(t, collector, st.Name, cut)
			holds(t, s, collector, st, beta, since)
			t.Logf("%s: %s writes again after %s", what, st.Name, collector.LongestGap(st.Name, before.Add(-time.Second)).Round(time.Second/10))
		}
		s.Count("boots of an owner", 1)
	}
	for _, st := range stacks {
		writesAfter(t, collector, st.Name, since)
	}
	boot("owner rebooted")
	must(t, w.Git.Down(ctx))
	must(t, w.Remote.Down(ctx))
	boot("owner rebooted, Git and remote down")
	eventually(t, "the journal tells of the start", func() error { return journalHas(ctx, beta, "unfenced-start", stacks) })
	if status := statusOf(t, w); !strings.Contains(status, "unfenced-start") {
		t.Errorf("status says nothing of an unfenced start:\n%s", status)
	}
	must(t, w.Git.Up(ctx))
	must(t, w.Remote.Up(ctx))
	if status := statusOf(t, w); strings.Contains(status, "unfenced-start") {
		t.Errorf("Git and remote are back, but status says:\n%s", status)
	}
}
