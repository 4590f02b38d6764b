package agent

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/project"
	"salvor/internal/stack"
	"salvor/internal/stack/stacktest"
)

// byHand is a host on which someone started a project with its data, which the fleet
// calls by another name and is asked to adopt.
func byHand(t *testing.T) *agenttest.Lived {
	t.Helper()
	l := agenttest.New(t)
	l.Engine.Add("notes-by-hand", "app", "running")
	if err := os.MkdirAll(filepath.Dir(l.Note), 0o755); err != nil {
		t.Fatal(err)
	}
	heretest.Write(t, l.Note, "all that I have")
	l.Runs("app:1")
	l.Stack.Project.Name = "notes-by-hand"
	l.Stack.Consent = project.ConsentAdopt
	l.Stack.Adopt = &project.Adoption{Dir: "/opt/notes", Compose: []string{"compose.yaml"}, Vars: map[string]string{"A": "b$$c"},
		Files: []project.File{{Path: "compose.yaml", Data: []byte("services:\n  app:\n    image: app:1\n")}}}
	return l
}

// observed is what a plan hears of the stack.
func observed(t *testing.T, l *agenttest.Lived) agentapi.HostState {
	t.Helper()
	seen, err := stack.Wanting(l.Stacks, map[string]string{l.Stack.Name: l.Stack.Project.Name}).Observe(t.Context(), l.Stack.Name)
	if err != nil {
		t.Fatal(err)
	}
	changes, found, err := (*Host)(l.Host).stackChanges(t.Context(), l.Here(), seen[0])
	if err != nil {
		t.Fatal(err)
	}
	return agentapi.HostState{Changes: changes, Findings: found}
}

// TestAProjectIsTakenOverAsItRuns is issue 14, 2: no container is touched, and from then on
// nothing is to do.
func TestAProjectIsTakenOverAsItRuns(t *testing.T) {
	l := byHand(t)
	before := l.Engine.Containers()
	receipt := l.Apply()
	if receipt.Error != nil || receipt.Outcome != "adopted" || receipt.Born["data"].IsZero() || receipt.Images["app"] != "app:1@sha256:1" {
		t.Fatalf("%+v", receipt)
	}
	untouched(t, l, before)
	checkAdopted(t, l)
	l.Stack.Consent, l.Stack.Adopt = "", nil
	if again := l.Apply(); again.Outcome != "untouched" {
		t.Errorf("then an apply: %+v", again)
	}
	untouched(t, l, before)
}

func untouched(t *testing.T, l *agenttest.Lived, before []stacktest.Container) {
	t.Helper()
	if diff := cmp.Diff(before, l.Engine.Containers()); diff != "" {
		t.Errorf("containers were touched: %s", diff)
	}
	for _, call := range l.Engine.Calls() {
		for _, verb := range []string{"up", "create", "stop", "restart", "pull", "down"} {
			if strings.Contains(strings.Join(call.Argv, " ")+" ", " "+verb+" ") {
				t.Errorf("ran %v", call.Argv)
			}
		}
	}
}

func checkAdopted(t *testing.T, l *agenttest.Lived) {
	t.Helper()
	seen, err := l.Stacks.Observe(t.Context(), l.Stack.Name)
	if err != nil || !seen[0].Untouched(l.Here().Deployment()) || len(seen[0].Ungated) != 1 {
		t.Errorf("seen %+v, %v", seen, err)
	}
	if l.Local(l.Stack.Name).Epoch != 1 || l.Data() != "all that I have" || l.Newest().ID == "" || l.Here().AllReady() != nil {
		t.Errorf("noted %+v, data %q, newest %+v, %v", l.Local(l.Stack.Name), l.Data(), l.Newest(), l.Here().AllReady())
	}
}

func TestWhatDiffersIsNotTakenOver(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(l *agenttest.Lived)
		want  string
	}{
		"edited since": {func(l *agenttest.Lived) {
			l.Stack.Adopt.Files[0].Data = []byte("services:\n  app:\n    image: app:2\n")
			l.Stack.Project.Services[0].Image = "app:2"
		}, "app: image 1 → 2"},
		"a variable": {func(l *agenttest.Lived) {
			l.Stack.Adopt.Files[0].Data = []byte("services:\n  app:\n    image: app:1\n    environment: {A: secret}\n")
			l.Engine.Renew(l.Engine.Containers()[0].ID, "before")
		}, "app: environment +A"},
		"by another Compose": {func(l *agenttest.Lived) { l.Engine.Renew(l.Engine.Containers()[0].ID, "before") },
			"app: only Compose's hash of it, and no setting that Salvor knows: Compose 2.26.1 made its container, and 5.6.0 is here now"},
		"not in Git": {func(l *agenttest.Lived) { l.Engine.Add("notes-by-hand", "db", "running") }, "db: it is in no Compose file"},
		"several": {func(l *agenttest.Lived) {
			l.Engine.Add("notes-by-hand", "db", "running")
			l.Engine.Renew(l.Engine.Containers()[0].ID, "before")
		}, "; db: it is in no Compose file"},
		"the word for a secret that is not known": {func(l *agenttest.Lived) {
			l.Stack.Adopt.Files[0].Data = []byte("services:\n  app:\n    image: app:1\n    environment: {A: salvor-unknown-secret}\n")
			l.Engine.Renew(l.Engine.Containers()[0].ID, "before")
		}, "app: environment +A"},
		"never started": {func(l *agenttest.Lived) { l.Stack.Project.Name = "another" }, "app: no container of it is here"},
		"without a dir": {func(l *agenttest.Lived) { l.Stack.Adopt = nil }, "x-salvor.dir"},
	} {
		l := byHand(t)
		c.spoil(l)
		before := l.Engine.Containers()
		receipt := l.Apply()
		if receipt.Outcome != "failed" || !strings.Contains(receipt.Error.Text, c.want) || strings.Contains(receipt.Error.Text, "\n") || receipt.Error.Hint == "" {
			t.Errorf("%s: %+v, %+v", name, receipt, receipt.Error)
		}
		untouched(t, l, before)
		if _, deployed, err := l.Stacks.Deployed(t.Context(), l.Stack.Name); deployed || err != nil || l.Local(l.Stack.Name).Epoch != 0 || len(l.Here().Births()) != 0 {
			t.Errorf("%s: something was noted: %v, %v", name, deployed, err)
		}
	}
}

// TestAdoptionIsCutShort is issue 14: killed at every step boundary, run again: the same
// end state, and an apply that forgets the consent recreates nothing either.
func TestAdoptionIsCutShort(t *testing.T) {
	for _, step := range []string{"adopt-compared", "adopt-recorded", "adopt-marked", "adopt-noted", "adopt-reported", "taken"} {
		l := byHand(t)
		before := l.Engine.Containers()
		killed(t, step, func(ctx context.Context) { l.Start().Deploy(ctx, agenttest.Own()) })
		forgot := *l
		forgot.Stack.Consent, forgot.Stack.Adopt = "", nil
		forgot.Apply()
		untouched(t, l, before)
		if receipt := l.Apply(); receipt.Outcome != "adopted" {
			t.Errorf("%s, again: %+v, %+v", step, receipt, receipt.Error)
		}
		untouched(t, l, before)
		checkAdopted(t, l)
	}
}

func TestThePlanSaysWhatIsTakenOver(t *testing.T) {
	l := byHand(t)
	var said []string
	for _, c := range observed(t, l).Changes {
		if c.Stack != "" {
			said = append(said, c.Action+" "+c.ID+": "+c.Cause)
		}
	}
	if text := strings.Join(said, "\n"); !strings.Contains(text, "~ services: adopts, and these keep running: app") || !strings.Contains(text, "~ volume data: it is taken over as it runs") {
		t.Error(text)
	}
	l.Stack.Adopt.Files[0].Data = []byte("services:\n  app:\n    image: app:2\n")
	if f := agenttest.Only(t, observed(t, l).Findings, finding.AdoptDiffers); !strings.Contains(f.Fix, "or deploy it again in what started it as project notes-by-hand") {
		t.Errorf("of a project with a name of its own: %+v", f)
	}
	l = byHand(t)
	l.Engine.Renew(l.Engine.Containers()[0].ID, "before")
	if f := agenttest.Only(t, observed(t, l).Findings, finding.AdoptDiffers); !strings.Contains(f.Fix, "in /opt/notes: docker compose -p notes-by-hand up --detach recreates them") {
		t.Errorf("made by another Compose: %+v", f)
	}
	l = byHand(t)
	l.Stack.Consent = ""
	if f := agenttest.Only(t, observed(t, l).Findings, finding.VolumeOccupied); f.Fix == "" {
		t.Errorf("without consent: %+v", f)
	}
}

// TestAnAdoptedStackIsUngated until its next recreate, which the plan names, whatever it is
// for.
func TestAnAdoptedStackIsUngated(t *testing.T) {
	l := &lived{byHand(t)}
	planned := func() ([]finding.Finding, []agentapi.Change) {
		state, _ := l.state(t)
		return stillUngated("alpha", state), state.Changes
	}
	if found, _ := planned(); found != nil {
		t.Errorf("before it is taken over: %+v", found)
	}
	if receipt := l.Apply(); receipt.Outcome != "adopted" {
		t.Fatalf("%+v", receipt)
	}
	l.Stack.Consent, l.Stack.Adopt = "", nil
	found, _ := planned()
	if f := agenttest.Only(t, found, finding.Ungated); f.Text != "Docker itself may start app after a boot" {
		t.Errorf("taken over: %+v", f)
	}
	l.Engine.Set(l.Engine.Containers()[0].ID, "exited")
	found, changes := planned()
	said := func(c agentapi.Change) bool {
		return c.Cause == "not running: app; recreated with Salvor's gate and secrets: app"
	}
	if len(found) > 0 || !slices.ContainsFunc(changes, said) {
		t.Errorf("stopped: %+v, %+v", found, changes)
	}
}

// draft is a host on which someone started a project that has no Compose file any more.
func draft(t *testing.T) *agenttest.Lived {
	t.Helper()
	l := byHand(t)
	l.Engine.Renew(l.Engine.Containers()[0].ID, "of a file that is gone")
	l.Stack.Draft = true
	return l
}

// TestADraftIsTakenOverByARecreate is issue 14: the data is the stack's and in a snapshot
// before a container is made again; from then on nothing is to do.
func TestADraftIsTakenOverByARecreate(t *testing.T) {
	l := draft(t)
	before := l.Engine.Containers()
	receipt := l.Apply()
	if receipt.Error != nil || receipt.Outcome != "deployed" || receipt.Born["data"].IsZero() || receipt.Images["app"] != "app:1@sha256:1" {
		t.Fatalf("%+v, %+v", receipt, receipt.Error)
	}
	if after := l.Engine.Containers(); len(after) != 1 || after[0].ID == before[0].ID || l.Data() != "all that I have" || l.Newest().ID == "" {
		t.Errorf("containers %+v, data %q, newest %+v", after, l.Data(), l.Newest())
	}
	before = l.Engine.Containers()
	if again := l.Apply(); again.Outcome != "adopted" {
		t.Errorf("again: %+v, %+v", again, again.Error)
	}
	l.Stack.Consent, l.Stack.Adopt, l.Stack.Draft = "", nil, false
	if again := l.Apply(); again.Outcome != "untouched" || cmp.Diff(before, l.Engine.Containers()) != "" {
		t.Errorf("then an apply: %+v", again)
	}
}

// TestADraftIsNotTakenOverUnasked: without the consent its containers run on.
func TestADraftIsNotTakenOverUnasked(t *testing.T) {
	l := draft(t)
	l.Stack.Consent, l.Stack.Adopt, l.Stack.Draft = "", nil, false
	before := l.Engine.Containers()
	if receipt := l.Apply(); receipt.Outcome != "failed" {
		t.Errorf("%+v", receipt)
	}
	untouched(t, l, before)
}

// TestADraftIsCutShort: killed at every step boundary, run again: the same end state.
func TestADraftIsCutShort(t *testing.T) {
	for _, step := range []string{"draft-marked", "draft-taken", "start"} {
		l := draft(t)
		before := l.Engine.Containers()
		killed(t, step, func(ctx context.Context) { l.Start().Deploy(ctx, agenttest.Own()) })
		if diff := cmp.Diff(before, l.Engine.Containers()); diff != "" {
			t.Errorf("%s: containers were touched: %s", step, diff)
		}
		if receipt := l.Apply(); receipt.Outcome != "deployed" || l.Data() != "all that I have" || l.Newest().ID == "" {
			t.Errorf("%s, again: %+v, %+v", step, receipt, receipt.Error)
		}
	}
}

func TestThePlanSaysWhatADraftMakesAgain(t *testing.T) {
	l := draft(t)
	l.Stack.Adopt.Files[0].Data = []byte("services:\n  app:\n    image: app:2\n")
	l.Stack.Project.Services[0].Image = "app:2"
	state := observed(t, l)
	i := slices.IndexFunc(state.Changes, func(c agentapi.Change) bool { return c.Kind() == agentapi.ChangeServices })
	want := "adopts a draft, and makes every container again: app; not as they run: app: image 1 → 2"
	if len(state.Findings) > 0 || i < 0 || state.Changes[i].Cause != want {
		t.Errorf("%+v", state)
	}
}
