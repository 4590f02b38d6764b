package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/ownership"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/journal"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/snapshot"
)

// TestOwnFiles is fault V19, and V1 for markers: each of Salvor's own files on a
// host is empty, damaged, missing or from a newer salvord. The host answers, the
// other stack is untouched, the stack that the file is about keeps its data, and
// what is wrong is a finding or a change that an apply makes good.
func TestOwnFiles(t *testing.T) {
	damages := map[string]func(path string) error{
		"empty":       func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"damaged":     func(path string) error { return os.WriteFile(path, []byte(`{"schema":1,"ep`), 0o600) },
		"other shape": func(path string) error { return os.WriteFile(path, []byte(`[1]`), 0o600) },
		"newer":       func(path string) error { return os.WriteFile(path, []byte(`{"schema":99}`), 0o600) },
		"missing":     os.Remove,
	}
	files := map[string]struct {
		path  func(h *Host) string
		quiet bool // nothing needs to be said: losing it costs time
	}{
		"spec":            {path: func(h *Host) string { return h.Paths.Spec() }},
		"copy of spec":    {path: func(h *Host) string { return h.Paths.SpecCopy() }, quiet: true},
		"placement":       {path: func(h *Host) string { return h.Paths.Placement(heretest.Stack) }},
		"snapshot's note": {path: func(h *Host) string { return h.keeper().ConditionPath(heretest.Stack) }, quiet: true},
		"reread's note":   {path: func(h *Host) string { return h.keeper().RereadPath(heretest.Stack) }, quiet: true},
		"run's note":      {path: func(h *Host) string { return h.base().RunPath(heretest.Stack) }, quiet: true},
		"attempt":         {path: func(h *Host) string { return h.base().AttemptPath(heretest.Stack) }, quiet: true},
		"wishes":          {path: func(h *Host) string { return h.base().WishesPath(heretest.Stack) }, quiet: true},
		"marker":          {path: func(h *Host) string { return filepath.Join(h.Paths.State, "volumes", heretest.Stack, "data.json") }},
		"fetch":           {path: func(h *Host) string { return filepath.Join(h.Paths.State, "staging", heretest.Stack, "fetch.json") }, quiet: true},
		"snapshot state": {path: func(h *Host) string {
			return filepath.Join(h.Paths.State, "snapshots", heretest.Stack, "aaaa0001.json")
		}, quiet: true},
		"deployed": {path: func(h *Host) string { return filepath.Join(h.Paths.State, "stacks", heretest.Stack, "deployed.json") }, quiet: true},
		"project":  {path: func(h *Host) string { return filepath.Join(h.Paths.State, "stacks", heretest.Stack, "project.json") }, quiet: true},
		"journal":  {path: func(h *Host) string { return filepath.Join(h.Paths.State, "journal", "2026-11.jsonl") }, quiet: true},
		"git":      {path: func(h *Host) string { return filepath.Join(h.Paths.GitCopy(), "HEAD") }, quiet: true},
		"host key": {path: func(h *Host) string { return h.Paths.Identity() }},
	}
	s, other := standOfTwo(t)
	for name, file := range files {
		for damage, strike := range damages {
			t.Run(name+" "+damage, func(t *testing.T) {
				path := file.path(s.Host)
				before, err := os.ReadFile(path)
				if err != nil {
					if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
						t.Fatal(err)
					}
					before = []byte("{}")
				}
				if err := os.WriteFile(path, before, 0o600); err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := os.WriteFile(path, before, 0o600); err != nil {
						t.Fatal(err)
					}
				}()
				if err := strike(path); err != nil {
					t.Fatal(err)
				}
				checkOwnFiles(t, s, other, name, file.quiet)
			})
		}
	}
}

// standOfTwo is a host with two stacks in use, both noted in every file.
func standOfTwo(t *testing.T) (*stand, agentapi.Stack) {
	t.Helper()
	s := newStand(t, false)
	s.started(t, "rows")
	mustTake(t, s.Host, s.st)
	other := agentapi.Stack{Name: "site", Epoch: 1}
	s.spec.Stacks = []agentapi.Stack{s.st, other}
	if err := s.base().SaveSpec(s.spec); err != nil {
		t.Fatal(err)
	}
	for _, st := range s.spec.Stacks {
		if err := s.base().SaveLocal(st.Name, here.Local{Epoch: 1}); err != nil {
			t.Fatal(err)
		}
	}
	s.base().Enter(journal.Entry{Kind: "test", At: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
	return s, other
}

func checkOwnFiles(t *testing.T, s *stand, other agentapi.Stack, name string, quiet bool) {
	t.Helper()
	state := agentapi.HostState{Findings: s.noteFindings(s.spec)}
	if damage := s.base().SpecDamage(); damage != nil {
		state.Changes = append(state.Changes, agentapi.Change{ID: "fleet.json"})
	}
	if err := s.observeStacks(t.Context(), s.spec, &state); err != nil {
		t.Fatalf("the host does not answer: %v", err)
	}
	if _, err := s.Status(t.Context(), agentapi.Observe{}, progress.Discard()); err != nil {
		t.Errorf("status: %v", err)
	}
	if v := ownership.New(s.base(), ownership.AskWithin).Verdicts(t.Context(), s.spec); len(v) != len(s.spec.Stacks) {
		t.Errorf("ownership: %+v", v)
	}
	if spec, err := s.base().ReadSpec(); err != nil || len(spec.Stacks) != 2 {
		t.Errorf("what the host was asked to be: %d stacks, %v", len(spec.Stacks), err)
	}
	if !quiet && len(state.Findings) == 0 && !changes(state, s.st.Name) && len(state.Changes) == 0 {
		t.Error("neither a finding nor a change says so")
	}
	for _, f := range state.Findings {
		if f.Fix == "" || strings.Contains(f.Subject, other.Name) || f.Severity == finding.Fatal {
			t.Errorf("finding %+v", f)
		}
	}
	facts, _, err := s.base().At(s.spec, s.st).VolumeFacts()
	if d := snapshot.Decide(facts["data"]); err != nil || d.Action != snapshot.Ready && d.Action != snapshot.Accept {
		t.Errorf("the stack's data: %s: %s, %v", d.Action, d.Reason, err)
	}
	if got := s.read(t); got != "rows" {
		t.Errorf("the data is %q", got)
	}
	if name == "fetch" {
		a, err := s.base().At(s.spec, s.st).Open()
		if err == nil {
			err = restoreAnywhere(t, s, a)
		}
		if err != nil {
			t.Errorf("a restore: %v", err)
		}
	}
}

func changes(state agentapi.HostState, stack string) bool {
	for _, c := range state.Changes {
		if c.Stack == stack {
			return true
		}
	}
	return false
}

// restoreAnywhere fetches the newest snapshot, as a recovery does, and leaves it
// beside.
func restoreAnywhere(t *testing.T, s *stand, a *here.Stack) error {
	r := startup.New(s.keeper(), s.spec, progress.Discard())
	r.Prepared()
	_, err := r.On(a).FetchNewest(t.Context(), s.base().At(s.spec, s.st).Protected(), nil)
	return err
}

// TestConsentIsForOneApply is fault V1's kind: what an operator said about a
// stack's data once does not decide about it at a boot, when notes were lost.
func TestConsentIsForOneApply(t *testing.T) {
	s := newStand(t, true)
	s.st.Consent = project.ConsentFresh
	s.spec.Stacks = []agentapi.Stack{s.st}
	if err := s.base().SaveSpec(s.spec); err != nil {
		t.Fatal(err)
	}
	if spec, err := s.base().ReadSpec(); err != nil || spec.Stacks[0].Consent != "" || s.spec.Stacks[0].Consent == "" {
		t.Errorf("kept %q, %v", spec.Stacks[0].Consent, err)
	}
}

// TestFutureTimesCountAsNone is fault V18: what a clock that was ahead has left
// stops no snapshot.
func TestFutureTimesCountAsNone(t *testing.T) {
	s := newStand(t, true)
	s.st.Targets[0].Every = time.Minute
	s.spec.Stacks = []agentapi.Stack{s.st}
	if err := s.base().SaveLocal(s.st.Name, here.Local{Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	for name, ahead := range map[string]time.Duration{"ahead": 240 * time.Hour, "now": 0} {
		k := keeper.Condition{Tried: time.Now().Add(ahead), Good: time.Now().Add(ahead)}
		if err := here.WriteJSON(s.keeper().ConditionPath(s.st.Name), k); err != nil {
			t.Fatal(err)
		}
		if due := s.keeper().Due(s.spec, time.Now()); (len(due) == 1) != (ahead > 0) {
			t.Errorf("%s: %d stacks are due", name, len(due))
		}
	}
}

// TestAFullDiskKeepsNothingFromStarting is fault V19, the full disk: neither the
// journal nor a note can be written. That is a finding and no error.
func TestAFullDiskKeepsNothingFromStarting(t *testing.T) {
	s := newStand(t, false)
	s.started(t, "rows")
	// a file in place of each folder: nothing can be written there, by root either
	for _, dir := range []string{s.Journal.Dir, filepath.Dir(s.Paths.Placement("x"))} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		heretest.Write(t, dir, "")
	}
	r, err := s.supply(t)
	if err != nil || len(r.Receipt.Findings) != 0 {
		t.Fatal(r.Receipt.Findings, err)
	}
	if got := s.read(t); got != "rows" {
		t.Errorf("the data is %q", got)
	}
	if full := diskFull(s.Paths.State); full != "" {
		t.Errorf("this disk is not full: %s", full)
	}
	if full := diskFull("/proc"); full == "" {
		t.Error("a disk without any room is not full")
	}
}
