package hostspec

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/route"
	"salvor/internal/secret"
)

func commit(stacks ...fleet.Stack) Commit {
	c := Commit{ID: "1a2b", Fleet: &fleet.Fleet{Name: "home", Stacks: stacks, Docker: fleet.Docker{Channel: "distribution"}}, Stacks: map[string]project.Rendered{}}
	for _, st := range stacks {
		c.Stacks[st.Name] = project.Rendered{Project: project.Project{Hash: "sha256:" + st.Name}, Volumes: []project.Volume{{Name: "data", Formerly: "old"}}}
	}
	c.Seal = func(host, stack string) (Seal, error) {
		return Seal{File: []byte(host + "/" + stack), Signature: []byte("signed"), Inputs: "sha256:inputs"}, nil
	}
	return c
}

func lock(placements map[string]fleet.Placement) fleet.Lock { return fleet.Lock{Stacks: placements} }

func TestNeededStacksComeFirst(t *testing.T) {
	c := commit(fleet.Stack{Name: "app", Needs: []string{"db", "proxy"}}, fleet.Stack{Name: "db", Needs: []string{"net"}}, fleet.Stack{Name: "net"}, fleet.Stack{Name: "proxy"}, fleet.Stack{Name: "elsewhere"})
	at := fleet.Placement{Host: "alpha", Epoch: 1}
	spec, err := c.Host(fleet.Host{Name: "alpha"}, lock(map[string]fleet.Placement{"app": at, "db": at, "net": at, "proxy": at, "elsewhere": {Host: "beta", Epoch: 1}}), Said{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, st := range spec.Stacks {
		names = append(names, st.Name)
	}
	if want := []string{"net", "db", "proxy", "app"}; !slices.Equal(names, want) {
		t.Errorf("order is %v, want %v", names, want)
	}
}

func TestWhatAStackIsMadeOf(t *testing.T) {
	c := commit(fleet.Stack{Name: "notes", PauseLimit: time.Minute}, fleet.Stack{Name: "torn", Broken: true})
	c.Fleet.Snapshots = []fleet.Target{{Name: "offsite", Every: time.Hour, AppendOnly: true}}
	born := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	p := fleet.Placement{
		Host: "alpha", Epoch: 3, Images: map[string]string{"web": "nginx@sha256:a"}, Repositories: map[string]string{"offsite": "r2"}, Former: map[string][]string{"offsite": {"r1"}},
		Volumes: map[string]fleet.VolumeState{"old": {Born: born}}, Restore: &fleet.Restore{ID: "w", Epoch: 2, Snapshot: "s"},
	}
	said := Said{Consent: map[string]project.Consent{"notes": project.ConsentFresh}, AcceptLoss: true}
	c.Fleet.Docker.Users, c.Fleet.Docker.LiveRestore = []string{"ops"}, true
	spec, err := c.Host(fleet.Host{Name: "alpha", Docker: fleet.Docker{Channel: "docker", Users: []string{}}}, lock(map[string]fleet.Placement{"notes": p, "torn": {Host: "alpha", Epoch: 1, Stopped: true}}), said)
	if err != nil || len(spec.Stacks) != 2 {
		t.Fatalf("%d stacks, %v", len(spec.Stacks), err)
	}
	notes, torn := spec.Stacks[0], spec.Stacks[1]
	if spec.Docker.Channel != "docker" || !spec.Docker.LiveRestore || spec.Docker.Users == nil || len(spec.Docker.Users) > 0 || notes.Epoch != 3 || notes.Project.Hash != "sha256:notes" || notes.Inputs != "sha256:inputs" || string(notes.Sealed) != "alpha/notes" || notes.PauseLimit != time.Minute {
		t.Errorf("notes is %+v", notes)
	}
	if notes.Consent != project.ConsentFresh || !notes.AcceptLoss || notes.Restore != nil || notes.Images["web"] != "nginx@sha256:a" {
		t.Errorf("notes is said %+v", notes)
	}
	if !notes.Volumes[0].Born.Equal(born) || !c.Stacks["notes"].Volumes[0].Born.IsZero() {
		t.Errorf("born %s, and in the commit %s", notes.Volumes[0].Born, c.Stacks["notes"].Volumes[0].Born)
	}
	if want := (agentapi.Target{Name: "offsite", Repository: "r2", Every: time.Hour, AppendOnly: true}); notes.Targets[0].Name != want.Name || notes.Targets[0].Repository != want.Repository || !slices.Equal(notes.Targets[0].Former, []string{"r1"}) || !notes.Targets[0].AppendOnly {
		t.Errorf("target is %+v", notes.Targets[0])
	}
	if !torn.Kept || !torn.Stopped || torn.Project.Hash != "" || torn.Volumes != nil || torn.Inputs != "" || string(torn.Sealed) != "alpha/torn" {
		t.Errorf("a stack that does not load is asked for as %+v", torn)
	}
}

// TestAreasAreListed: a salvord of a later version, which knows more of them, takes over no
// area that the operator's program does not know.
func TestAreasAreListed(t *testing.T) {
	for want, areas := range map[string]fleet.Areas{"docker, time": nil, "none": {}, "time": {fleet.AreaTime}} {
		spec, err := commit().Host(fleet.Host{Name: "alpha", Manage: areas}, lock(nil), Said{})
		if err != nil || spec.Manage == nil || spec.Manage.String() != want {
			t.Errorf("%v is asked for as %v, %v", areas, spec.Manage, err)
		}
	}
}

func TestASealThatCannotBeReadIsAnError(t *testing.T) {
	c := commit(fleet.Stack{Name: "notes"})
	c.Seal = func(string, string) (Seal, error) { return Seal{}, errors.New("no such file") }
	if _, err := c.Host(fleet.Host{Name: "alpha"}, lock(map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 1}}), Said{}); err == nil {
		t.Error("it is left out silently")
	}
}

// TestAStackThatIsNotDeclaredIsKept: it is in the lock until an apply removes it, which may
// be about other stacks first. The host is not asked to run nothing in its place.
func TestAStackThatIsNotDeclaredIsKept(t *testing.T) {
	at := fleet.Placement{Host: "alpha", Epoch: 2}
	spec, err := commit(fleet.Stack{Name: "notes"}).Host(fleet.Host{Name: "alpha"}, lock(map[string]fleet.Placement{"gone": at, "notes": at}), Said{})
	if err != nil || len(spec.Stacks) != 2 {
		t.Fatalf("%+v, %v", spec.Stacks, err)
	}
	if gone, notes := spec.Stacks[0], spec.Stacks[1]; !gone.Kept || gone.Epoch != 2 || notes.Kept {
		t.Errorf("%+v\n%+v", gone, notes)
	}
}

// TestIngress: a host that publishes gets how, with its own routes; another gets nothing.
func TestIngress(t *testing.T) {
	c := commit(fleet.Stack{Name: "notes", Publishes: true})
	token := secret.ParseSetting("secret:cloudflare")
	c.Fleet.Hosts = []fleet.Host{{Name: "alpha"}, {Name: "beta"}, {Name: "gamma"}}
	nas := route.Declared{Hostname: "nas.example.com", Service: "http://192.0.2.5"}
	c.Fleet.Ingress = fleet.Ingress{Provider: fleet.IngressCloudflare, Account: "a1", Token: token, Network: "edge", Routes: []fleet.HostRoute{{Host: "beta", Declared: nas}}, Tunnels: map[string]string{"beta": "t1"}}
	at := lock(map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 1}})
	pinned := fleet.ConnectorImage + "@sha256:a"
	at.Hosts = map[string]fleet.Placement{"alpha": {Host: "alpha", Epoch: 1, Images: map[string]string{fleet.ConnectorProject: pinned}}, "beta": {Host: "beta", Epoch: 1}, "gamma": {Host: "gamma", Epoch: 3}, "gone": {Host: "gone", Epoch: 2}}
	for _, h := range c.Fleet.Hosts {
		spec, err := c.Host(h, at, Said{})
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == "gamma" {
			if spec.Ingress != nil || spec.Own != nil || spec.Projects != nil {
				t.Errorf("a host without routes gets %+v, %+v", spec.Ingress, spec.Own)
			}
			continue
		}
		if i := spec.Ingress; i == nil || i.Account != "a1" || i.Network != "edge" || i.Hosts != 2 || len(i.Routes) != map[string]int{"beta": 1}[h.Name] || i.Tunnel != c.Fleet.Ingress.Tunnels[h.Name] || spec.Own == nil || string(spec.Own.Sealed) != h.Name+"/host."+h.Name {
			t.Errorf("%s gets %+v, %+v", h.Name, i, spec.Own)
		}
		if want := map[string]map[string]int{"beta": {"host.gamma": 2, "host.gone": 2}}[h.Name]; !maps.Equal(spec.Ingress.Former, want) {
			t.Errorf("%s takes over from %v", h.Name, spec.Ingress.Former)
		}
		if want := map[string]string{"alpha": pinned, "beta": fleet.ConnectorImage}[h.Name]; len(spec.Projects) != 1 || spec.Image(fleet.ConnectorProject) != want {
			t.Errorf("%s gets %+v", h.Name, spec.Projects)
		}
	}
}
