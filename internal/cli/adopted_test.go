package cli

import (
	"testing"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/terminal"
)

// TestAdoptedScreens is what a person sees of a stack that is taken over, from its plan to
// the change that recreates its containers: until then it is called ungated.
func TestAdoptedScreens(t *testing.T) {
	ungated := finding.Finding{Code: finding.Ungated, Severity: finding.Warning, Subject: "alpha/notes", Text: "Docker itself may start app, db after a boot", Fix: "nothing to do now; their next change recreates them"}
	differs := finding.Finding{Code: finding.AdoptDiffers, Severity: finding.Fatal, Subject: "alpha/photos",
		Text: "what runs is not what the files in Git say: app: image 1.2 → 1.3, environment +SMTP_HOST ~MODE, ports ~80/tcp",
		Fix:  "put the files in Git as they are on the host, or deploy it again in Komodo, Dockge or Portainer if that started it; then run this again; salvor apply --take photos starts what Git says, with the data on this host"}
	one := &fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "alpha"}}, Stacks: []fleet.Stack{{Name: "notes", Host: "alpha"}}}
	plan := func(p *terminal.Page, moves []placement.Move, state agentapi.HostState) {
		made := deploy.MakePlan(one, "1a2b3c4d5e", moves, map[string]deploy.Observation{"alpha": {State: state}})
		printFindings(p, made.Findings)
		made.Render(p)
		p.Printf("\n--\n")
	}
	services := func(cause string) []agentapi.Change {
		return []agentapi.Change{{Stack: "notes", ID: "services", Action: "~", Cause: cause}}
	}
	goldenScreens(t, "adopted", func(p *terminal.Page) {
		plan(p, []placement.Move{{Stack: "notes", To: "alpha", Epoch: 1}}, agentapi.HostState{Findings: []finding.Finding{differs},
			Changes: services("adopts, and these keep running: app, db; compared by the apply, with their secrets: app")})
		row := func(name string) agentapi.ServiceRow { return agentapi.ServiceRow{Name: name, State: "running"} }
		printStatus(p, []deploy.HostStatus{{Host: "alpha", State: agentapi.HostState{Findings: []finding.Finding{ungated}, Stacks: []agentapi.StackState{{
			Name: "notes", Verdict: agentapi.VerdictOwn, Ungated: []string{"app", "db"}, Services: []agentapi.ServiceRow{row("app"), row("db")}, Volumes: []agentapi.VolumeRow{{Name: "data", Ready: true}},
			Snapshot: &agentapi.SnapshotInfo{Began: ago(time.Minute)}, Schedule: &agentapi.Schedule{Every: time.Hour, Next: noon.Add(59 * time.Minute)},
		}}}}}, called(one), noon)
		p.Printf("\n--\n")
		plan(p, nil, agentapi.HostState{Findings: []finding.Finding{ungated}})
		plan(p, nil, agentapi.HostState{Changes: services("not running: db; recreated with Salvor's gate and secrets: app, db")})
	})
}
