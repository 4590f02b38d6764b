package scenarios

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/fault"
	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// An adoption is a server in use, on its way into a fleet.
type adoption struct {
	*scenario.Scenario
	w         *world.World
	images    world.Images
	url       string // of the collector
	collector *oracle.Collector
	projects  []homemade
	alpha     *lab.Host // where they run
	gamma     *lab.Host // where port 80 is taken, and a stack of Salvor's runs
	delta     *lab.Host // where there is room
	shelf     []oracle.Entry
	before    untaken
	covered   time.Time // the first snapshots began after it
}

// An untaken is what must stay as it is on a host that is taken over.
type untaken struct {
	containers string // ids, start times, restarts, hashes
	files      string // sums, modes, owners and times of all that people wrote
	places     string // of the data
	database   string // since when Postgres runs
}

// TestAdopt takes over a server that is in use: a stack of a project's name is refused,
// the projects become stacks without a container that is recreated, and when the server
// dies they run elsewhere with their data, on a host where they fit.
func TestAdopt(t *testing.T) {
	a := inUse(t, scenario.Begin(t, usualFor))
	for _, step := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"a stack of a project's name is refused", a.refused},
		{"adopt", a.adopts},
		{"apply --adopt", a.takesOver},
		{"a stack of Salvor's on another host", a.lamps},
		{"the host dies, and one is taken", a.doesNotFit},
		{"recovered elsewhere", a.recovered},
		{"given back", a.givenBack},
	} {
		began := time.Now()
		step.run(t)
		if t.Failed() {
			t.FailNow()
		}
		t.Logf("%s: %s", step.name, time.Since(began).Round(time.Second/10))
	}
	t.Log("proved: no container was recreated, no file of the user's and no row changed, the data came back elsewhere, and a host was given back")
}

// inUse starts the fleet's surroundings, and on alpha what people have there.
func inUse(t *testing.T, s *scenario.Scenario) *adoption {
	t.Helper()
	ctx, began := t.Context(), time.Now()
	a := &adoption{Scenario: s, collector: &oracle.Collector{}}
	var err error
	a.w, err = world.New(ctx, s.Lab, world.Options{Log: testLog{t}})
	must(t, err)
	a.images, err = a.w.Images(ctx)
	must(t, err)
	a.url = listen(t, s.Lab, a.collector)
	a.projects = homemades(a.images, a.url)
	if s.Full {
		a.projects = append(a.projects, oddities(a.images, a.url)...)
	}
	a.alpha, err = a.w.Host(ctx, "alpha", lab.HostOptions{Prepared: true})
	must(t, err)
	_, err = a.alpha.Exec(ctx, "python3", "-c", makeTree)
	must(t, err)
	exec(t, a.alpha, "docker network create front")
	for _, p := range a.projects {
		p.starts(t, a.alpha)
	}
	for _, p := range thoseThatWrite(a.projects) {
		writesAfter(t, a.collector, p.name, time.Time{})
	}
	exec(t, a.alpha, "rm -r /opt/stacks/old")
	must(t, a.w.AddWith(ctx, a.alpha))
	a.shelf, err = a.alpha.Manifest(ctx, goods)
	must(t, err)
	a.before = a.untaken(t)
	s.Count("projects", len(a.projects))
	s.Count("containers", strings.Count(a.before.containers, "\n")+1)
	s.Count("files of the user's", strings.Count(a.before.files, "\n")+1)
	t.Logf("a server with %d projects under load: %s", len(a.projects), time.Since(began).Round(time.Second/10))
	return a
}

// untaken looks at alpha.
func (a *adoption) untaken(t *testing.T) untaken {
	t.Helper()
	const theirs = `find /opt/stacks /srv/blog /home/ann /etc/docker /mnt/pictures -name '*data' -prune -o -type f`
	return untaken{
		containers: exec(t, a.alpha, `docker ps -aq --no-trunc | sort | xargs docker inspect -f '{{.Name}} {{.Id}} {{.State.StartedAt}} {{.RestartCount}} {{.State.Status}} {{index .Config.Labels "com.docker.compose.config-hash"}}'`),
		files:      exec(t, a.alpha, theirs+` -exec sha256sum {} + | sort -k 2; `+theirs+` -exec stat -c '%n %a %u:%g %Y %i' {} + | sort`),
		places:     exec(t, a.alpha, `docker volume ls -q | sort; stat -c '%n %i %a %u:%g' /opt/stacks/diary/data /srv/goods /var/lib/docker/volumes/*/_data`),
		database:   exec(t, a.alpha, `docker exec blog-db-1 psql -U postgres -Atc 'select pg_postmaster_start_time()'`),
	}
}

// undisturbed checks that all of alpha is as it was, and that it writes on.
func (a *adoption) undisturbed(t *testing.T) {
	t.Helper()
	now := a.untaken(t)
	for what, pair := range map[string][2]string{
		"containers": {a.before.containers, now.containers}, "files": {a.before.files, now.files},
		"data": {a.before.places, now.places}, "the database": {a.before.database, now.database},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s changed. Before:\n%s\nNow:\n%s", what, pair[0], pair[1])
		}
	}
	since := time.Now()
	for _, p := range thoseThatWrite(a.projects) {
		writesAfter(t, a.collector, p.name, since)
		holdsAll(t, a.Scenario, a.collector, a.alpha, p.stack())
	}
}

// refused is a plain apply of stacks that have the names of what runs there.
func (a *adoption) refused(t *testing.T) {
	ctx := t.Context()
	namesakes := map[string]string{
		"blog": "x-salvor: {host: alpha}\nservices: {app: {image: example.org/other, volumes: [\"db:/data\"]}}\nvolumes: {db: {}}\n",
		"shop": "x-salvor: {host: alpha}\nservices: {other: {image: example.org/other}}\n",
	}
	for name, content := range namesakes {
		must(t, a.w.Write("stacks/"+name+"/compose.yaml", content))
	}
	must(t, a.w.Commit(ctx, "stacks of the same names"))
	for _, command := range []string{"plan", "apply"} {
		out, err := a.w.Salvor(ctx, nil, command)
		for name := range namesakes {
			if said := out + fmt.Sprint(err); !strings.Contains(said, "alpha/"+name) || !strings.Contains(said, "salvor apply --adopt "+name) {
				t.Errorf("salvor %s does not say that %s runs there", command, name)
			}
		}
		if command == "apply" && err == nil {
			t.Error("apply did what it must refuse")
		}
		a.Count("commands refused", 1)
	}
	a.undisturbed(t)
	for name := range namesakes {
		must(t, os.RemoveAll(filepath.Join(a.w.Dir, "stacks", name)))
	}
	must(t, a.w.Commit(ctx, "not like that"))
	must(t, a.w.Push(ctx))
}

// adopts makes stacks of the projects, after a look, but for one that has no file and would
// become a draft.
func (a *adoption) adopts(t *testing.T) {
	ctx := t.Context()
	out, err := a.w.Salvor(ctx, nil, "adopt", "alpha", "--observe")
	must(t, err)
	if left, err := a.w.Unfinished(ctx); err != nil || left != "" {
		t.Errorf("a look wrote %s, %v", left, err)
	}
	for _, p := range a.projects {
		if !strings.Contains(out, "\n"+p.name+" ") || p.only != "" && !strings.Contains(out, p.only) {
			t.Errorf("%s is not listed, or without %q", p.name, p.only)
		}
	}
	_, err = a.w.Salvor(ctx, nil, append([]string{"adopt", "alpha"}, a.names()...)...)
	must(t, err)
	made, err := filepath.Glob(filepath.Join(a.w.Dir, "stacks", "*"))
	must(t, err)
	for i := range made {
		made[i] = filepath.Base(made[i])
	}
	if !slices.Equal(made, a.names()) {
		t.Errorf("stacks were made of %v, want %v", made, a.names())
	}
	a.noSecrets(t)
	a.undisturbed(t)
}

// noSecrets looks for the projects' secrets in what the operator has.
func (a *adoption) noSecrets(t *testing.T) {
	t.Helper()
	must(t, filepath.WalkDir(a.w.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), "canary-") {
			t.Errorf("%s has a secret in plain text", path)
		}
		return err
	}))
}

// names are the projects that are taken over, sorted.
func (a *adoption) names() (all []string) {
	for _, p := range taken(a.projects) {
		all = append(all, p.name)
	}
	slices.Sort(all)
	return all
}

// unhurried gives adopted stacks as long for a snapshot's pause as the lab's own have: a stack whose
// first snapshot fails waits an hour for the next.
func unhurried(t *testing.T, w *world.World, stacks ...string) {
	t.Helper()
	const host = "x-salvor:\n  host: alpha\n"
	for _, name := range stacks {
		files, err := filepath.Glob(filepath.Join(w.Dir, "stacks", name, "*compose.y*ml"))
		must(t, err)
		if len(files) != 1 {
			t.Fatalf("the Compose files of %s are %v", name, files)
		}
		content, err := os.ReadFile(files[0])
		must(t, err)
		if !bytes.Contains(content, []byte(host)) {
			t.Fatalf("%s has no %q:\n%s", files[0], host, content)
		}
		must(t, os.WriteFile(files[0], bytes.Replace(content, []byte(host), []byte(host+"  pause: {limit: "+world.PauseLimit+"}\n"), 1), 0o600))
	}
}

// takesOver is the apply that was asked to.
func (a *adoption) takesOver(t *testing.T) {
	ctx := t.Context()
	unhurried(t, a.w, a.names()...)
	must(t, a.w.Commit(ctx, "pauses may take longer"))
	a.covered = time.Now()
	_, err := a.w.Salvor(ctx, nil, "apply", "--adopt", strings.Join(a.names(), ","))
	must(t, err)
	settled(t, a.w)
	if _, err := a.w.Salvor(ctx, nil, "apply"); err != nil {
		t.Error(err)
	}
	a.undisturbed(t)
	a.Count("stacks taken over", len(a.names()))
	a.Count("containers recreated", 0)
	for _, p := range a.projects {
		if p.only != "" {
			a.Count("projects only observed", 1)
		}
	}
}

// lamp is a stack with a secret that Salvor has deployed.
func lamp() world.Stack {
	return world.Stack{Name: "lamp", Store: "sqlite", Host: "gamma", Port: 8099, Every: "50ms", Size: 100}
}

// lamps starts it on gamma.
func (a *adoption) lamps(t *testing.T) {
	ctx := t.Context()
	hosts := spares(t, a.w, "gamma", "delta")
	a.gamma, a.delta = hosts[0], hosts[1]
	_, err := a.w.Salvor(ctx, strings.NewReader("canary-of-the-lamp"), "secret", "set", "lamp/TOKEN")
	must(t, err)
	compose := strings.Replace(lamp().Compose(a.images, a.url), "    restart: unless-stopped\n", "    restart: unless-stopped\n    secrets: [TOKEN]\n", 1)
	must(t, a.w.Write("stacks/lamp/compose.yaml", compose+"secrets: {TOKEN: {environment: TOKEN}}\n"))
	must(t, a.w.Commit(ctx, "a lamp"))
	_, err = a.w.Salvor(ctx, nil, "apply", "lamp")
	must(t, err)
	writesAfter(t, a.collector, "lamp", time.Time{})
}

// doesNotFit has alpha die, and recovers onto a host where a port is taken: nothing is
// committed, claimed or started.
func (a *adoption) doesNotFit(t *testing.T) {
	ctx := t.Context()
	exec(t, a.gamma, "systemd-run --unit=page -- python3 -m http.server 80 && until ss -Hltn 'sport = :80' | grep -q .; do sleep 0.1; done")
	must(t, a.alpha.Kill(ctx))
	before := readLock(t, a.w)
	refused(t, a.w, fault.General, "shop does not fit on gamma: port 80 is taken there by python3", "recover", "alpha", "--to", "gamma")
	if left, err := a.w.Unfinished(ctx); err != nil || left != "" {
		t.Errorf("it wrote %s, %v", left, err)
	}
	for _, name := range a.names() {
		if claims := claimsOf(t, a.w, name); len(claims) != 1 || before.Stacks[name].Host != "alpha" {
			t.Errorf("%s: claims %v, placed on %s", name, claims, before.Stacks[name].Host)
		}
	}
	if started, err := running(ctx, a.gamma); err != nil || !slices.Equal(started, []string{"lamp-app-1"}) {
		t.Errorf("on gamma run %v, %v", started, err)
	}
	a.Count("recoveries refused", 1)
}

// recovered brings them back where all of them fit, which no one has to name.
func (a *adoption) recovered(t *testing.T) {
	ctx := t.Context()
	out, err := a.w.Salvor(ctx, nil, "recover", "alpha")
	must(t, err)
	if !regexp.MustCompile(`(?m)^ +gamma +does not fit +port 80 is taken there by python3$`).MatchString(out) {
		t.Error("it does not list what does not fit on gamma")
	}
	for _, p := range thoseThatWrite(taken(a.projects)) {
		eventually(t, p.name+" answers on delta", func() error {
			all, err := rows(ctx, a.delta, p.port)
			if err != nil {
				return err
			}
			a.Count("rows back", len(all))
			if err := a.collector.Check(p.name, all, a.covered); err != nil && !p.gone {
				t.Error(err)
			}
			return nil
		})
		a.Count("rows acknowledged", len(a.collector.Acks(p.name)))
	}
	after, err := a.delta.Manifest(ctx, goods)
	must(t, err)
	for _, difference := range oracle.Differences(a.shelf, after) {
		t.Errorf("%s: %s", goods, difference)
	}
	a.Count("files compared", len(after))
	if text := exec(t, a.delta, "cat "+pictures+"/mountain.txt"); text != "mountain" {
		t.Errorf("%s/mountain.txt is %q", pictures, text)
	}
	page, err := fetch(ctx, "http://"+a.delta.Address.String()+"/")
	if err != nil || !strings.Contains(page, "<h1>shop</h1>") {
		t.Errorf("the shop: %q, %v", page, err)
	}
	forget(t, a.w, a.alpha)
	settled(t, a.w)
}
