package agenttest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/delivery"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/record"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
	"salvor/internal/stack/stacktest"
)

// A Lived is a stack on a host with real snapshots and containers in memory, which has
// run, was snapshotted and wrote on.
type Lived struct {
	*here.Host
	t      *testing.T
	Engine *stacktest.Engine
	Spec   agentapi.Host
	Stack  agentapi.Stack
	Remote string
	Note   string // the file that is its data
	Old    agentapi.SnapshotReceipt
}

// Own is the verdict of a host that certainly owns its stack.
func Own() record.Verdict {
	return record.Verdict{State: record.Own, MayStart: true, MayChange: true}
}

// NewLived returns such a stack, at epoch 1.
func NewLived(t *testing.T) *Lived {
	t.Helper()
	l := New(t)
	if receipt := l.Apply(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	heretest.Write(t, l.Note, "as it was")
	l.Old = l.Take()
	heretest.Write(t, l.Note, "written since")
	return l
}

// New returns a stack that was never here, at epoch 1.
func New(t *testing.T) *Lived {
	t.Helper()
	h, remote := heretest.Host(t), t.TempDir()
	if _, err := delivery.Mount(string(h.Paths.Secrets())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(string(h.Paths.Secrets()), unix.MNT_DETACH) })
	engine := stacktest.New()
	h.Stacks = stack.New(engine)
	t.Cleanup(h.Stacks.Close)
	l := &Lived{Host: h, t: t, Engine: engine, Remote: remote, Stack: heretest.Sealed(t, h, remote, 1, "aaaa0001")}
	l.Spec = agentapi.Host{Fleet: "home", Name: "alpha", Commit: "c1"}
	l.Runs("reg/app:1")
	l.Note = filepath.Join(h.Paths.Volumes, "data", "note")
	return l
}

// Runs declares the image that the stack runs.
func (l *Lived) Runs(image string) {
	l.Stack.Project = project.Project{
		Dir: hostpath.Default().Project(heretest.Stack), Compose: []byte("services:\n  app:\n    image: " + image + "\n"),
		Services: []project.Service{{Name: "app", Image: image}}, Hash: "sha256:" + image,
	}
}

// Wish has the operator ask for the data of the first snapshot.
func (l *Lived) Wish(id string) {
	l.Stack.Restore = &fleet.Restore{ID: id, Epoch: 1, Snapshot: l.Old.Snapshot.ID}
}

// Run is a run on this host, prepared, with the stack as it is declared now.
func (l *Lived) Run() *startup.Run {
	l.Spec.Stacks = []agentapi.Stack{l.Stack}
	if err := l.SaveSpec(l.Spec); err != nil {
		l.t.Fatal(err)
	}
	r := startup.New(keeper.New(l.Host), l.Spec, progress.Discard())
	r.Prepared()
	return r
}

// Here is the stack as it is on this host now.
func (l *Lived) Here() *here.Stack { return l.At(l.Spec, l.Stack) }

// Start is the start of the stack in a run of its own.
func (l *Lived) Start() *startup.Start {
	r := l.Run()
	return r.On(r.At(r.Spec, l.Stack))
}

// Apply brings the stack up as an apply does.
func (l *Lived) Apply() agentapi.StackReceipt {
	return l.Start().Deploy(l.t.Context(), Own())
}

// Boot is a host that lost its power and starts.
func (l *Lived) Boot() agentapi.StackReceipt {
	for _, c := range l.Engine.Containers() {
		l.Engine.Set(c.ID, "exited")
	}
	return l.Start().StartAfterBoot(l.t.Context(), Own())
}

// Take takes a snapshot of the stack.
func (l *Lived) Take() agentapi.SnapshotReceipt {
	l.t.Helper()
	receipt, err := keeper.New(l.Host).Take(l.t.Context(), l.Here(), keeper.Taking{Sink: progress.Discard()})
	if err != nil {
		l.t.Fatal(err)
	}
	return receipt
}

// Data returns the stack's data.
func (l *Lived) Data() string {
	content, err := os.ReadFile(l.Note)
	if err != nil {
		l.t.Error(err)
	}
	return string(content)
}

// Newest is the newest snapshot, which a recovery would restore.
func (l *Lived) Newest() snapshot.Info {
	l.t.Helper()
	a, err := l.Here().Open()
	if err != nil {
		l.t.Fatal(err)
	}
	newest, _, err := keeper.ArchiveOf(a).Newest(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	return newest.Info
}

// Findings are those about the stack's start and its restore.
func (l *Lived) Findings() []finding.Finding {
	l.t.Helper()
	seen, err := l.Stacks.Observe(l.t.Context(), l.Stack.Name)
	if err != nil {
		l.t.Fatal(err)
	}
	l.Spec.Stacks = []agentapi.Stack{l.Stack}
	return append(startup.WishFindings(l.Here()), startup.AttemptFindings(l.Here(), seen[0])...)
}

// Codes are the codes of findings, in their order.
func Codes(found []finding.Finding) string {
	var all []string
	for _, f := range found {
		all = append(all, string(f.Code))
	}
	return strings.Join(all, " ")
}

// Migrates is a version 2 that rewrites its data and fails; version 1 counts as
// broken on data that is not its own.
func (l *Lived) Migrates() {
	l.Runs("reg/app:2")
	l.Engine.OnStart = func(c stacktest.Container) int {
		switch {
		case strings.HasPrefix(c.Image, "reg/app:2"):
			heretest.Write(l.t, l.Note, "format 2 of "+l.Data())
			return 1
		case strings.HasPrefix(l.Data(), "format 2"):
			l.t.Errorf("version 1 was started on %q", l.Data())
		}
		return -1
	}
}

// Image returns the image that runs, "" for none.
func (l *Lived) Image() string {
	for _, c := range l.Engine.Containers() {
		if c.State == "running" {
			return c.Image
		}
	}
	return ""
}

// CheckBack is the end of every failed upgrade: version 1 runs on all that it has
// acknowledged, nothing else would be recovered, and status says so.
func (l *Lived) CheckBack() {
	l.t.Helper()
	if l.Data() != "written since" || l.Image() != "reg/app:1@sha256:1" {
		l.t.Errorf("%s runs on %q", l.Image(), l.Data())
	}
	u := l.Here().Attempt()
	if u.State != here.AttemptFailed || u.Before == "" || l.Newest().ID != u.Before {
		l.t.Errorf("noted %+v, the newest snapshot is %s", u, l.Newest().ID)
	}
	if found := l.Findings(); Codes(found) != string(finding.NotAsCommitted) || !strings.Contains(found[0].Text, u.Before[:8]) {
		l.t.Errorf("findings: %+v", found)
	}
	list, err := keeper.New(l.Host).ListSnapshots(l.t.Context(), heretest.Stack)
	if err != nil {
		l.t.Fatal(err)
	}
	diverged := 0
	for _, s := range list.Snapshots {
		if s.Diverged {
			diverged++
			if s.ID != u.After || s.Images["app"] != "reg/app:2@sha256:2" {
				l.t.Errorf("what version 2 wrote: %+v", s)
			}
		}
	}
	if diverged != 1 {
		l.t.Errorf("%d snapshots of what version 2 wrote", diverged)
	}
}
