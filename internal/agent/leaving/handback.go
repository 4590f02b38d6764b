// Package leaving gives a host's stacks back to its user, and removes Salvor from the host.
package leaving

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"salvor/internal/agent/here"
	"salvor/internal/agent/publishing"
	"salvor/internal/agentapi"
	"salvor/internal/delivery"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hold"
	"salvor/internal/journal"
	"salvor/internal/memdir"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
)

// Host is a host that is given back.
type Host struct{ *here.Host }

// HandBackPlan says how stacks are given back to the host's user. Nothing is written.
func (h Host) HandBackPlan(ctx context.Context, req agentapi.HandBack, _ progress.Sink) (agentapi.HandedBack, error) {
	var answer agentapi.HandedBack
	for _, asked := range req.Stacks {
		plain, _, err := h.plain(ctx, asked)
		if err != nil {
			return answer, err
		}
		answer.Stacks = append(answer.Stacks, plain)
	}
	return answer, nil
}

// HandBack gives stacks back to the host's user: each runs on without Salvor, and the host
// forgets it. It may be called again.
func (h Host) HandBack(ctx context.Context, req agentapi.HandBack, sink progress.Sink) (agentapi.HandedBack, error) {
	var answer agentapi.HandedBack
	lock, err := h.Lock(ctx, req.Owner, req.Message, sink)
	if err != nil {
		return answer, err
	}
	defer lock.Release()
	for _, asked := range req.Stacks {
		plain, err := h.handBack(ctx, req, asked, sink)
		if err != nil {
			return answer, err
		}
		answer.Stacks = append(answer.Stacks, plain)
	}
	return answer, nil
}

func (h Host) handBack(ctx context.Context, req agentapi.HandBack, asked agentapi.HandBackStack, sink progress.Sink) (agentapi.PlainStack, error) {
	lock, err := here.LockAlone(ctx, h.Host, asked.Name, req.Owner, req.Message)
	if err != nil {
		return agentapi.PlainStack{}, err
	}
	defer lock.Release()
	plain, how, err := h.plain(ctx, asked)
	if err != nil {
		return plain, err
	}
	if !plain.Gone {
		if err := stack.Named(h.Stacks, asked.Name).GiveBack(ctx, how, sink); err != nil {
			return plain, fmt.Errorf("%s: %w", asked.Name, err)
		}
		hold.At(ctx, "hand-back-plain")
		h.Enter(journal.Entry{Kind: "hand-back", Stack: asked.Name, Owner: req.Owner, Text: req.Message})
	}
	return plain, h.forget(ctx, asked.Name)
}

// plain says how one stack is given back, also for people.
func (h Host) plain(ctx context.Context, asked agentapi.HandBackStack) (agentapi.PlainStack, stack.HandBack, error) {
	answer := agentapi.PlainStack{Name: asked.Name}
	s, err := h.toGiveBack(asked)
	if err != nil || s == nil {
		answer.Gone = err == nil
		return answer, stack.HandBack{}, err
	}
	root, err := here.Private(h.Host)
	if err != nil {
		return answer, stack.HandBack{}, err
	}
	defer memdir.Remove(root) //nolint:errcheck // it is in memory, and /run is cleared at a boot
	d := s.Deployment()
	d.ByHand = h.Host.ByHand(s.Name).Services()
	if s.Access.File, err = s.WithTailnet(ctx); err != nil {
		return answer, stack.HandBack{}, err
	}
	how, err := stack.Named(h.Stacks, s.Name).HandBackOf(ctx, stack.Asked{
		Deployment: d, Adopt: asked.Adopt, Stopped: s.Stopped, Private: root,
		Secrets: stack.PlainSecrets{Env: s.Variables(), Files: s.Access.File.Secrets},
	})
	if err != nil {
		return answer, how, err
	}
	answer.Stopped, answer.Folder, answer.Up, answer.Secrets, answer.Recreates = s.Stopped, how.Dir, how.Up, how.Secrets(), how.Services()
	answer.Replaces, err = stack.Named(h.Stacks, s.Name).Replaces(ctx, how.Plain)
	for _, file := range answer.Replaces {
		if slices.Contains(answer.Secrets, file) {
			answer.Secrets = append(answer.Secrets, stack.Before(file))
		}
	}
	for _, v := range s.Volumes {
		if at := h.VolumePath(v); v.Docker == "" && fleet.Within(h.Paths.VolumesFolder(), at) {
			answer.Data = append(answer.Data, at)
		}
	}
	return answer, how, err
}

// toGiveBack returns a stack of this host, opened, nil for one that the host has forgotten.
func (h Host) toGiveBack(asked agentapi.HandBackStack) (*here.Stack, error) {
	spec, err := h.ReadSpec()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(spec.Stacks, func(st agentapi.Stack) bool { return st.Name == asked.Name })
	if i < 0 {
		return nil, nil
	}
	s := h.At(spec, spec.Stacks[i])
	local := h.Local(s.Name)
	switch {
	case s.Epoch != asked.Epoch:
		return nil, fault.WithHint(fmt.Errorf("stack %s is here at epoch %d, not %d", s.Name, s.Epoch, asked.Epoch), "salvor apply")
	case local.Lost:
		return nil, fault.WithHint(fmt.Errorf("stack %s was taken over by another host", s.Name), "salvor status "+s.Name)
	case local.ReleasedAt(s.Epoch):
		return nil, fault.WithHint(fmt.Errorf("stack %s was handed over for a move that did not finish", s.Name), "run the move again, or salvor apply to start it here")
	case s.Shared != nil:
		return nil, fault.WithHint(fmt.Errorf("stack %s has shared volumes, which Salvor mounts", s.Name), "copy their files into volumes of its own, remove protect: shared, then salvor apply")
	case s.Attempt().InProgress():
		return nil, fault.WithHint(fmt.Errorf("stack %s is between two versions", s.Name), "salvor apply finishes that")
	}
	return s.Open()
}

// forget removes what the host knows of a stack that is its user's now: first that it is
// to run it, so that nothing of Salvor touches it from then on. Its data stays.
func (h Host) forget(ctx context.Context, name string) error {
	spec, err := h.ReadSpec()
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(slices.Clone(spec.Stacks), func(st agentapi.Stack) bool { return st.Name == name })
	if len(kept) < len(spec.Stacks) {
		spec.Stacks = kept
		if err := h.SaveSpec(spec); err != nil {
			return err
		}
		publishing.Withdraw(ctx, h.Host) // while the stack is known to be this host's
	}
	hold.At(ctx, "hand-back-unasked")
	p := h.Paths
	for _, path := range []string{
		p.Placement(name), p.Attempt(name), p.Wish(name), p.Unfinished(name), p.ByHand(name), p.Waiting(name), p.Paused(name),
		p.Gate(name), p.Login(name), filepath.Dir(p.Loads(name)), filepath.Dir(p.Fetched(name)), p.StagingNextToVolumes(name),
	} {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	hold.At(ctx, "hand-back-notes")
	err = errors.Join(delivery.Remove(p.Secrets(), name), removeMarkers(filepath.Join(p.VolumesFolder(), name)))
	hold.At(ctx, "hand-back-markers")
	return errors.Join(err, stack.Named(h.Stacks, name).Forget(ctx))
}

// removeMarkers removes the notes about volumes next to them, and a folder that has nothing
// else.
func removeMarkers(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		file := filepath.Join(dir, e.Name())
		if e.Type().IsRegular() && snapshot.IsMarker(file) {
			err = errors.Join(err, os.Remove(file))
		}
	}
	if err == nil {
		_ = os.Remove(dir) // one with data stays
	}
	return err
}
