package hostlink

import (
	"encoding/json"
	"testing"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
)

// TestS05OwnProjectsAreHeldToTheQuestion: the lock learns no image that was not asked for, and
// no hostname is asked about that a change does not name.
func TestS05OwnProjectsAreHeldToTheQuestion(t *testing.T) {
	t.Parallel()
	q := question()
	q.Host.Projects = []agentapi.OwnProject{{Name: fleet.ConnectorProject, Image: "cloudflare/cloudflared:1"}}
	honest := agentapi.OwnProject{Name: fleet.ConnectorProject, Image: "cloudflare/cloudflared:1" + digest}
	started := time.Now().AddDate(50, 0, 0)
	for name, c := range map[string]struct {
		said    agentapi.OwnProject
		refused bool
	}{
		"honest":           {honest, false},
		"none runs":        {agentapi.OwnProject{Name: fleet.ConnectorProject}, false},
		"another image":    {agentapi.OwnProject{Name: fleet.ConnectorProject, Image: "evil.example/cloudflared:1" + digest}, true},
		"another version":  {agentapi.OwnProject{Name: fleet.ConnectorProject, Image: "cloudflare/cloudflared:2" + digest}, true},
		"no digest":        {agentapi.OwnProject{Name: fleet.ConnectorProject, Image: "cloudflare/cloudflared:1"}, true},
		"a stack's name":   {agentapi.OwnProject{Name: "notes", Image: honest.Image}, true},
		"not a name":       {agentapi.OwnProject{Name: "salvor-\x1b[31m", Image: honest.Image}, true},
		"image over lines": {agentapi.OwnProject{Name: fleet.ConnectorProject, Image: "a\n" + digest}, true},
	} {
		content, err := json.Marshal(map[string]any{"result": agentapi.HostState{Projects: []agentapi.ProjectState{{OwnProject: c.said, Services: []agentapi.ServiceRow{{Name: "a", Since: started}}}}}})
		if err != nil {
			t.Fatal(err)
		}
		var state agentapi.HostState
		if err := answered(string(content)+"\n", agentapi.Observe{Host: q.Host}, &state, agentapi.VerbObserve); err != nil || len(state.Projects) == 0 != c.refused || len(state.Findings) != 1 {
			t.Errorf("%s: %+v, %v", name, state, err)
		}
		if !c.refused && !state.Projects[0].Services[0].Since.IsZero() {
			t.Errorf("%s: it runs since %s", name, state.Projects[0].Services[0].Since)
		}
		if content, err = json.Marshal(map[string]any{"result": agentapi.HostReceipt{Host: "alpha", Commit: "c0ffee", Projects: []agentapi.OwnProject{c.said}}}); err != nil {
			t.Fatal(err)
		}
		var receipt agentapi.HostReceipt
		if err := answered(string(content)+"\n", q, &receipt, agentapi.VerbApply); err != nil || len(receipt.Projects) == 0 != c.refused {
			t.Errorf("%s: %+v, %v", name, receipt, err)
		}
	}
	var state agentapi.HostState
	err := answered(`{"result":{"guarded":["a.example.com","b\u001b[2J",""],"changes":[{"id":"route a.example.com","action":"~","opens":"a.example.com"},{"id":"route a.example.com","action":"~","opens":"b.example.com"}]}}`+"\n",
		agentapi.Observe{Host: q.Host}, &state, agentapi.VerbObserve)
	if err != nil || len(state.Guarded) != 1 || len(state.Changes) != 1 || state.Changes[0].Opens != "a.example.com" {
		t.Errorf("%+v, %v", state, err)
	}
}
