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
	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/hostprep"
	"salvor/internal/machine/machinetest"
	"salvor/internal/progress"
	"salvor/internal/project"
)

const gatedCompose = `services:
  app:
    image: reg/app:1
    volumes:
      - {type: bind, source: /run/salvor/gate/notes-renewed-test, target: /.salvor-gate}
      - {type: bind, source: /run/salvor/secrets/notes-renewed-test/app, target: /run/secrets}
`

// secretive is a stack with a gate and a secret, which runs and has written.
func secretive(t *testing.T) *lived {
	t.Helper()
	l := agenttest.New(t)
	l.Stack.Project.Compose, l.Stack.Project.Env = []byte(gatedCompose), []string{"PW"}
	l.Stack.Project.Secrets = []project.SecretMount{{Service: "app", Secret: "TOKEN", Target: "token", Mode: 0o400}}
	heretest.Seal(t, l.Host, &l.Stack, "alpha", agentapi.SealedFile{
		Remotes: map[string]agentapi.SealedRemote{"disk": {Type: "local"}}, Repositories: map[string][]byte{"aaaa0001": []byte(strings.Repeat("aaaa0001", 20))},
		Env: map[string][]byte{"PW": []byte("secret-pw")}, Secrets: map[string][]byte{"TOKEN": []byte("secret-token")},
	})
	if receipt := l.Apply(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	heretest.Write(t, l.Note, "all that I have")
	return &lived{l}
}

func askBack(l *lived) agentapi.HandBack {
	return agentapi.HandBack{Stacks: []agentapi.HandBackStack{{Name: l.Stack.Name, Epoch: l.Stack.Epoch, Hash: l.Stack.Project.Hash, Adopt: l.Stack.Adopt}}, Owner: "ann", Message: "host release alpha"}
}

const plainFolder = "/opt/stacks/" + heretest.Stack

// TestAStackIsGivenBack is issue 14, 3: planned, then without gate and from plain files; the
// host has forgotten it, and its data is as it was.
func TestAStackIsGivenBack(t *testing.T) {
	l := secretive(t)
	before := len(l.Engine.Files())
	plan, err := Leaving(l.agent()).HandBackPlan(t.Context(), askBack(l), progress.Discard())
	if err != nil || len(l.Engine.Files()) != before {
		t.Fatalf("%+v, %v, wrote %d files", plan, err, len(l.Engine.Files())-before)
	}
	p := plan.Stacks[0]
	if p.Folder != plainFolder || !slices.Equal(p.Recreates, []string{"app"}) || !slices.Equal(p.Secrets, []string{plainFolder + "/.env", plainFolder + "/secrets/app/token"}) {
		t.Errorf("planned %+v", p)
	}
	if _, err := Leaving(l.agent()).HandBack(t.Context(), askBack(l), progress.Discard()); err != nil {
		t.Fatal(err)
	}
	checkGivenBack(t, l)
}

// TestAStoppedStackStaysSo: its containers are made again without gate, and not started.
func TestAStoppedStackStaysSo(t *testing.T) {
	l := secretive(t)
	l.Stack.Stopped = true
	if receipt := l.Apply(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	plan, err := Leaving(l.agent()).HandBackPlan(t.Context(), askBack(l), progress.Discard())
	if err != nil || !plan.Stacks[0].Stopped || !slices.Equal(plan.Stacks[0].Recreates, []string{"app"}) {
		t.Errorf("planned %+v, %v", plan, err)
	}
	if _, err := Leaving(l.agent()).HandBack(t.Context(), askBack(l), progress.Discard()); err != nil {
		t.Fatal(err)
	}
	if all := l.Engine.Containers(); len(all) != 1 || all[0].Gated || all[0].State != "created" {
		t.Errorf("containers %+v", all)
	}
	if _, has := l.Engine.Files()[plainFolder+"/.env"]; !has || l.Data() != "all that I have" {
		t.Errorf("its .env is there: %v, its data is %q", has, l.Data())
	}
}

// checkGivenBack is the end of every release of such a stack.
func checkGivenBack(t *testing.T, l *lived) {
	t.Helper()
	all := l.Engine.Containers()
	if len(all) != 1 || all[0].Gated || all[0].State != "running" || all[0].Image != "reg/app:1@sha256:1" {
		t.Errorf("containers %+v", all)
	}
	files := l.Engine.Files()
	if env := files[plainFolder+"/.env"]; string(env.Content) != "PW='secret-pw'\n" || env.Mode != 0o600 {
		t.Errorf(".env %q, %o", env.Content, env.Mode)
	}
	if token := files[plainFolder+"/secrets/app/token"]; string(token.Content) != "secret-token" || token.Mode != 0o400 {
		t.Errorf("token %q, %o", token.Content, token.Mode)
	}
	spec, err := l.ReadSpec()
	if err != nil || len(spec.Stacks) > 0 || l.Data() != "all that I have" {
		t.Errorf("asked to be %+v, %v, data %q", spec.Stacks, err, l.Data())
	}
	known, err := l.Known()
	if err != nil || len(known) > 0 {
		t.Errorf("it remembers %v, %v", known, err)
	}
	for _, path := range []string{l.Paths.Gate(l.Stack.Name), l.Paths.Secrets().Stack(l.Stack.Name), l.Paths.Marker(l.Stack.Name, "data")} {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s is there: %v", path, err)
		}
	}
}

// TestAReleaseIsInterrupted is issue 14: killed at every step boundary, run again: the same end
// state, also with a boot or a round of the daemon in between.
func TestAReleaseIsInterrupted(t *testing.T) {
	for _, step := range []string{"hand-back-written", "hand-back-plain", "hand-back-unasked", "hand-back-notes", "hand-back-markers"} {
		for _, next := range []string{"at once", "daemon", "boot"} {
			t.Run(step+", "+next, func(t *testing.T) {
				l := secretive(t)
				killed(t, step, func(ctx context.Context) { _, _ = Leaving(l.agent()).HandBack(ctx, askBack(l), progress.Discard()) })
				spec, err := l.ReadSpec()
				if err != nil {
					t.Fatal(err)
				}
				if next == "daemon" && len(spec.Stacks) > 0 {
					l.round(t)
				}
				if next == "boot" && len(spec.Stacks) > 0 {
					l.Boot()
				}
				if _, err := Leaving(l.agent()).HandBack(t.Context(), askBack(l), progress.Discard()); err != nil {
					t.Fatal(err)
				}
				checkGivenBack(t, l)
			})
		}
	}
}

// TestWhatWasNeverMadeAgainIsNotTouched: a project that was adopted as it ran is forgotten,
// and nothing else.
func TestWhatWasNeverMadeAgainIsNotTouched(t *testing.T) {
	l := &lived{byHand(t)}
	before := l.Engine.Containers()
	if receipt := l.Apply(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	plan, err := Leaving(l.agent()).HandBackPlan(t.Context(), askBack(l), progress.Discard())
	if err != nil || plan.Stacks[0].Folder != "/opt/notes" || len(plan.Stacks[0].Recreates)+len(plan.Stacks[0].Secrets) > 0 {
		t.Fatalf("planned %+v, %v", plan, err)
	}
	if _, err := Leaving(l.agent()).HandBack(t.Context(), askBack(l), progress.Discard()); err != nil {
		t.Fatal(err)
	}
	untouched(t, l.Lived, before)
	for file := range l.Engine.Files() {
		if strings.HasPrefix(file, "/opt/") {
			t.Errorf("wrote %s", file)
		}
	}
	if spec, err := l.ReadSpec(); err != nil || len(spec.Stacks) > 0 || l.Data() != "all that I have" {
		t.Errorf("asked to be %+v, %v", spec.Stacks, err)
	}
}

func TestWhatIsNotGivenBack(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(l *lived, req *agentapi.HandBack)
		want  string
	}{
		"at another epoch": {func(_ *lived, req *agentapi.HandBack) { req.Stacks[0].Epoch = 7 }, "is here at epoch 1, not 7"},
		"handed over": {func(l *lived, _ *agentapi.HandBack) {
			local := l.Local(l.Stack.Name)
			local.Released = 1
			_ = l.SaveLocal(l.Stack.Name, local)
		}, "handed over for a move"},
		"a folder in use": {func(l *lived, _ *agentapi.HandBack) {
			_ = l.Engine.WriteFile(context.Background(), plainFolder+"/docker-compose.yml", strings.NewReader("services: {}\n"), 0o644)
		}, plainFolder + "/docker-compose.yml is there already"},
		"a file next to one of an interrupted run": {func(l *lived, _ *agentapi.HandBack) {
			for file, content := range map[string]string{"/compose.yaml": "# Stack " + l.Stack.Name + ", as it ran when `salvor host release` gave it back.\n", "/.env": "MINE=1\n"} {
				_ = l.Engine.WriteFile(context.Background(), plainFolder+file, strings.NewReader(content), 0o600)
			}
		}, plainFolder + "/.env is there already"},
		"a link out of the folder": {func(l *lived, _ *agentapi.HandBack) {
			l.Engine.Links = map[string]string{plainFolder + "/secrets": "/etc"}
		}, plainFolder + "/secrets/app/token leads out of " + plainFolder},
	} {
		l := secretive(t)
		req := askBack(l)
		c.spoil(l, &req)
		for _, ask := range []func(context.Context, agentapi.HandBack, progress.Sink) (agentapi.HandedBack, error){Leaving(l.agent()).HandBackPlan, Leaving(l.agent()).HandBack} {
			if _, err := ask(t.Context(), req, progress.Discard()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if all := l.Engine.Containers(); !all[0].Gated || all[0].State != "running" {
			t.Errorf("%s: containers %+v", name, all)
		}
	}
}

// emptied is a host that has no stack any more, with data in a folder of Salvor's.
func emptied(t *testing.T) (*lived, string) {
	t.Helper()
	l := secretive(t)
	if _, err := Leaving(l.agent()).HandBack(t.Context(), askBack(l), progress.Discard()); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(l.Paths.VolumesFolder(), "shop", "data", "kept")
	if err := os.MkdirAll(filepath.Dir(data), 0o700); err != nil {
		t.Fatal(err)
	}
	heretest.Write(t, data, "kept")
	m := machinetest.NewFake()
	for _, program := range []string{"systemctl", "rm", "apt-get"} {
		m.Say(0, "", program)
	}
	m.Say(1, "", "stat") // neither a firewall nor what takes changes back is there
	m.Say(127, "", "nft")
	l.Machine = m
	return l, data
}

// TestOwnPackagesGo: what Salvor installed for its own work goes with it, and only that.
func TestOwnPackagesGo(t *testing.T) {
	for _, brought := range [][]string{nil, {hostprep.SQLite}, hostprep.OwnPackages()} {
		l, _ := emptied(t)
		for _, name := range brought {
			if err := here.NoteBrought(l.Host, name); err != nil {
				t.Fatal(err)
			}
		}
		left, err := Leaving(l.agent()).Leave(t.Context(), agentapi.Leave{Owner: "ann"}, progress.Discard())
		if err != nil {
			t.Fatal(err)
		}
		var gone []string
		for _, what := range left.Removed {
			if name, is := strings.CutPrefix(what, "package "); is {
				gone = append(gone, name)
			}
		}
		if diff := cmp.Diff(brought, gone); diff != "" {
			t.Errorf("packages that went (-want +got): %s", diff)
		}
	}
}

// TestAHostsOwnProjectsGo: the connector is stopped, and reported.
func TestAHostsOwnProjectsGo(t *testing.T) {
	l, _ := emptied(t)
	spec, err := l.agent().Spec()
	if err != nil {
		t.Fatal(err)
	}
	spec.Projects = []agentapi.OwnProject{{Name: fleet.ConnectorProject, Image: fleet.ConnectorImage}}
	if err := l.agent().base().SaveSpec(spec); err != nil {
		t.Fatal(err)
	}
	l.Engine.Add(fleet.ConnectorProject, "connector-a", "running")
	left, err := Leaving(l.agent()).Leave(t.Context(), agentapi.Leave{Owner: "ann"}, progress.Discard())
	if err != nil || !slices.Contains(left.Removed, "project "+fleet.ConnectorProject) {
		t.Errorf("removed %v, %v", left.Removed, err)
	}
	for _, c := range l.Engine.Containers() {
		if c.Project == fleet.ConnectorProject {
			t.Errorf("%s is still there", c.ID)
		}
	}
}

// TestAHostIsLeft: nothing of Salvor stays, and all data does; interrupted at every step
// and run again it ends the same.
func TestAHostIsLeft(t *testing.T) {
	for _, step := range []string{"", "leave-routes", "leave-service", "leave-projects", "leave-way-in", "leave-trials", "leave-packages", "leave-memory", "leave-state", "leave-keys"} {
		l, data := emptied(t)
		leave := func(ctx context.Context) {
			if _, err := Leaving(l.agent()).Leave(ctx, agentapi.Leave{Owner: "ann"}, progress.Discard()); err != nil {
				t.Error(err)
			}
		}
		if step != "" {
			killed(t, step, leave)
		}
		leave(t.Context())
		for _, gone := range []string{l.Paths.Config, l.Paths.Run, l.Paths.Journal(), l.Paths.SpecCopy()} {
			if _, err := os.Lstat(gone); !os.IsNotExist(err) {
				t.Errorf("%s: %s is there: %v", step, gone, err)
			}
		}
		if kept, err := os.ReadFile(data); err != nil || string(kept) != "kept" {
			t.Errorf("%s: data %q, %v", step, kept, err)
		}
	}
	l := secretive(t)
	if _, err := Leaving(l.agent()).Leave(t.Context(), agentapi.Leave{}, progress.Discard()); err == nil {
		t.Error("a host with stacks was left")
	}
}
