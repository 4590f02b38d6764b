package cli

import (
	"strings"
	"testing"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

// morning is a fleet on a bad morning.
func morning() []deploy.HostStatus {
	service := func(name, state string) agentapi.ServiceRow { return agentapi.ServiceRow{Name: name, State: state} }
	snapshot := func(d time.Duration) *agentapi.SnapshotInfo { return &agentapi.SnapshotInfo{Began: ago(d)} }
	data := []agentapi.VolumeRow{{Name: "data", Ready: true}}
	loop, byHand, prep := service("app", "restarting"), service("web", "exited"), service("prep", "exited")
	loop.Exit, loop.Restarts, byHand.ByHand, prep.Done = 1, 12, true, true
	alpha := agentapi.HostState{
		Stacks: []agentapi.StackState{
			{Name: "notes", Verdict: agentapi.VerdictOwn, Services: []agentapi.ServiceRow{loop, service("db", "running"), prep, byHand}, Volumes: data, Snapshot: snapshot(19 * time.Minute),
				Schedule: &agentapi.Schedule{Every: time.Hour, Next: noon.Add(41 * time.Minute), Pausing: []string{"data"}}, Targets: []agentapi.TargetState{
					{Name: "nas", Volumes: []agentapi.VolumeData{{Name: "data", At: ago(19 * time.Minute)}}}, {Name: "attic", Volumes: []agentapi.VolumeData{{Name: "data"}}},
					{Name: "offsite", Silent: true, Volumes: []agentapi.VolumeData{{Name: "data", At: ago(20 * time.Minute)}, {Name: "db", At: ago(26 * time.Hour)}}},
				}},
			{Name: "photos", Verdict: agentapi.VerdictOwn, Services: []agentapi.ServiceRow{service("app", "running")}, Volumes: data, Snapshot: snapshot(3 * time.Minute),
				Schedule: &agentapi.Schedule{Every: 15 * time.Minute, Next: noon.Add(12 * time.Minute)}},
			{Name: "films", Verdict: agentapi.VerdictOwn, Services: []agentapi.ServiceRow{service("web", "running")}, Outside: []string{"/mnt/nas/films"}},
			{Name: "site", Verdict: agentapi.VerdictOwn, Services: []agentapi.ServiceRow{service("web", "running")}},
			{Name: "old", Verdict: agentapi.VerdictOwn, Stopped: true, Volumes: data, Services: []agentapi.ServiceRow{service("app", "exited")}, Snapshot: snapshot(76 * time.Hour)},
			{Name: "shop", Verdict: agentapi.VerdictLost, Volumes: data, Services: []agentapi.ServiceRow{service("app", "exited")}, SnapshotUnknown: "the remote does not answer"},
		},
		Findings: []finding.Finding{
			{Code: finding.CrashLoop, Severity: finding.Warning, Subject: "alpha/notes", Text: `service app keeps ending: exit code 1, restarted 12 times; it said last: cannot open /data/notes.db`,
				Fix: "salvor logs notes app; once it is repaired: salvor restart notes app"},
			{Code: finding.NotAsCommitted, Severity: finding.Warning, Subject: "alpha/photos", Text: "commit 1a2b3c4 did not start: service app: exited with code 1; the previous version runs", Fix: "salvor rollback photos, or correct it and run salvor apply"},
			{Code: finding.Fenced, Severity: finding.Info, Subject: "alpha/shop", Text: "gamma claimed epoch 4", Fix: "nothing to do: it is stopped here and its data is kept"},
		},
	}
	return []deploy.HostStatus{
		{Host: "alpha", State: alpha},
		{Host: "beta", Error: "beta: host unreachable: root@192.0.2.11:22: no answer in 10s", Hint: "if beta is lost permanently: salvor recover beta --to HOST", Placed: []string{"cal", "wiki"},
			Newest: map[string]deploy.LastSnapshot{"wiki": {At: ago(14 * time.Minute), From: "alpha"}, "cal": {At: ago(26 * time.Hour)}}},
		{Host: "gamma", State: agentapi.HostState{Projects: []agentapi.ProjectState{{OwnProject: agentapi.OwnProject{Name: fleet.ConnectorProject}, Services: []agentapi.ServiceRow{service("connector-a", "running")}}}}},
	}
}

func TestStatusScreens(t *testing.T) {
	goldenScreens(t, "status", func(p *terminal.Page) { printStatus(p, morning(), called(&fleet.Fleet{}), noon) })
}

// TestStatusIsTrue is the faults D19, D24 and F9: exit code 0 with a host gone and a
// service down, a one-shot that ended well counted as not up.
func TestStatusIsTrue(t *testing.T) {
	host := func(found []finding.Finding, stacks ...agentapi.StackState) []deploy.HostStatus {
		return []deploy.HostStatus{{Host: "alpha", State: agentapi.HostState{Stacks: stacks, Findings: found}}}
	}
	stack := func(rows ...agentapi.ServiceRow) agentapi.StackState {
		return agentapi.StackState{Name: "notes", Services: rows}
	}
	well := stack(agentapi.ServiceRow{State: "running"}, agentapi.ServiceRow{State: "exited", Done: true}, agentapi.ServiceRow{State: "paused"})
	down := stack(agentapi.ServiceRow{State: "restarting"})
	stopped, lost := down, down
	stopped.Stopped, lost.Verdict = true, agentapi.VerdictLost
	byHand := stack(agentapi.ServiceRow{State: "exited", ByHand: true})
	warned := []finding.Finding{{Severity: finding.Warning, Subject: "alpha/notes"}}
	for name, c := range map[string]struct {
		all          []deploy.HostStatus
		here         []finding.Finding
		code, strict int
	}{
		"well":                {host(nil, well, stopped, lost), nil, fault.OK, fault.OK},
		"down":                {host(nil, well, down), nil, fault.Partial, fault.Partial},
		"a connector down":    {[]deploy.HostStatus{{Host: "alpha", State: agentapi.HostState{Projects: []agentapi.ProjectState{{Services: down.Services}}}}}, nil, fault.Partial, fault.Partial},
		"unhealthy":           {host(nil, stack(agentapi.ServiceRow{State: "running", Health: "unhealthy"})), nil, fault.Partial, fault.Partial},
		"stopped by hand":     {host(nil, byHand), nil, fault.OK, fault.Partial},
		"a warning":           {host(warned, well), nil, fault.OK, fault.Partial},
		"something to know":   {host([]finding.Finding{{Severity: finding.Info, Subject: "alpha"}}, well), nil, fault.OK, fault.OK},
		"not committed":       {host(nil, well), warned, fault.OK, fault.Partial},
		"no answer from beta": {append(host(nil, down), deploy.HostStatus{Host: "beta", Error: "no answer"}), nil, fault.Unreachable, fault.Unreachable},
	} {
		for strict, want := range map[bool]int{false: c.code, true: c.strict} {
			err := unwell(c.all, c.here, strict)
			if code, _ := fault.Code(err); err != nil && code != want || err == nil && want != fault.OK {
				t.Errorf("%s, strict %t: ends with %v, want %d", name, strict, err, want)
			}
		}
	}
}

// TestPsScreens.
func TestPsScreens(t *testing.T) {
	began := time.Now().Add(-3*time.Hour - 12*time.Minute)
	all := []deploy.HostServices{{Host: "alpha", Stacks: []agentapi.StackServices{
		{Name: "notes", Services: []agentapi.ServiceRow{
			{Name: "app", State: "restarting", Exit: 1, Restarts: 12, Since: began, Image: "registry.example.net/notes:1.4@sha256:aaaa"},
			{Name: "db", State: "running", Health: "healthy", Since: began, Image: "postgres:16", Ports: []string{"127.0.0.1:5432->5432"}},
			{Name: "web", State: "exited", ByHand: true, Since: began, Image: "nginx:1", Ports: []string{"80->80", "443->443"}},
		}},
		{Name: "old", Stopped: true},
	}}, {Host: "beta", Error: "beta: host unreachable: root@192.0.2.11:22: no answer in 10s", Placed: []string{"wiki"}, Hint: "if beta is lost permanently: salvor recover beta --to HOST"}}
	goldenScreens(t, "ps", func(p *terminal.Page) {
		if err := printPs(p, all, called(&fleet.Fleet{}), false); err != nil {
			t.Error(err)
		}
	})
}

// TestLogsOfHostsOwnProjects: of every host that has it, or of one.
func TestLogsOfHostsOwnProjects(t *testing.T) {
	t.Parallel()
	f := &fleet.Fleet{Hosts: []fleet.Host{{Name: "alpha"}, {Name: "beta"}, {Name: "gamma"}}, Stacks: []fleet.Stack{{Name: "notes", Publishes: true}, {Name: "blog", Publishes: true}},
		Ingress: fleet.Ingress{Provider: fleet.IngressCloudflare, Account: "a", Token: secret.ParseSetting("secret:t")}}
	lock := fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 1}, "blog": {Host: "beta", Epoch: 1}}}
	for arg, want := range map[string]string{
		"salvor-cloudflared": "alpha beta", "beta/salvor-cloudflared": "beta", "notes": "not", "notes/app": "not",
		"gamma/salvor-cloudflared": "no host has the project gamma/salvor-cloudflared", "salvor-other": "no host has the project salvor-other",
	} {
		asked, own, err := ownLogs(f, lock, arg)
		var hosts []string
		for _, one := range asked {
			hosts = append(hosts, one.host)
		}
		got := strings.Join(hosts, " ")
		if err != nil {
			got = err.Error()
		} else if !own {
			got = "not"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", arg, got, want)
		}
	}
}
