package wayin

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"salvor/internal/converge"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/machine/observe"
	"salvor/internal/progress"
)

// Within is how long a change counts without being confirmed.
const Within = 45 * time.Second

// ErrUndone means that a change that is to be confirmed was taken back before.
var ErrUndone = errors.New("the change was taken back before it was confirmed")

// A note is a change that is armed: what there was before it. While it is there, the change is not confirmed.
type note struct {
	Schema  int         `json:"schema"`
	ID      string      `json:"id"`
	At      time.Time   `json:"at"`
	Changes []string    `json:"changes"`
	Files   []savedFile `json:"files,omitempty"`
	SSH     bool        `json:"ssh,omitempty"`      // sshd is to read its files again
	Table   bool        `json:"firewall,omitempty"` // Ruleset is to be in force again
	Ruleset []byte      `json:"ruleset,omitempty"`  // as nft -j has it, none where there was no table
}

// A savedFile is a file as it was. Content is nil for one that was not there.
type savedFile struct {
	Path    string      `json:"path"`
	Exists  bool        `json:"exists"`
	Mode    fs.FileMode `json:"mode"`
	Content []byte      `json:"content,omitempty"`
}

func notePath() string { return in("way-in.json") }

// read returns the note of a change that is armed, nil for none. A note that is damaged is an error.
func read(ctx context.Context, m machine.Machine) (*note, error) {
	content, err := m.ReadFile(ctx, notePath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var n note
	if err := json.Unmarshal(content, &n); err != nil {
		return nil, fmt.Errorf("%s: %w", notePath(), err)
	}
	if n.Schema != fleet.Schema {
		return nil, fmt.Errorf("%s has schema %d, want %d", notePath(), n.Schema, fleet.Schema)
	}
	return &n, nil
}

func (n *note) what() string { return strings.Join(n.Changes, "; ") }

// A Made is a change that was made. ID confirms it; "" where nothing changed that has to be confirmed.
type Made struct {
	Changes []converge.Change
	ID      string
}

// Change makes the way in as s says. A change that others have not confirmed is taken back first. What fails is
// taken back at once; otherwise Confirm has to be called within Within, or the host takes it back.
func Change(ctx context.Context, m machine.Machine, s Spec, scope progress.Scope) (Made, error) {
	if _, err := Undo(ctx, m, ""); err != nil {
		return Made{}, err
	}
	needed, err := apply(ctx, m, scope, s.needs())
	made := Made{Changes: needed}
	if err != nil {
		return made, err
	}
	plan, err := converge.NewPlan(ctx, m, s.guarded())
	if err != nil || plan.Empty() {
		return made, err
	}
	if err := s.check(ctx, m); err != nil {
		return made, err
	}
	n, err := arm(ctx, m, s, plan.Changes)
	if err != nil {
		return made, err
	}
	outcomes, err := applyWithin(ctx, plan, scope)
	if err != nil {
		_, back := Undo(context.WithoutCancel(ctx), m, n.ID)
		return made, errors.Join(err, back)
	}
	made.ID = n.ID
	for _, o := range outcomes {
		made.Changes = append(made.Changes, o.Change)
	}
	return made, nil
}

// check refuses what would lock out, before anything is changed.
func (s Spec) check(ctx context.Context, m machine.Machine) error {
	if s.has(fleet.AreaSSH) {
		return sshd{user: s.User}.check(ctx, m)
	}
	now, err := ask(ctx, m)
	if err != nil || now == nil {
		return err
	}
	return checkPorts(ctx, m, now) // where the firewall lets SSH in
}

// applyWithin ends well before the timer does, so that nothing is changed after the timer took it back.
func applyWithin(ctx context.Context, plan *converge.Plan, scope progress.Scope) ([]converge.Outcome, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, Within/2, fmt.Errorf("no end after %s", Within/2))
	defer cancel()
	return plan.Apply(ctx, scope)
}

func apply(ctx context.Context, m machine.Machine, scope progress.Scope, all []converge.Resource) ([]converge.Change, error) {
	plan, err := converge.NewPlan(ctx, m, all)
	if err != nil {
		return nil, err
	}
	_, err = plan.Apply(ctx, scope)
	return plan.Changes, err
}

// arm notes what there is, and starts the timer that brings it back.
func arm(ctx context.Context, m machine.Machine, s Spec, changes []converge.Change) (*note, error) {
	n := &note{Schema: fleet.Schema, ID: rand.Text(), At: time.Now().UTC(), SSH: s.has(fleet.AreaSSH), Table: s.has(fleet.AreaFirewall)}
	for _, c := range changes {
		n.Changes = append(n.Changes, c.ID+": "+c.Cause)
	}
	var paths []string
	if n.SSH {
		paths = append(paths, DropIn)
	}
	if n.Table {
		paths = append(paths, rulesFile())
		live, err := listed(ctx, m)
		if err != nil {
			return nil, err
		}
		n.Ruleset = live
	}
	for _, path := range paths {
		f, err := save(ctx, m, path)
		if err != nil {
			return nil, err
		}
		n.Files = append(n.Files, f)
	}
	content, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	if err := m.WriteFile(ctx, notePath(), bytes.NewReader(content), 0o600); err != nil {
		return nil, err
	}
	return n, systemctl(ctx, m, "restart", undoTimer)
}

func save(ctx context.Context, m machine.Machine, path string) (savedFile, error) {
	f := savedFile{Path: path}
	is, err := observe.New(m).File(ctx, path)
	if err != nil || !is.Exists {
		return f, err
	}
	f.Exists, f.Mode = true, is.Mode.Perm()
	f.Content, err = m.ReadFile(ctx, path)
	return f, err
}

// Confirm ends the wait for a change: it stays. ErrUndone where it has been taken back.
func Confirm(ctx context.Context, m machine.Machine, id string) error {
	n, err := read(ctx, m)
	if err != nil {
		return err
	}
	if n == nil || n.ID != id {
		return fault.WithHint(ErrUndone, fmt.Sprintf("a host waits %s; run salvor apply again", Within))
	}
	return forget(ctx, m)
}

// forget removes the note, after which the timer has nothing to do, and then stops it.
func forget(ctx context.Context, m machine.Machine) error {
	if err := remove(ctx, m, notePath()); err != nil {
		return err
	}
	return systemctl(ctx, m, "stop", undoTimer)
}

// Undo takes back a change that is armed, by its id; "" is any. It returns what was taken back, "" for nothing.
// It may be called again after it failed: the note goes last.
func Undo(ctx context.Context, m machine.Machine, id string) (what string, err error) {
	n, err := read(ctx, m)
	if err != nil || n == nil || id != "" && n.ID != id {
		return "", err
	}
	var errs []error
	for _, f := range n.Files {
		errs = append(errs, f.bringBack(ctx, m))
	}
	if n.Table {
		errs = append(errs, restore(ctx, m, n.Ruleset))
	}
	if n.SSH {
		errs = append(errs, reload(ctx, m))
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	return n.what(), forget(ctx, m)
}

func (f savedFile) bringBack(ctx context.Context, m machine.Machine) error {
	if !f.Exists {
		return remove(ctx, m, f.Path)
	}
	return m.WriteFile(ctx, f.Path, bytes.NewReader(f.Content), f.Mode)
}

func remove(ctx context.Context, m machine.Machine, path string) error {
	_, err := m.Run(ctx, machine.Cmd{Argv: []string{"rm", "-f", "--", path}, Timeout: quick})
	return err
}

func systemctl(ctx context.Context, m machine.Machine, args ...string) error {
	_, err := m.Run(ctx, machine.Cmd{Argv: append([]string{"systemctl", "--quiet"}, args...), Timeout: quick})
	return err
}
