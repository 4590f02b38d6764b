package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"salvor/internal/docker"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/project"
)

// A Deployment is what a stack should be on this host.
type Deployment struct {
	Stack      string
	Epoch      int
	Commit     string
	Project    project.Project
	Images     map[string]string // from the lock: service to reference with digest
	Logins     map[string]Login  // by registry
	NoRestore  bool              // a version that fails is left as it is: its data goes back first, see RestorePrevious
	ByHand     []string          // services that were stopped by hand: they need not run
	EnvChanged bool              // the .env changed: Compose must look again at what it interpolates
	Settle     time.Duration     // how long a container without a health check must run; 3 s by default
	Patience   time.Duration     // how long health may take; 10 min by default
}

// Result is what a deploy did.
type Result struct {
	Untouched  bool              // nothing differed, nothing was called
	Images     map[string]string // service to reference with digest; none for built images
	Containers map[string]string // of long-running services: name to id
	Recreated  []string          // services whose containers are new, sorted
}

// A FailedError is a deploy that did not become healthy.
type FailedError struct {
	Stack    string
	Service  string // "" when it is none in particular
	Reason   string
	Logs     []string // the service's last lines, at most 20
	Restored bool     // the previous version runs again
	Restore  error    // why it does not
}

// Error is one line; the log lines are for the caller that prints it.
func (e *FailedError) Error() string {
	text := "deploy " + e.Stack + ": "
	if e.Service != "" {
		text += "service " + e.Service + ": "
	}
	text += e.Reason
	switch {
	case e.Restored:
		text += "; the previous version runs again"
	case e.Restore != nil:
		text += "; the previous version could not be restored: " + e.Restore.Error()
	}
	return text
}

// Deploy makes a stack what d says and returns when it is healthy. When that fails,
// the previous version is restored and a *FailedError says why. A stack that is as it
// should be is not touched. Gate, secrets and networks must be there. Interrupted at
// any point, the next Deploy continues.
func (h *Host) Deploy(ctx context.Context, d Deployment, sink progress.Sink) (Result, error) {
	scope := progress.Scope{Sink: sink, Stack: d.Stack}
	if err := Named(h, d.Stack).Call(ctx, d.Project); err != nil {
		return Result{}, err
	}
	before, err := h.containers(ctx, d.Stack)
	if err != nil {
		return Result{}, err
	}
	record, known, err := h.Deployed(ctx, d.Stack)
	if err != nil {
		return Result{}, err
	}
	if known && !d.EnvChanged && record.Covers(d) && record.runs(before) {
		return h.untouched(ctx, d, record, before)
	}
	d.Images = record.pins(d)
	images, cleanup, err := h.prepare(ctx, d, scope)
	if err != nil {
		return Result{}, errors.Join(err, cleanup(context.WithoutCancel(ctx)))
	}
	last, hasLast, err := h.lastGood(ctx, d.Stack)
	if err == nil {
		err = h.bringUp(ctx, d, images, scope)
	}
	if failed := (*FailedError)(nil); errors.As(err, &failed) && hasLast && !d.NoRestore && ctx.Err() == nil {
		failed.Restore = h.restorePrevious(ctx, d, last, builtOf(before), scope)
		failed.Restored = failed.Restore == nil
	}
	if err == nil {
		err = h.finish(ctx, d, images, last.Project)
	}
	if err = errors.Join(err, cleanup(context.WithoutCancel(ctx))); err != nil {
		return Result{}, err
	}
	after, err := h.containers(ctx, d.Stack)
	return result(images, before, after), err
}

// prepare checks and fetches everything that can fail without touching what
// runs: the rendered project is staged in a folder of its own.
func (h *Host) prepare(ctx context.Context, d Deployment, scope progress.Scope) (map[string]string, func(context.Context) error, error) {
	nothing := func(context.Context) error { return nil }
	staged := d.Project
	staged.Dir = path.Join(hostpath.Default().Project(d.Stack), "next")
	logout, err := h.login(ctx, d.Stack, d.Logins)
	if err != nil {
		return nil, nothing, err
	}
	cleanup := func(ctx context.Context) error {
		return errors.Join(logout(ctx), h.run(ctx, "rm", "-rf", "--", staged.Dir))
	}
	if err := h.write(ctx, d.Stack, staged, d.Images); err != nil {
		return nil, cleanup, err
	}
	c := call{stack: d.Stack, dir: staged.Dir, login: len(d.Logins) > 0}
	if err := h.validate(ctx, c); err != nil {
		return nil, cleanup, fault.WithHint(err, "salvor check")
	}
	images, err := h.fetch(ctx, d, c, scope)
	return images, cleanup, err
}

// bringUp replaces the project's files and has Compose make it so. Containers of
// services that Git no longer has are removed: left alone they would keep writing to
// volumes that are no longer protected. Volumes are never removed.
func (h *Host) bringUp(ctx context.Context, d Deployment, images map[string]string, scope progress.Scope) error {
	if err := h.write(ctx, d.Stack, d.Project, images); err != nil {
		return err
	}
	if err := h.ensureVolumes(ctx, d.Project.Volumes); err != nil {
		return err
	}
	c := call{stack: d.Stack, dir: d.Project.Dir, login: len(d.Logins) > 0}
	return h.up(ctx, d, c.with("up", "--detach", "--no-build", "--pull", "missing", "--remove-orphans", "--quiet-pull"), scope)
}

// up has Compose start services and returns when they are healthy.
func (h *Host) up(ctx context.Context, d Deployment, c call, scope progress.Scope) error {
	done := scope.Step("start services", "")
	err := h.unpauseAll(ctx, d.Stack)
	if err == nil {
		err = h.awaitChecks(ctx, d, scope)
	}
	if err == nil {
		err = h.compose(ctx, c)
		if err != nil && ctx.Err() == nil {
			err = h.failure(ctx, d.Stack, err.Error())
		}
	}
	if err == nil {
		err = h.waitHealthy(ctx, d)
	}
	done(err, docker.Healthy)
	return err
}

// Fetch makes the images of a deployment available, and returns the exact
// references to run. Nothing that runs is touched.
func (h *Host) Fetch(ctx context.Context, d Deployment, sink progress.Sink) (map[string]string, error) {
	record, _, err := h.Deployed(ctx, d.Stack)
	if err != nil {
		return nil, err
	}
	d.Images = record.pins(d)
	images, cleanup, err := h.prepare(ctx, d, progress.Scope{Sink: sink, Stack: d.Stack})
	return images, errors.Join(err, cleanup(context.WithoutCancel(ctx)))
}

// Built returns the images of a stack's containers by service: what RestorePrevious needs
// for those that were built on the host.
func (h *Host) Built(ctx context.Context, stack string) (map[string]string, error) {
	containers, err := h.containers(ctx, stack)
	return builtOf(containers), err
}

func builtOf(containers []docker.Container) map[string]string {
	images := map[string]string{}
	for _, c := range containers {
		if !c.OneOff {
			images[c.Service] = c.ImageID
		}
	}
	return images
}

// RestorePrevious deploys in place of d, which failed, the version that became healthy
// before it. The gate must be open. It may be called again.
func (h *Host) RestorePrevious(ctx context.Context, d Deployment, built map[string]string, sink progress.Sink) error {
	last, ok, err := h.lastGood(ctx, d.Stack)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("stack %s has no previous version", d.Stack)
	}
	return h.restorePrevious(ctx, d, last, built, progress.Scope{Sink: sink, Stack: d.Stack})
}

func (h *Host) restorePrevious(ctx context.Context, d Deployment, last pinnedProject, built map[string]string, scope progress.Scope) error {
	done := scope.Step("restore previous version", "")
	previous := d
	previous.Project = last.Project
	err := h.restoreImageNames(ctx, previous, built)
	if err == nil {
		err = h.bringUp(ctx, previous, last.Images, scope)
	}
	if err == nil {
		err = h.removeOldFiles(ctx, d.Project, last.Project)
	}
	done(err, "")
	return err
}

// restoreImageNames tags the images built for the previous version as before.
func (h *Host) restoreImageNames(ctx context.Context, d Deployment, built map[string]string) error {
	for _, s := range d.Project.Services {
		image := built[s.Name]
		if !s.Build || image == "" {
			continue
		}
		if err := h.docker(ctx, "tag", image, cmp.Or(s.Image, d.Project.Called(d.Stack)+"-"+s.Name)); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) finish(ctx context.Context, d Deployment, images map[string]string, before project.Project) error {
	containers, err := h.containers(ctx, d.Stack)
	if err != nil {
		return err
	}
	r := Record{Schema: fleet.Schema, Hash: d.Project.Hash, Epoch: d.Epoch, Commit: d.Commit, At: time.Now().UTC(), Dir: d.Project.Dir, Images: images, Services: expected(d.Project, containers)}
	if err := h.writeRecord(ctx, d.Stack, pinnedProject{Project: d.Project, Images: images}, r); err != nil {
		return err
	}
	return h.removeOldFiles(ctx, before, d.Project)
}

// untouched records a new commit or epoch for containers that keep running as they are.
func (h *Host) untouched(ctx context.Context, d Deployment, r Record, containers []docker.Container) (Result, error) {
	if r.Epoch != d.Epoch || r.Commit != d.Commit {
		r.Epoch, r.Commit = d.Epoch, d.Commit
		if err := h.writeJSON(ctx, path.Join(hostpath.Default().Project(d.Stack), recordFile), r); err != nil {
			return Result{}, err
		}
	}
	res := result(r.Images, containers, containers)
	res.Untouched = true
	return res, nil
}

func result(images map[string]string, before, after []docker.Container) Result {
	res := Result{Images: maps.Clone(images), Containers: map[string]string{}}
	fresh := map[string]bool{}
	for _, c := range after {
		if c.OneOff {
			continue
		}
		res.Containers[c.Name] = c.ID
		if !slices.ContainsFunc(before, func(b docker.Container) bool { return b.ID == c.ID }) {
			fresh[c.Service] = true
		}
	}
	res.Recreated = slices.Sorted(maps.Keys(fresh))
	return res
}

func (c call) with(args ...string) call { c.args = args; return c }

// failure finds the service that is to blame and what it said last.
func (h *Host) failure(ctx context.Context, stack, reason string) error {
	failed := &FailedError{Stack: stack, Reason: reason}
	containers, err := h.containers(ctx, stack)
	if err != nil {
		return errors.Join(failed, err)
	}
	// one that was never started waits for another, unless it is the only one
	waits := func(c docker.Container) bool { return c.State == "created" }
	containers = append(slices.DeleteFunc(slices.Clone(containers), waits), slices.DeleteFunc(containers, func(c docker.Container) bool { return !waits(c) })...)
	for _, c := range containers {
		if why := problemOf(c); why != "" {
			failed.Service, failed.Reason = c.Service, why+" ("+reason+")"
			break
		}
	}
	return h.withLogs(ctx, failed)
}

// portTaken is the hint for a port that another container has, or none, where
// FreePorts could not know: containers ran already, or Docker uses no proxy.
const portTaken = "run docker ps on the host to see which container uses the port; if none does, Docker still holds it " +
	"after a power cut: systemctl restart docker, then run this command again"

// withLogs adds a service's last log lines and the next command.
func (h *Host) withLogs(ctx context.Context, failed *FailedError) error {
	hint := "salvor logs " + failed.Stack
	if failed.Service != "" {
		hint += " " + failed.Service
		if lines, err := h.tail(ctx, failed.Stack, failed.Service, 20); err == nil {
			failed.Logs = lines
		}
	}
	if strings.Contains(failed.Reason, "port is already allocated") {
		hint = portTaken
	}
	return fault.WithHint(failed, hint)
}
