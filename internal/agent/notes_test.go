package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/ownership"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/journal"
	"salvor/internal/progress"
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
		path  func(h *here.Host) string
		quiet bool // nothing needs to be said: losing it costs time
	}{
		"spec":            {path: func(h *here.Host) string { return h.Paths.Spec() }},
		"copy of spec":    {path: func(h *here.Host) string { return h.Paths.SpecCopy() }, quiet: true},
		"placement":       {path: func(h *here.Host) string { return h.Paths.Placement(heretest.Stack) }},
		"snapshot's note": {path: func(h *here.Host) string { return keeper.New(h).ConditionPath(heretest.Stack) }, quiet: true},
		"reread's note":   {path: func(h *here.Host) string { return keeper.New(h).RereadPath(heretest.Stack) }, quiet: true},
		"run's note":      {path: func(h *here.Host) string { return h.RunPath(heretest.Stack) }, quiet: true},
		"attempt":         {path: func(h *here.Host) string { return h.AttemptPath(heretest.Stack) }, quiet: true},
		"wishes":          {path: func(h *here.Host) string { return h.WishesPath(heretest.Stack) }, quiet: true},
		"marker":          {path: func(h *here.Host) string { return filepath.Join(h.Paths.State, "volumes", heretest.Stack, "data.json") }},
		"fetch": {path: func(h *here.Host) string {
			return filepath.Join(h.Paths.State, "staging", heretest.Stack, "fetch.json")
		}, quiet: true},
		"snapshot state": {path: func(h *here.Host) string {
			return filepath.Join(h.Paths.State, "snapshots", heretest.Stack, "aaaa0001.json")
		}, quiet: true},
		"deployed": {path: func(h *here.Host) string {
			return filepath.Join(h.Paths.State, "stacks", heretest.Stack, "deployed.json")
		}, quiet: true},
		"project": {path: func(h *here.Host) string {
			return filepath.Join(h.Paths.State, "stacks", heretest.Stack, "project.json")
		}, quiet: true},
		"journal":  {path: func(h *here.Host) string { return filepath.Join(h.Paths.State, "journal", "2026-11.jsonl") }, quiet: true},
		"git":      {path: func(h *here.Host) string { return filepath.Join(h.Paths.GitCopy(), "HEAD") }, quiet: true},
		"host key": {path: func(h *here.Host) string { return h.Paths.Identity() }},
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
func standOfTwo(t *testing.T) (*agenttest.Stand, agentapi.Stack) {
	t.Helper()
	s := agenttest.NewStand(t, false)
	s.Started(t, "rows")
	s.Take(t)
	other := agentapi.Stack{Name: "site", Epoch: 1}
	s.Spec.Stacks = []agentapi.Stack{s.Stack, other}
	if err := s.SaveSpec(s.Spec); err != nil {
		t.Fatal(err)
	}
	for _, st := range s.Spec.Stacks {
		if err := s.SaveLocal(st.Name, here.Local{Epoch: 1}); err != nil {
			t.Fatal(err)
		}
	}
	s.Enter(journal.Entry{Kind: "test", At: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
	return s, other
}

func checkOwnFiles(t *testing.T, s *agenttest.Stand, other agentapi.Stack, name string, quiet bool) {
	t.Helper()
	state := agentapi.HostState{Findings: (*Host)(s.Host).noteFindings(s.Spec)}
	if damage := s.SpecDamage(); damage != nil {
		state.Changes = append(state.Changes, agentapi.Change{ID: "fleet.json"})
	}
	if err := (*Host)(s.Host).observeStacks(t.Context(), s.Spec, &state); err != nil {
		t.Fatalf("the host does not answer: %v", err)
	}
	if _, err := (*Host)(s.Host).Status(t.Context(), agentapi.Observe{}, progress.Discard()); err != nil {
		t.Errorf("status: %v", err)
	}
	if v := ownership.New(s.Host, ownership.AskWithin).Verdicts(t.Context(), s.Spec); len(v) != len(s.Spec.Stacks) {
		t.Errorf("ownership: %+v", v)
	}
	if spec, err := s.ReadSpec(); err != nil || len(spec.Stacks) != 2 {
		t.Errorf("what the host was asked to be: %d stacks, %v", len(spec.Stacks), err)
	}
	if !quiet && len(state.Findings) == 0 && !changes(state, s.Stack.Name) && len(state.Changes) == 0 {
		t.Error("neither a finding nor a change says so")
	}
	for _, f := range state.Findings {
		if f.Fix == "" || strings.Contains(f.Subject, other.Name) || f.Severity == finding.Fatal {
			t.Errorf("finding %+v", f)
		}
	}
	facts, _, err := s.Here().VolumeFacts()
	if d := snapshot.Decide(facts["data"]); err != nil || d.Action != snapshot.Ready && d.Action != snapshot.Accept {
		t.Errorf("the stack's data: %s: %s, %v", d.Action, d.Reason, err)
	}
	if got := s.Read(t); got != "rows" {
		t.Errorf("the data is %q", got)
	}
	if name == "fetch" {
		if _, _, err := agenttest.Fetch(t, s.Here()); err != nil { // as a recovery does
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

func TestAFullDiskIsSaid(t *testing.T) {
	t.Parallel()
	if full := diskFull(t.TempDir()); full != "" {
		t.Errorf("this disk is not full: %s", full)
	}
	if full := diskFull("/proc"); full == "" {
		t.Error("a disk without any room is not full")
	}
}
