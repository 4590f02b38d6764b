package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
)

// A stack's hooks run around each of its snapshots. What is to run after one is written to State/hooks/<stack>.json
// before the first hook runs, and the file is removed once it has run: what a killed snapshot owes, the daemon
// runs, also after a boot.
type owedHooks struct {
	Schema int          `json:"schema"`
	Stack  string       `json:"stack"`
	Tries  int          `json:"tries,omitempty"` // by RunOwed
	After  []fleet.Hook `json:"after"`
}

// owedTries is how often hooks that a killed snapshot owes are tried: their services may start late.
const owedTries = 20

// A hooked is a stack between its hooks before and after a snapshot.
type hooked struct {
	engine Engine
	job    Job
	owes   bool
	found  []finding.Finding
}

// begin runs the hooks before a snapshot. Where one fails there is a fatal finding, and those after it have run.
func (e Engine) begin(ctx context.Context, j Job) (*hooked, error) {
	h := &hooked{engine: e, job: j}
	if j.Hooks.None() {
		return h, nil
	}
	if j.Runner == nil {
		return h, errors.New("there is nothing to run hooks with")
	}
	if err := e.owe(owedHooks{Schema: fleet.Schema, Stack: j.Stack, After: j.Hooks.After}); err != nil {
		return h, err
	}
	h.owes = true
	for _, hook := range j.Hooks.Before {
		if err := h.run(ctx, hook); err != nil {
			f := hookFailed(j.Stack, hook, err)
			f.Severity = finding.Fatal
			f.Text += "; no snapshot was taken"
			h.found = append(h.found, f)
			break
		}
	}
	if finding.AnyFatal(h.found) || ctx.Err() != nil {
		return h, errors.Join(context.Cause(ctx), h.end(ctx))
	}
	return h, nil
}

// end runs the hooks after a snapshot, also where that was given up. It may be called twice.
func (h *hooked) end(ctx context.Context) error {
	if !h.owes {
		return nil
	}
	h.owes = false
	for _, hook := range h.job.Hooks.After {
		if err := h.run(context.WithoutCancel(ctx), hook); err != nil {
			h.found = append(h.found, hookFailed(h.job.Stack, hook, err))
		}
	}
	return h.engine.settled(h.job.Stack)
}

func (h *hooked) run(ctx context.Context, hook fleet.Hook) error {
	end := h.engine.scope(h.job.Stack).Step("hook in "+hook.Service, "")
	err := runHook(ctx, h.job.Runner, hook)
	end(err, "")
	return err
}

// runHook runs a hook within its limit. What it prints is dropped, but for the end of its standard error.
func runHook(ctx context.Context, r Runner, hook fleet.Hook) error {
	late := fmt.Errorf("it took longer than its limit of %s", hook.Limit)
	within, cancel := context.WithTimeoutCause(ctx, hook.Limit, late)
	defer cancel()
	err := r.Exec(within, Command{Service: hook.Service, User: hook.User, Argv: hook.Command, Stdout: io.Discard})
	return withCause(within, err)
}

func hookFailed(stack string, hook fleet.Hook, err error) finding.Finding {
	return finding.Finding{
		Code: finding.SnapshotHook, Severity: finding.Warning, Subject: stack + "/" + hook.Service,
		Text: fmt.Sprintf("the hook %q of its snapshots failed: %v", strings.Join(hook.Command, " "), err),
		Fix:  fmt.Sprintf("salvor exec %s %s … runs it by hand; a longer limit: x-salvor.hooks; then salvor snapshot take %[1]s", stack, hook.Service),
	}
}

func owedPath(d hostpath.Layout, stack string) string {
	return filepath.Join(d.State, hostpath.Hooks, stack+".json")
}

func (e Engine) owe(o owedHooks) error {
	if len(o.After) == 0 {
		return nil
	}
	if _, err := e.dir(hostpath.Hooks); err != nil {
		return err
	}
	content, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return atomicfile.Write(owedPath(e.Dirs, o.Stack), bytes.NewReader(content), 0o600)
}

// settled forgets what is owed.
func (e Engine) settled(stack string) error {
	err := os.Remove(owedPath(e.Dirs, stack))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// OwedHooks returns the stacks whose snapshot was killed before its hooks had run, by name, and those that
// are between their hooks now.
func OwedHooks(d hostpath.Layout) ([]string, error) {
	paths, err := filepath.Glob(owedPath(d, "*"))
	var stacks []string
	for _, p := range paths {
		stacks = append(stacks, strings.TrimSuffix(filepath.Base(p), ".json"))
	}
	return stacks, err
}

// RunOwed runs the hooks that a killed snapshot owes. The caller holds the stack's lock, and something of the stack
// runs. What fails is tried again by the next call; once it is given up, findings say so.
func (e Engine) RunOwed(ctx context.Context, stack string, r Runner) ([]finding.Finding, error) {
	content, err := os.ReadFile(owedPath(e.Dirs, stack))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var owed owedHooks
	if err == nil {
		err = json.Unmarshal(content, &owed)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hooks that a snapshot of %s owes: %w", stack, err), e.settled(stack))
	}
	var found []finding.Finding
	var left []fleet.Hook
	for _, hook := range owed.After {
		if err := runHook(ctx, r, hook); err != nil {
			found, left = append(found, hookFailed(stack, hook, err)), append(left, hook)
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	owed.Tries++
	if owed.After = left; len(left) > 0 && owed.Tries < owedTries {
		return nil, e.owe(owed)
	}
	return found, e.settled(stack)
}
