package startup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
)

// stopBeforeReplacing makes sure that no container can write to volumes whose data is about
// to be replaced, whatever Salvor's notes say: the engine is asked. The stack's
// own containers are stopped; another's are a refusal, before anything is
// stopped.
func (s *Start) stopBeforeReplacing(ctx context.Context, volumes []snapshot.Volume) error {
	if len(volumes) == 0 {
		return nil
	}
	seen, err := s.Host.Stacks.Observe(ctx, s.Name)
	if here.NoEngine(err) {
		return nil
	}
	if err == nil {
		err = s.Run.checkUnused(ctx, volumes, s.Name)
	}
	if err != nil {
		return fmt.Errorf("stack %s: %w", s.Name, err)
	}
	if !seen[0].Running() {
		return nil
	}
	err = errors.Join(s.Host.Stacks.CloseGate(ctx, s.Name), s.Host.Stacks.Stop(ctx, s.Name))
	if err == nil {
		err = s.Run.awaitUnused(ctx, volumes)
	}
	return err
}

// freedTries is how often the engine is asked whether a stopped container is
// gone: for a moment after a stop it still lists it as running.
const freedTries = 25

// awaitUnused waits until no container writes to the volumes any more.
func (r *Run) awaitUnused(ctx context.Context, volumes []snapshot.Volume) error {
	var err error
	for range freedTries {
		if err = r.checkUnused(ctx, volumes); err == nil {
			return nil
		}
		if paused := here.Sleep(ctx, here.LockPause); paused != nil {
			return paused
		}
	}
	return err
}

// checkUnused returns an error that names the first running container that can write
// to one of the volumes, those of some stacks left out.
func (r *Run) checkUnused(ctx context.Context, volumes []snapshot.Volume, but ...string) error {
	mounts, err := r.Stacks.Mounts(ctx)
	if err != nil {
		return err
	}
	except := make([]string, len(but))
	for i, name := range but {
		if except[i], err = r.Stacks.ProjectName(ctx, name); err != nil {
			return err
		}
	}
	for _, m := range mounts {
		i := slices.IndexFunc(volumes, func(v snapshot.Volume) bool { return within(m.Source, v.Path) })
		if i < 0 || slices.Contains(except, m.Project) {
			continue
		}
		owner := "container " + m.Container
		if m.Project != "" {
			owner += " of project " + m.Project
		}
		return fault.WithHint(fmt.Errorf("volume %s is in use: %s writes to it", volumes[i].Name, owner), "docker stop "+m.Container+" "+
			"on the host, then run this command again")
	}
	return nil
}

// within reports whether a path is another or is below it.
func within(path, dir string) bool {
	path, dir = resolved(path), resolved(dir)
	return path == dir || strings.HasPrefix(path, dir+"/")
}

func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return filepath.Clean(path)
}

// foreignProject says why a stack's containers are not Salvor's to replace: a project of
// its name runs here that Salvor never started. "" for a stack that may be
// deployed.
func foreignProject(st agentapi.Stack, seen stack.State, local here.Local, decided map[string]snapshot.Decision) string {
	if st.Consent != "" || seen.Deployed || local.Epoch > 0 {
		return ""
	}
	for _, d := range decided {
		if d.Action == snapshot.Ready || d.Action == snapshot.Accept {
			return "" // it is known from its data
		}
	}
	for _, c := range seen.Containers {
		if !stack.Gated(c) && (c.State == "running" || c.State == "paused" || c.State == "restarting") {
			return fmt.Sprintf("a project with that name runs here, but Salvor did not start it (container %s)", c.Name)
		}
	}
	return ""
}

func foreignFix(stack string) string {
	return "salvor apply --adopt " + stack + " takes it over as it runs; --take " + stack + " starts what Git says instead, with the data on this host; or give the stack another name"
}

// refuseForeign is foreign for a stack that is about to be deployed.
func (s *Start) refuseForeign(ctx context.Context, decided map[string]snapshot.Decision) error {
	seen, err := s.Host.Stacks.Observe(ctx, s.Name)
	if here.NoEngine(err) {
		return nil
	}
	if err != nil {
		return err
	}
	local := s.Host.Local(s.Name)
	if why := foreignProject(s.Stack.Stack, seen[0], local, decided); why != "" {
		return fault.WithHint(fmt.Errorf("stack %s is not started: %s", s.Name, why), foreignFix(s.Name))
	}
	return nil
}

// Occupied are the findings of a stack that would start where something is already:
// data of unknown origin, or another project's containers.
func Occupied(host string, st agentapi.Stack, seen stack.State, local here.Local, decided map[string]snapshot.Decision) []finding.Finding {
	var found []finding.Finding
	add := func(subject, text, fix string) {
		found = append(found, finding.Finding{Code: finding.VolumeOccupied, Severity: finding.Fatal, Subject: subject, Text: text, Fix: fix})
	}
	if why := foreignProject(st, seen, local, decided); why != "" {
		add(host+"/"+st.Name, why, foreignFix(st.Name)) // its volumes are why, too: the data is that project's
		return found
	}
	for _, v := range st.Volumes {
		if d := decided[v.Name]; d.Occupied {
			add(host+"/"+st.Name+"/"+v.Name, d.Reason, d.Hint)
		}
	}
	return found
}
