package agent

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/route"
)

func appliedHost() agentapi.Host {
	return agentapi.Host{Schema: 1, Fleet: "home", Name: "alpha", Commit: "c1", Docker: fleet.Docker{Channel: "distribution", URL: "u", Key: "k", Users: []string{"ops"}},
		Mounts:   []fleet.Mount{{Name: "nas", At: "/mnt/nas", Kind: fleet.MountSMB, Source: "//nas/a", Options: "ro", Credentials: "nas"}},
		Networks: []fleet.Network{{Name: "lan", Driver: "bridge", Subnet: "10.0.0.0/24"}}, Git: agentapi.Git{URL: "git@g:f", Branch: "main", KnownHosts: []string{"g ssh"}},
		SSH: agentapi.SSH{User: "root", Keys: []string{"k1"}}, Outside: agentapi.Outside{SSHFrom: []fleet.Source{fleet.Tailnet}, Open: []fleet.OpenPort{"80/tcp"}}, Record: fleet.Location{Remote: "nas", Path: "salvor/record"},
		Stacks: []agentapi.Stack{{Name: "notes", Epoch: 2, Project: project.Project{Dir: "/d", Hash: "h"}, Sealed: []byte("s"), RPO: time.Hour, PauseLimit: 5 * time.Second, PauseEvery: time.Hour,
			Needs: []string{"db"}, Stops: []string{"app"}, Volumes: []project.Volume{{Name: "data", Exclude: []string{"*.tmp"}, Source: "data", Docker: "notes_data", Path: "/p", Protect: fleet.Snapshot, Method: fleet.Pause, Services: []string{"app"}, Service: "app", MountAt: "/data"}},
			Targets: []agentapi.Target{{Name: "offsite", Where: fleet.Location{Remote: "nas", Path: "salvor/snapshots"}, Repository: "aa", Former: []string{"00"}, Every: 15 * time.Minute, Keep: fleet.Keep{Last: 8, Hourly: 1, Daily: 1, Weekly: 1, Monthly: 1, Yearly: 1}}}}}}
}

// TestSettingsArrive is faults V14 and D8: settings that changed alone never reached
// a host, and plan said that everything is as declared.
func TestSettingsArrive(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*agentapi.Host, *agentapi.Stack)
		want   string
	}{
		"schedule": {func(_ *agentapi.Host, st *agentapi.Stack) {
			st.Targets[0].Every, st.Targets[0].Keep = 5*time.Minute, fleet.Keep{Last: 3, Hourly: 24}
		}, "target offsite: every 15m → 5m; target offsite: keep last 8, hourly 1, daily 1, weekly 1, monthly 1, yearly 1 → last 3, hourly 24"},
		"rpo and pause": {func(_ *agentapi.Host, st *agentapi.Stack) { st.RPO, st.PauseLimit = 0, 10*time.Second }, "rpo 1h → none; pause limit 5s → 10s"},
		"append-only":   {func(_ *agentapi.Host, st *agentapi.Stack) { st.Targets[0].AppendOnly = true }, "target offsite: append_only false → true"},
		"a third target": {func(_ *agentapi.Host, st *agentapi.Stack) {
			st.Targets = append(st.Targets, agentapi.Target{Name: "nas", Every: time.Hour})
		}, "target nas added"},
		"a target less": {func(_ *agentapi.Host, st *agentapi.Stack) { st.Targets = nil }, "target offsite removed"},
		"protection":    {func(_ *agentapi.Host, st *agentapi.Stack) { st.Volumes[0].Protect = fleet.None }, "volume data: protect snapshot → none"},
		"needs":         {func(_ *agentapi.Host, st *agentapi.Stack) { st.Needs = nil }, "needs db → none"},
		"network":       {func(h *agentapi.Host, _ *agentapi.Stack) { h.Networks[0].Subnet = "10.1.0.0/24" }, "network lan: subnet 10.0.0.0/24 → 10.1.0.0/24"},
		"mount":         {func(h *agentapi.Host, _ *agentapi.Stack) { h.Mounts[0].Options = "" }, "mount nas: options ro → none"},
		"SSH from": {func(h *agentapi.Host, _ *agentapi.Stack) {
			h.Outside.SSHFrom = []fleet.Source{"192.0.2.0/24", fleet.Tailnet}
		}, "SSH from tailnet → 192.0.2.0/24, tailnet"},
		"Docker set up": {func(h *agentapi.Host, _ *agentapi.Stack) { h.Docker.LiveRestore, h.Docker.Users = true, []string{} }, "docker live-restore none → yes; docker users ops → no one"},
		"open ports":    {func(h *agentapi.Host, _ *agentapi.Stack) { h.Outside.Open = nil }, "open ports 80/tcp → none"},
		"publishing": {func(h *agentapi.Host, _ *agentapi.Stack) {
			h.Ingress = &agentapi.Ingress{Account: "a1", Network: "edge", Hosts: 1, Routes: []route.Route{{Hostname: "nas.example.com", Service: "http://192.0.2.5"}}}
		}, "ingress added\nhttp://192.0.2.5 for everyone"},
		"bandwidth":         {func(h *agentapi.Host, _ *agentapi.Stack) { h.Bandwidth = map[string]string{"nas": "1M"} }, "bandwidth of nas 1M"},
		"mount removed":     {func(h *agentapi.Host, _ *agentapi.Stack) { h.Mounts = nil }, "mount nas removed"},
		"network added":     {func(h *agentapi.Host, _ *agentapi.Stack) { h.Networks = append(h.Networks, fleet.Network{Name: "dmz"}) }, "network dmz added"},
		"address of Git":    {func(h *agentapi.Host, _ *agentapi.Stack) { h.Git.URL = "git@h:f" }, "Git address git@g:f → git@h:f"},
		"another project":   {func(_ *agentapi.Host, st *agentapi.Stack) { st.Project.Hash, st.Volumes = "i", nil }, ""},
		"class and project": {func(_ *agentapi.Host, st *agentapi.Stack) { st.Project.Hash, st.Volumes[0].Protect = "i", fleet.None }, "volume data: protect snapshot → none"},
	} {
		want := appliedHost()
		c.change(&want, &want.Stacks[0])
		var causes []string
		for _, change := range settingsChanges(appliedHost(), want, nil) {
			causes = append(causes, change.Cause)
		}
		if diff := cmp.Diff(c.want, strings.Join(causes, "\n")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestEverySettingIsCompared changes each value of a host's file in turn: it is a
// change in the plan, or it is listed here with the reason why not.
func TestEverySettingIsCompared(t *testing.T) {
	elsewhere := []string{
		"Manage",                                                                                                                                                      // the areas' changes
		"Commit",                                                                                                                                                      // differs with every apply
		"Stacks[0].Epoch", "Stacks[0].Sealed", "Stacks[0].Signature", "Stacks[0].Inputs", "Stacks[0].Project.Name", "Stacks[0].Project.Dir", "Stacks[0].Project.Hash", // the services' change, or the secrets'
		"Stacks[0].Project.Compose", "Stacks[0].Project.Files", "Stacks[0].Project.Services", // part of the hash
		"Stacks[0].Project.Env", "Stacks[0].Project.Secrets", "Stacks[0].Project.Networks", "Stacks[0].Project.Volumes", // part of the hash
		"Stacks[0].Project.Routes",                                                                                                                                                                                      // of a host that publishes, see TestRouteChanges
		"Stacks[0].Images", "Stacks[0].Restore", "Stacks[0].Proven", "Stacks[0].Consent", "Stacks[0].Adopt", "Stacks[0].Draft", "Stacks[0].AcceptLoss", "Stacks[0].From", "Stacks[0].Kept", "Stacks[0].Volumes[0].Born", // learned, or said once
	}
	for _, place := range values(reflect.TypeOf(agentapi.Host{}), reflect.ValueOf(appliedHost()), "") {
		want := appliedHost()
		change(at(reflect.ValueOf(&want).Elem(), place))
		if found := len(settingsChanges(appliedHost(), want, nil)) > 0; found == slices.Contains(elsewhere, place) {
			t.Errorf("%s changes: shown in the plan is %v", place, found)
		}
	}
}

// TestStoppedStackGetsItsFile: a stack that does not run has no services to differ.
func TestStoppedStackGetsItsFile(t *testing.T) {
	for name, alter := range map[string]func(*agentapi.Stack){
		"project": func(st *agentapi.Stack) { st.Project.Hash = "i" }, "seal": func(st *agentapi.Stack) { st.Sealed = []byte("t") },
		"epoch": func(st *agentapi.Stack) { st.Epoch = 3 }, "stopped": func(st *agentapi.Stack) { st.Stopped = false },
	} {
		was, now := appliedHost(), appliedHost()
		was.Stacks[0].Stopped, now.Stacks[0].Stopped = true, true
		alter(&now.Stacks[0])
		if len(settingsChanges(was, now, nil)) != 1 {
			t.Errorf("%s: not in the plan", name)
		}
	}
}

// TestLostFileIsWrittenAnew is part of fault V18: without its file a host boots
// nothing, and nothing of what runs differs.
func TestLostFileIsWrittenAnew(t *testing.T) {
	if got := settingsChanges(agentapi.Host{}, appliedHost(), nil); len(got) != 2 {
		t.Errorf("a host without its file: %+v", got)
	}
	other := []agentapi.Change{{Stack: "notes", ID: "services"}}
	if got := settingsChanges(agentapi.Host{}, appliedHost(), other); len(got) != 0 {
		t.Errorf("a new host's settings are told twice: %+v", got)
	}
	without := appliedHost()
	without.Stacks = nil
	if got := settingsChanges(without, appliedHost(), nil); len(got) != 1 || got[0].Stack != "notes" {
		t.Errorf("a stack that the file lacks: %+v", got)
	}
}

// values returns the paths of all values below v. Of a list, the first element.
func values(typ reflect.Type, v reflect.Value, path string) []string {
	switch {
	case typ.Kind() == reflect.Struct && typ != reflect.TypeOf(time.Time{}):
		var all []string
		for i := range typ.NumField() {
			name := strings.TrimPrefix(path+"."+typ.Field(i).Name, ".")
			all = append(all, values(typ.Field(i).Type, v.Field(i), name)...)
		}
		return all
	case typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.Struct && v.Len() > 0:
		return values(typ.Elem(), v.Index(0), path+"[0]")
	}
	return []string{path}
}

func at(v reflect.Value, path string) reflect.Value {
	for _, name := range strings.Split(path, ".") {
		name, first := strings.CutSuffix(name, "[0]")
		if v = v.FieldByName(name); first {
			v = v.Index(0)
		}
	}
	return v
}

// change gives a value that it did not have.
func change(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("x"), reflect.Zero(v.Type().Elem()))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	default:
		v.Set(reflect.ValueOf(time.Unix(1, 0)))
	}
}
