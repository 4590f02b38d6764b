package tunnel

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/delivery"
	"salvor/internal/docker"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/stack"
)

const (
	takeOver = 15 * time.Second       // how long one call waits for the second connector
	askEvery = 200 * time.Millisecond // meanwhile
	again    = 10 * time.Minute       // until an update that failed is tried again
)

// A failure is an update that failed.
type failure struct {
	to  slot
	at  time.Time
	err error
}

// serve has connectors run as they are wanted.
func (t *Tunnel) serve(ctx context.Context, s Settings, k kept) error {
	k.Slots = t.wanted(s, k)
	if err := t.save(k); err != nil {
		return err
	}
	if err := t.host.Stacks.EnsureNetworks(ctx, []fleet.Network{s.Network}); err != nil {
		return err
	}
	if err := t.run(ctx, k); err != nil || len(t.current().Slots) < 2 {
		return err
	}
	return t.replace(ctx)
}

// wanted returns the connectors that are to run now: the one that runs, and the one that
// takes over from it if it is another.
func (t *Tunnel) wanted(s Settings, k kept) []slot {
	as := func(name string) slot { return newSlot(name, s, k, t.host.Paths.Secrets()) }
	if len(k.Slots) == 0 {
		return []slot{as(slotA)}
	}
	first := k.Slots[0]
	if first.is(as(first.Name)) {
		t.note(func() { t.update = failure{} })
		return k.Slots[:1]
	}
	second := as(otherSlot(first.Name))
	if len(k.Slots) > 1 && k.Slots[1].is(second) {
		return k.Slots[:2]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.update.to.is(second) && t.time().Sub(t.update.at) < again {
		return k.Slots[:1]
	}
	return []slot{first, second}
}

// run delivers the token and has the connectors of k run. Where the second one fails, the
// first one runs on, and the update is tried again later.
func (t *Tunnel) run(ctx context.Context, k kept) error {
	err := t.deploy(ctx, &k)
	if err == nil {
		return t.save(k)
	}
	if len(k.Slots) < 2 || ctx.Err() != nil {
		return err
	}
	t.note(func() { t.update = failure{k.Slots[1], t.time(), err} })
	t.host.Trouble("tunnel", err)
	k.Slots = k.Slots[:1]
	return errors.Join(t.save(k), t.deploy(ctx, &k))
}

// deploy has exactly the connectors of k run, and notes their images.
func (t *Tunnel) deploy(ctx context.Context, k *kept) error {
	k.Slots = slices.Clone(k.Slots)
	p := compose(hostpath.Default().Project(Project), k.Slots)
	root := t.host.Paths.Secrets()
	if _, err := t.host.Mount(string(root)); err != nil {
		return err
	}
	file := agentapi.SealedFile{Secrets: map[string][]byte{tokenFile: k.Token}}
	if _, err := delivery.Deliver(root, delivery.Secrets{Stack: Project, Mounts: p.Secrets, Sealed: file}); err != nil {
		return err
	}
	left, err := t.left(ctx, k.Slots)
	if err != nil {
		return err
	}
	d := stack.Deployment{Stack: Project, Project: p, Images: pins(k.Slots), EnvChanged: left}
	res, err := t.host.Stacks.Deploy(ctx, d, progress.Discard())
	if err != nil {
		return err
	}
	for i, s := range k.Slots {
		if ref := res.Images[s.Name]; ref != "" {
			k.Slots[i].Image = ref
		}
	}
	return nil
}

// left reports whether a connector is there that is none of the slots', as after an update that
// was interrupted and then taken back. A deploy that looks again removes it.
func (t *Tunnel) left(ctx context.Context, slots []slot) (bool, error) {
	seen, err := t.host.Stacks.Observe(ctx, Project)
	if err != nil {
		return false, err
	}
	other := func(c docker.Container) bool {
		return !slices.ContainsFunc(slots, func(s slot) bool { return s.Name == c.Service })
	}
	return slices.ContainsFunc(seen[0].Containers, other), nil
}

// replace stops the first connector once the second one can do what it does. Both serve
// until then, so it does not wait long.
func (t *Tunnel) replace(ctx context.Context) error {
	end := time.Now().Add(t.takeOver)
	for !t.takesOver(ctx) {
		if !time.Now().Before(end) {
			return nil
		}
		if err := here.Sleep(ctx, askEvery); err != nil {
			return err
		}
	}
	k := t.current()
	k.Slots = k.Slots[1:]
	if err := t.save(k); err != nil {
		return err
	}
	t.note(func() { t.update = failure{} })
	return t.run(ctx, k)
}

// takesOver reports whether the second connector can do what the first one does. One of another
// tunnel can once the hostnames lead there.
func (t *Tunnel) takesOver(ctx context.Context) bool {
	k := t.current()
	states, err := t.ask(ctx, k.Slots)
	if err != nil || !states[1].ready {
		return false
	}
	if k.Slots[0].Tunnel == k.Slots[1].Tunnel {
		return !states[0].ready || states[1].version >= states[0].version
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return !states[0].ready || t.moved == k.Slots[1].Tunnel
}

// forget stops the connectors, and removes the token from memory and from the disk.
func (t *Tunnel) forget(ctx context.Context) error {
	there, err := t.left(ctx, nil)
	if err != nil {
		return err
	}
	if there {
		if err := t.host.Stacks.Down(ctx, Project); err != nil {
			return err
		}
	}
	root := t.host.Paths.Secrets()
	if err := delivery.Remove(root, Project); err != nil {
		return err
	}
	if err := os.Remove(t.file()); err != nil && !os.IsNotExist(err) {
		return err
	}
	t.note(func() {
		t.now, t.looked, t.silent, t.moved, t.update, t.fault = kept{}, time.Time{}, time.Time{}, "", failure{}, nil
	})
	return nil
}

func (t *Tunnel) current() kept {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now
}
