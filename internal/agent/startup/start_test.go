package startup_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/delivery"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/record"
	"salvor/internal/stack"
	"salvor/internal/stack/stacktest"
)

// house is a host with an engine in memory and stacks without data.
type house struct {
	*here.Host
	t      *testing.T
	engine *stacktest.Engine
	spec   agentapi.Host
}

// newHouse returns a host on which these stacks are placed, in this order. Each has one
// secret.
func newHouse(t *testing.T, names ...string) *house {
	t.Helper()
	h, engine := heretest.Host(t), stacktest.New()
	if _, err := delivery.Mount(string(h.Paths.Secrets())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(string(h.Paths.Secrets()), unix.MNT_DETACH) })
	h.Stacks = stack.New(engine)
	t.Cleanup(h.Stacks.Close)
	heretest.Sealed(t, h, t.TempDir(), 1, "aaaa0001") // makes the host's identity
	all := &house{Host: h, t: t, engine: engine, spec: agentapi.Host{Fleet: "home", Name: "alpha", Commit: "c1"}}
	for _, name := range names {
		st := agentapi.Stack{Name: name, Epoch: 1, Project: project.Project{
			Dir: hostpath.Default().Project(name), Compose: []byte("services:\n  app:\n    image: " + name + ":1\n"), Hash: "sha256:1",
			Services: []project.Service{{Name: "app", Image: name + ":1", OnChange: fleet.ChangeRestart}},
			Secrets:  []project.SecretMount{{Service: "app", Secret: "TOKEN", Target: "token", Mode: 0o400}},
		}}
		heretest.Seal(t, h, &st, "alpha", agentapi.SealedFile{Secrets: map[string][]byte{"TOKEN": []byte("of " + name)}})
		all.spec.Stacks = append(all.spec.Stacks, st)
	}
	return all
}

// run is a run on the host's stacks, not prepared yet.
func (h *house) run() *startup.Run {
	h.t.Helper()
	if err := h.SaveSpec(h.spec); err != nil {
		h.t.Fatal(err)
	}
	return startup.New(keeper.New(h.Host), h.spec, progress.Discard())
}

// prepared is a run on a host that is prepared.
func (h *house) prepared() *startup.Run {
	h.t.Helper()
	r := h.run()
	r.Prepared()
	return r
}

// deploy brings one stack up.
func (h *house) deploy(r *startup.Run, name string) agentapi.StackReceipt {
	h.t.Helper()
	return r.On(h.stack(r, name)).Deploy(h.t.Context(), agenttest.Own())
}

func (h *house) stack(r *startup.Run, name string) *here.Stack {
	h.t.Helper()
	i := slices.IndexFunc(r.Spec.Stacks, func(st agentapi.Stack) bool { return st.Name == name })
	return h.At(r.Spec, r.Spec.Stacks[i])
}

// running are the stacks of which a container runs, sorted.
func (h *house) running() []string {
	var names []string
	for _, c := range h.engine.Containers() {
		if c.State == "running" {
			names = append(names, c.Project)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// gates are how often the gate of a stack was opened and closed.
func (h *house) gates(name string) (opened, closed int) {
	for _, c := range h.engine.Calls() {
		switch strings.Join(c.Argv, " ") {
		case "mkdir -p -- " + hostpath.Default().Gate(name):
			opened++
		case "rm -rf -- " + hostpath.Default().Gate(name):
			closed++
		}
	}
	return opened, closed
}

// secret is what was delivered to a stack.
func (h *house) secret(name string) string {
	found, err := filepath.Glob(filepath.Join(h.Paths.Secrets().Stack(name), "*", "*", "token"))
	if err != nil || len(found) == 0 {
		return ""
	}
	content, err := os.ReadFile(found[len(found)-1])
	if err != nil {
		h.t.Error(err)
	}
	return string(content)
}

// kinds are the kinds of the journal's entries about a stack.
func (h *house) kinds(name string) []string {
	h.t.Helper()
	entries, err := h.Journal.Tail(1000)
	if err != nil {
		h.t.Fatal(err)
	}
	var kinds []string
	for _, e := range entries {
		if e.Stack == name {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

// TestNothingStartsBeforeItsSecretsAreThere: they are delivered before the gate opens, and
// the gate is open before a container starts. Without them none does.
func TestNothingStartsBeforeItsSecretsAreThere(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "notes")
	h.engine.OnStart = func(stacktest.Container) int {
		if opened, _ := h.gates("notes"); opened == 0 || h.secret("notes") != "of notes" {
			t.Errorf("started with %q, the gate was opened %d times", h.secret("notes"), opened)
		}
		return -1
	}
	if r := h.deploy(h.prepared(), "notes"); r.Error != nil || r.Outcome != "deployed" || r.Healthy.IsZero() || len(h.running()) != 1 {
		t.Errorf("%+v, %v run", r, h.running())
	}
	if l := h.Local("notes"); l.Epoch != 1 || l.Sealed != here.SealedDigest(h.spec.Stacks[0]) {
		t.Errorf("noted %+v", l)
	}
	if kinds := h.kinds("notes"); !slices.Contains(kinds, startup.KindSecrets) || !slices.Contains(kinds, "deploy") {
		t.Errorf("the journal has %q", kinds)
	}

	h = newHouse(t, "notes")
	heretest.Seal(t, h.Host, &h.spec.Stacks[0], "alpha", agentapi.SealedFile{})
	r := h.deploy(h.prepared(), "notes")
	if opened, _ := h.gates("notes"); r.Error == nil || r.Outcome != "failed" || opened > 0 || len(h.engine.Containers()) > 0 || h.Local("notes").Epoch != 0 {
		t.Errorf("without the secret: %+v, opened %d times, %+v", r, opened, h.engine.Containers())
	}
}

// TestAStackThatIsNotOwnedIsNotStarted: neither by an apply nor by a boot, and one that was
// lost is fenced.
func TestAStackThatIsNotOwnedIsNotStarted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "notes")
	lost := record.Verdict{State: record.Lost, Reason: "beta claimed epoch 2"}
	r := h.prepared()
	receipt := r.On(h.stack(r, "notes")).Deploy(t.Context(), lost)
	if opened, _ := h.gates("notes"); receipt.Error == nil || receipt.Error.Text != "stack notes is not started here: beta claimed epoch 2" || receipt.Error.Hint == "" || opened > 0 || len(h.engine.Containers()) > 0 {
		t.Errorf("%+v, opened %d times", receipt.Error, opened)
	}
	if receipt := h.deploy(h.prepared(), "notes"); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	for name, c := range map[string]struct {
		verdict record.Verdict
		kind    string
		lost    bool
	}{
		"nothing answers": {record.Verdict{State: record.Unknown, Reason: "nothing answers"}, "boot", false},
		"lost":            {lost, "fenced", true},
	} {
		for _, container := range h.engine.Containers() {
			h.engine.Set(container.ID, "exited")
		}
		r := h.prepared()
		receipt := r.On(h.stack(r, "notes")).StartAfterBoot(t.Context(), c.verdict)
		if receipt.Outcome != "stopped" || receipt.Error != nil || len(h.running()) > 0 || !slices.Contains(h.kinds("notes"), c.kind) {
			t.Errorf("%s: %+v, %v run, the journal has %q", name, receipt, h.running(), h.kinds("notes"))
		}
		if c.lost && (!h.Local("notes").Lost || h.secret("notes") != "") {
			t.Errorf("%s: noted %+v; its secret is %q", name, h.Local("notes"), h.secret("notes"))
		}
	}
}

// TestABoot starts what was deployed last, says which verdict it relied on, and leaves what
// was released or is declared stopped.
func TestABoot(t *testing.T) {
	t.Parallel()
	unfenced := record.Verdict{State: record.Unknown, Reason: "nothing answers", MayStart: true, Unfenced: true}
	for name, c := range map[string]struct {
		spoil   func(h *house)
		outcome string
		kind    string
		runs    bool
	}{
		"as it was":         {func(*house) {}, "started", "unfenced-start", true},
		"another version":   {func(h *house) { h.spec.Stacks[0].Project.Hash = "sha256:2" }, "deployed", "deploy", true},
		"declared stopped":  {func(h *house) { h.spec.Stacks[0].Stopped = true }, "stopped", "boot", false},
		"released":          {func(h *house) { h.release(t, 1) }, "stopped", "boot", false},
		"placed here again": {func(h *house) { h.release(t, 1); h.placeAgain(t) }, "started", "unfenced-start", true},
	} {
		h := newHouse(t, "notes")
		if receipt := h.deploy(h.prepared(), "notes"); receipt.Error != nil {
			t.Fatal(receipt.Error)
		}
		for _, c := range h.engine.Containers() {
			h.engine.Set(c.ID, "exited")
		}
		ran := h.Local("notes")
		ran.Reported = true
		if err := errors.Join(h.SaveLocal("notes", ran), delivery.Remove(h.Paths.Secrets(), "notes")); err != nil { // they were in memory
			t.Fatal(err)
		}
		c.spoil(h)
		r := h.prepared()
		receipt := r.On(h.stack(r, "notes")).StartAfterBoot(t.Context(), unfenced)
		if receipt.Outcome != c.outcome || receipt.Error != nil || (len(h.running()) > 0) != c.runs || !slices.Contains(h.kinds("notes"), c.kind) {
			t.Errorf("%s: %+v, %v run, the journal has %q", name, receipt, h.running(), h.kinds("notes"))
		}
		if c.runs && (h.secret("notes") != "of notes" || h.Local("notes").Epoch != h.spec.Stacks[0].Epoch) {
			t.Errorf("%s: started with %q, noted %+v", name, h.secret("notes"), h.Local("notes"))
		}
		if local := h.Local("notes"); c.runs && local.Reported != (local.Epoch == 1) {
			t.Errorf("%s: what is reported of epoch 1 counts at epoch %d, or not at its own: %+v", name, local.Epoch, local)
		}
	}
}

// TestABootWaitsForTheFormerHost of a stack that was deployed here at an earlier epoch: what
// is here looks as if it had run last, and the former host may still run it.
func TestABootWaitsForTheFormerHost(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "notes")
	if receipt := h.deploy(h.prepared(), "notes"); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	for _, c := range h.engine.Containers() {
		h.engine.Set(c.ID, "exited")
	}
	h.placeAgain(t)
	ctx, end := context.WithCancel(t.Context())
	waits := progress.SinkFunc(func(e progress.Event) {
		if e.Step == "wait until its former host has stopped it" {
			end()
		}
	})
	r := startup.New(keeper.New(h.Host), h.spec, waits)
	r.Prepared()
	r.FreeIn("notes", time.Hour)
	if receipt := r.On(h.stack(r, "notes")).StartAfterBoot(ctx, agenttest.Own()); receipt.Outcome != "interrupted" || len(h.running()) > 0 || h.Local("notes").Epoch != 1 {
		t.Errorf("%+v, %v run, noted %+v", receipt, h.running(), h.Local("notes"))
	}
}

// TestAFirstPlacementHasNoFormerHost: what the daemon starts for the first time, as once the tailnet is there, kept the
// host's lock for the length of the lease.
func TestAFirstPlacementHasNoFormerHost(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "notes")
	ctx, end := context.WithCancel(t.Context())
	waited := false
	waits := progress.SinkFunc(func(e progress.Event) {
		if e.Step == "wait until its former host has stopped it" {
			waited = true
			end()
		}
	})
	for _, again := range []bool{false, true} {
		if again {
			h.placeAgain(t)
		}
		r := startup.New(keeper.New(h.Host), h.spec, waits)
		r.StartAll(ctx, map[string]record.Verdict{"notes": agenttest.Own()})
		if waited != again || (len(h.running()) > 0 && h.Local("notes").Epoch != 1) {
			t.Errorf("at epoch %d it waited: %t; %+v, noted %+v", h.spec.Stacks[0].Epoch, waited, r.Receipt.Stacks, h.Local("notes"))
		}
	}
}

// release notes that the stack was handed over at an epoch.
func (h *house) release(t *testing.T, epoch int) {
	t.Helper()
	l := h.Local("notes")
	l.Released = epoch
	if err := h.SaveLocal("notes", l); err != nil {
		t.Fatal(err)
	}
}

// placeAgain places the stack on this host at the next epoch.
func (h *house) placeAgain(t *testing.T) {
	t.Helper()
	st := &h.spec.Stacks[0]
	st.Epoch++
	heretest.Seal(t, h.Host, st, "alpha", agentapi.SealedFile{Secrets: map[string][]byte{"TOKEN": []byte("of notes")}})
}

// TestAPrerequisiteThatFails fails what waits for it, with its reason, and nothing else.
func TestAPrerequisiteThatFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("dpkg was interrupted")
	h := newHouse(t, "notes")
	r := h.run()
	r.Meet("engine", broken)
	receipt := h.deploy(r, "notes")
	if opened, _ := h.gates("notes"); receipt.Error == nil || receipt.Error.Text != broken.Error() || opened > 0 || h.secret("notes") != "" {
		t.Errorf("%+v, opened %d times", receipt.Error, opened)
	}
	if r.Failure("engine") == nil || r.Failure("data") != nil {
		t.Errorf("engine: %v, data: %v", r.Failure("engine"), r.Failure("data"))
	}
}

// TestAStackWaitsForThoseThatItNeeds: it starts after them, and not without them. To the
// daemon one will do that runs as it was deployed last.
func TestAStackWaitsForThoseThatItNeeds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "site", "notes")
	h.spec.Stacks[0].Needs = []string{"notes", "elsewhere"}
	var order []string
	h.engine.OnStart = func(c stacktest.Container) int {
		order = append(order, c.Project)
		return -1
	}
	own := map[string]record.Verdict{"site": agenttest.Own(), "notes": agenttest.Own()}
	h.prepared().StartAll(t.Context(), own)
	if !slices.Equal(order, []string{"notes", "site"}) {
		t.Fatalf("started %v", order)
	}

	// a version of notes that fails: the one before runs on
	h.spec.Stacks[1].Project.Hash, h.spec.Stacks[1].Project.Compose = "sha256:2", []byte("services:\n  app:\n    image: notes:2\n")
	h.spec.Stacks[1].Project.Services[0].Image = "notes:2"
	h.engine.OnStart = func(c stacktest.Container) int {
		if strings.HasPrefix(c.Image, "notes:2") {
			return 1
		}
		return -1
	}
	for _, c := range h.engine.Containers() {
		h.engine.Set(c.ID, "exited")
	}
	r := h.prepared()
	r.StartAll(t.Context(), own)
	if !slices.ContainsFunc(r.Receipt.Stacks, func(s agentapi.StackReceipt) bool { return s.Name == "notes" && s.Error != nil }) {
		t.Errorf("notes:2 runs: %+v", r.Receipt.Stacks)
	}
	if !slices.Equal(h.running(), []string{"notes", "site"}) {
		t.Errorf("the daemon left %v running", h.running())
	}
}

// TestAStackWithoutWhatItNeedsIsNotStarted by an apply.
func TestAStackWithoutWhatItNeedsIsNotStarted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "site", "notes")
	h.spec.Stacks[0].Needs = []string{"notes"}
	heretest.Seal(t, h.Host, &h.spec.Stacks[1], "alpha", agentapi.SealedFile{}) // it lacks its secret
	own := map[string]record.Verdict{"site": agenttest.Own(), "notes": agenttest.Own()}
	r := h.prepared()
	r.StartAll(t.Context(), own)
	at := slices.IndexFunc(r.Receipt.Stacks, func(s agentapi.StackReceipt) bool { return s.Name == "site" })
	if at < 0 || r.Receipt.Stacks[at].Error == nil || r.Receipt.Stacks[at].Error.Text != "stack site needs notes, which did not start" || r.Receipt.Stacks[at].Error.Hint != "salvor logs notes" {
		t.Errorf("%+v", r.Receipt.Stacks)
	}
	if len(h.engine.Containers()) > 0 {
		t.Errorf("%+v", h.engine.Containers())
	}
}

// TestOutcomes: what the receipt says of a stack that comes up, or is not to.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "notes")
	st := &h.spec.Stacks[0]
	away := filepath.Join(t.TempDir(), "nas")
	for _, c := range []struct {
		name    string
		change  func()
		outcome string
		runs    bool
	}{
		{"first", func() {}, "deployed", true},
		{"again", func() {}, "untouched", true},
		{"a secret changed", func() {
			heretest.Seal(t, h.Host, st, "alpha", agentapi.SealedFile{Secrets: map[string][]byte{"TOKEN": []byte("renewed")}})
		}, "reloaded", true},
		{"it was told already", func() {}, "untouched", true},
		{"kept", func() { st.Kept = true }, "kept", true},
		{"declared stopped", func() { st.Kept, st.Stopped = false, true }, "stopped", false},
		{"a mount is not there", func() {
			st.Stopped = false
			st.Volumes = []project.Volume{{Name: "@nas", Path: away, Protect: fleet.External}}
		}, "failed", false},
		{"it is there", func() {
			if err := os.MkdirAll(filepath.Join(away, "films"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, "deployed", true},
	} {
		c.change()
		receipt := h.deploy(h.prepared(), "notes")
		if receipt.Outcome != c.outcome || (receipt.Error != nil) != (c.outcome == "failed") || (len(h.running()) > 0) != c.runs {
			t.Errorf("%s: %+v, %v run; want %s", c.name, receipt, h.running(), c.outcome)
		}
		if receipt.Error != nil && (!strings.Contains(receipt.Error.Text, "not mounted") || receipt.Error.Hint == "" || receipt.Error.Code != fault.General) {
			t.Errorf("%s: %+v", c.name, receipt.Error)
		}
	}
	if h.secret("notes") != "renewed" {
		t.Errorf("the secret is %q", h.secret("notes"))
	}
	if opened, closed := h.gates("notes"); opened == 0 || closed == 0 {
		t.Errorf("the gate was opened %d times and closed %d times", opened, closed)
	}
}

// TestAVolumeThatOthersMadeIsMade: a stack whose own data is in a volume that its Compose
// file calls external starts on a host that lacks it, as after a recovery.
func TestAVolumeThatOthersMadeIsMade(t *testing.T) {
	h := newHouse(t, "photos")
	p := &h.spec.Stacks[0].Project
	p.Compose, p.Volumes = append(p.Compose, "volumes: {shelf: {external: true}}\n"...), []string{"shelf"}
	for range 2 {
		if receipt := h.deploy(h.prepared(), "photos"); receipt.Error != nil {
			t.Errorf("%+v", receipt.Error)
		}
	}
}
