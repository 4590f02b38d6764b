package scenarios

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"filippo.io/age"

	"salvor/internal/lab"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// canaries are secrets that nothing else looks like, one for each way.
type canaries struct{ file, env, registry, before, after, imported string }

func newCanaries() canaries {
	one := func(kind string) string { return "canary-" + kind + "-" + strings.ToLower(rand.Text()) }
	return canaries{one("file"), one("env"), one("registry"), one("before"), one("after"), one("imported")}
}

// all returns each canary by its name, and the registry's as Docker encodes a
// login.
func (c canaries) all() map[string]string {
	return map[string]string{"file": c.file, "env": c.env, "registry": c.registry, "registry in base64": base64.StdEncoding.EncodeToString([]byte("puller:" + c.registry)), "before the rotation": c.before, "after the rotation": c.after, "imported": c.imported}
}

// exposed returns the services that have a secret in their environment, by the
// name of the canary.
func exposed() map[string]string {
	return map[string]string{"env": "legacy/old", "imported": "moved/old"}
}

// said keeps all that the operator's commands print.
type said struct {
	testLog
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.text.Write(p)
	return s.testLog.Write(p)
}

// TestCanary delivers secrets in every way there is and then searches for them:
// disks, processes, logs, Git, the operator's computer, the remote.
func TestCanary(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, usualFor)
	c := newCanaries()
	heard := &said{testLog: testLog{t}}
	w, err := world.New(ctx, s.Lab, world.Options{Log: heard, Login: &lab.Login{User: "puller", Password: c.registry}})
	must(t, err)
	alpha, err := w.Host(ctx, "alpha", lab.HostOptions{Prepared: true})
	must(t, err)
	must(t, w.Add(ctx, alpha))
	keepSecrets(t, w, c)
	importSecret(t, w, c)

	for _, command := range []string{"apply", "status", "plan", "snapshot take app"} {
		_, err = w.Salvor(ctx, nil, strings.Fields(command)...)
		must(t, err)
	}
	_, err = w.Salvor(ctx, strings.NewReader(c.after), "secret", "rotate", "app/ROTATED")
	must(t, err)
	provoke(t, w)
	h := &search{t: t, s: s, host: alpha, patterns: c.all(), container: map[string]string{}}
	h.containers()
	h.delivered(c)
	h.disk()
	h.processes()
	h.told()
	h.operator(w, heard.text.String())
	s.Count("canaries", len(h.patterns))
}

// keepSecrets declares two stacks and their secrets. app takes files, legacy an
// environment variable.
func keepSecrets(t *testing.T, w *world.World, c canaries) {
	t.Helper()
	ctx := t.Context()
	for name, value := range map[string]string{"app/FILE": c.file, "app/ROTATED": c.before, "legacy/ENV": c.env, "registry_password": c.registry} {
		setSecret(t, w, name, value)
	}
	images, err := w.Images(ctx)
	must(t, err)
	declared, err := w.Read("fleet.yaml")
	must(t, err)
	must(t, w.Write("fleet.yaml", declared+fmt.Sprintf("registries:\n  %q: {username: puller, password: \"secret:registry_password\"}\n", w.Registry.Address)))
	must(t, w.Write("stacks/app/compose.yaml", `x-salvor: {host: alpha, pause: {limit: `+world.PauseLimit+`}, on_change: {app: "signal:USR1"}}
services:
  app:
    image: `+images.Nginx+`
    command: [sh, -c, "trap : USR1; while :; do cat /run/secrets/file /run/secrets/rotated >/dev/null; sleep 0.2; done"]
    secrets: [file, {source: rotated, uid: "33", gid: "33", mode: 0400}]
    volumes: ["data:/data"]
  other:
    image: `+images.Nginx+`
secrets:
  file: {environment: FILE}
  rotated: {environment: ROTATED}
volumes: {data: {}}
`))
	must(t, w.Write("stacks/legacy/compose.yaml", "x-salvor: {host: alpha}\nservices:\n  old:\n    image: "+images.Nginx+"\n    command: [sleep, infinity]\n    environment: {TOKEN: \"${ENV}\"}\n"))
	must(t, w.Commit(ctx, "two stacks"))
}

// importSecret declares a stack as its users have it, with a plain .env that Git
// ignores, and moves that in.
func importSecret(t *testing.T, w *world.World, c canaries) {
	t.Helper()
	ctx := t.Context()
	images, err := w.Images(ctx)
	must(t, err)
	must(t, w.Write("stacks/moved/compose.yaml", "x-salvor: {host: alpha}\nservices:\n  old:\n    image: "+images.Nginx+"\n    command: [sleep, infinity]\n    environment: {MOVED_TOKEN: \"${MOVED_TOKEN:-}\"}\n"))
	must(t, w.Commit(ctx, "a third stack"))
	must(t, w.Write("stacks/moved/.env", "MOVED_TOKEN="+c.imported+"\n"))
	_, err = w.Salvor(ctx, nil, "secret", "import", "stacks/moved/.env")
	must(t, err)
	if _, err := w.Read("stacks/moved/.env"); !os.IsNotExist(err) {
		t.Errorf("the plain file is there after its import: %v", err)
	}
}

// provoke makes commands fail while they hold secrets.
func provoke(t *testing.T, w *world.World) {
	t.Helper()
	ctx := t.Context()
	must(t, w.Remote.Down(ctx))
	if _, err := w.Salvor(ctx, nil, "snapshot", "take", "app"); err == nil {
		t.Error("a snapshot succeeded without its remote")
	}
	must(t, w.Remote.Up(ctx))
	must(t, w.Registry.Down(ctx))
	compose, err := w.Read("stacks/app/compose.yaml")
	must(t, err)
	must(t, w.Write("stacks/app/compose.yaml", strings.Replace(compose, "services:\n", "services:\n  more:\n    image: "+w.Registry.Address+"/salvor/none:1\n", 1)))
	must(t, w.Commit(ctx, "an image that can't be had"))
	if _, err := w.Salvor(ctx, nil, "apply"); err == nil {
		t.Error("an image was pulled from a registry that is down")
	}
	must(t, w.Registry.Up(ctx))
	must(t, w.Write("stacks/app/compose.yaml", compose))
	must(t, w.Commit(ctx, "without it"))
	_, err = w.Salvor(ctx, nil, "apply")
	must(t, err)
}

// A search looks for every canary in one place after the other.
type search struct {
	t         *testing.T
	s         *scenario.Scenario
	host      *lab.Host
	patterns  map[string]string
	container map[string]string // id to "stack/service"
}

func (h *search) containers() {
	h.t.Helper()
	out := exec(h.t, h.host, `docker ps -aq --no-trunc | xargs docker inspect --format '{{.Id}} {{index .Config.Labels "com.docker.compose.project"}}/{{index .Config.Labels "com.docker.compose.service"}}'`)
	for line := range strings.Lines(out) {
		id, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		h.container[id] = name
	}
}

// of returns the container that a path belongs to, "" for none.
func (h *search) of(path string) string {
	for id, name := range h.container {
		if strings.Contains(path, id) {
			return name
		}
	}
	return ""
}

// A hit is a canary found somewhere.
type hit struct{ name, where string }

// on runs a script on the host that prints "WHERE:CANARY" for each find; $f is a
// file in memory with all canaries, which come in by standard input.
func (h *search) on(script string) []hit {
	h.t.Helper()
	names := map[string]string{}
	var wanted strings.Builder
	for name, canary := range h.patterns {
		names[canary] = name
		wanted.WriteString(canary + "\n")
	}
	cmd := osexec.CommandContext(h.t.Context(), "docker", "exec", "-i", h.host.Container(), "bash", "-c", `f=$(mktemp -p /dev/shm); head -c "$0" >"$f"; `+script+`; rm "$f"`, strconv.Itoa(wanted.Len()))
	cmd.Stdin = strings.NewReader(wanted.String())
	out, err := cmd.Output()
	must(h.t, err)
	var found []hit
	for line := range strings.Lines(string(out)) {
		i := strings.LastIndex(line, ":")
		name, known := names[strings.TrimSpace(line[i+1:])]
		if !known {
			h.t.Fatalf("the search prints %q", line)
		}
		found = append(found, hit{name, line[:max(i, 0)]})
	}
	return found
}

// delivered checks that the search can find something at all.
func (h *search) delivered(c canaries) {
	h.t.Helper()
	for file, want := range map[string]string{"file": c.file, "rotated": c.after} {
		if got := exec(h.t, h.host, "docker exec app-app-1 cat /run/secrets/"+file); got != want {
			h.t.Errorf("the container reads %q as %s", got, file)
		}
	}
	for command, want := range map[string]string{"docker exec legacy-old-1 printenv TOKEN": c.env, "docker exec moved-old-1 printenv MOVED_TOKEN": c.imported} {
		if got := exec(h.t, h.host, command); got != want {
			h.t.Errorf("the environment holds %q", got)
		}
	}
	if got := exec(h.t, h.host, "docker exec app-other-1 sh -c 'ls /run/secrets 2>/dev/null | wc -l'"); got != "0" {
		h.t.Errorf("a service that does not list any secret sees %s", got)
	}
}

// disk reads every file of the host, Docker's folders among them.
func (h *search) disk() {
	h.t.Helper()
	const everyFile = `find / \( -path /proc -o -path /sys -o -path /dev \) -prune -o -type f -print0`
	want := map[string]string{"file": "/run/salvor/secrets/app/app/", "after the rotation": "/run/salvor/secrets/app/app/", "env": "/run/salvor/secrets/legacy/.env", "imported": "/run/salvor/secrets/moved/.env"}
	seen := map[string]bool{}
	for _, found := range h.on(everyFile + ` | xargs -0 grep -HoaF -f "$f" 2>/dev/null | sort -u`) {
		switch place := want[found.name]; {
		case place != "" && strings.HasPrefix(found.where, place):
			seen[found.name] = true
		case exposed()[found.name] != "" && (h.of(found.where) == exposed()[found.name] || strings.HasPrefix(found.where, "/var/lib/containerd/io.containerd.metadata.v1.bolt/")):
			h.s.Count("files in which Docker keeps an environment", 1)
		default:
			h.t.Errorf("%s lies in %s", found.name, found.where)
		}
	}
	for name, place := range want {
		if !seen[name] {
			h.t.Errorf("%s is not in %s: the search does not find what is there", name, place)
		}
	}
	h.s.Count("files of the host searched", len(exec(h.t, h.host, everyFile+` | tr -dc '\0' | tr '\0' .`)))
}

// processes reads the arguments and the environment of each.
func (h *search) processes() {
	h.t.Helper()
	asked := map[string]bool{}
	for _, found := range h.on(`grep -HoaF -f "$f" /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | while IFS= read -r l; do p=${l%%:*}; echo "$p $(tr '\n:' ', ' <"${p%/*}/cgroup"):${l##*:}"; done`) {
		if service := exposed()[found.name]; service != "" && strings.Contains(found.where, "/environ ") && h.of(found.where) == service {
			asked[found.name] = true
			continue
		}
		h.t.Errorf("%s is in %s", found.name, found.where)
	}
	if len(asked) != len(exposed()) {
		h.t.Errorf("of the containers that asked only those of %v have such an environment: the search does not find what is there", asked)
	}
}

// told asks Docker and reads the logs.
func (h *search) told() {
	h.t.Helper()
	for _, found := range h.on(`for c in $(docker ps -aq --no-trunc) $(docker image ls -q | sort -u) $(docker volume ls -q); do docker inspect "$c" | grep -oF -f "$f" | sort -u | sed "s|^|$c:|"; done`) {
		if service := exposed()[found.name]; service == "" || h.of(found.where) != service {
			h.t.Errorf("docker inspect %s shows %s", found.where, found.name)
		}
	}
	for _, found := range h.on(`for c in $(docker ps -aq); do docker logs "$c" 2>&1 | grep -oF -f "$f" | sed "s|^|log of $c:|"; done; journalctl --no-pager -o export | grep -oaF -f "$f" | sed "s|^|journal:|"; docker events --since 1h --until "$(date +%s)" | grep -oF -f "$f" | sed "s|^|events:|"`) {
		h.t.Errorf("%s is in the %s", found.name, found.where)
	}
}

// operator searches the operator's computer, all that commands said there, every
// object of Git, and the remote.
func (h *search) operator(w *world.World, heard string) {
	h.t.Helper()
	ctx := h.t.Context()
	objects, err := osexec.CommandContext(ctx, "git", "-C", w.Dir, "cat-file", "--batch-all-objects", "--batch").Output()
	must(h.t, err)
	h.s.Count("bytes of Git objects searched", len(objects))
	files := 0
	for name, canary := range h.patterns {
		for what, text := range map[string]string{"what commands said": heard, "an object of Git": string(objects)} {
			if strings.Contains(text, canary) {
				h.t.Errorf("%s is in %s", name, what)
			}
		}
	}
	must(h.t, filepath.WalkDir(w.Lab.Folder(), func(path string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() && strings.HasPrefix(d.Name(), "docker-") {
			return filepath.SkipDir // the lab's own login, with which it pushes images
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		files++
		for name, canary := range h.patterns {
			if bytes.Contains(content, []byte(canary)) {
				h.t.Errorf("%s lies in %s", name, path)
			}
		}
		return err
	}))
	h.s.Count("files of the operator and the remote searched", files)
}

// TestOfflineBoot boots a host without any network: its stacks come up with
// their secrets. And it tries another host's key on everything there is.
func TestOfflineBoot(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, usualFor)
	c := newCanaries()
	w, err := world.New(ctx, s.Lab, world.Options{Log: testLog{t}, Login: &lab.Login{User: "puller", Password: c.registry}})
	must(t, err)
	alpha, err := w.Host(ctx, "alpha", lab.HostOptions{Prepared: true})
	must(t, err)
	beta, err := w.Host(ctx, "beta", lab.HostOptions{Prepared: true})
	must(t, err)
	must(t, w.Add(ctx, alpha))
	must(t, w.Add(ctx, beta))
	keepSecrets(t, w, c)
	_, err = w.Salvor(ctx, nil, "apply")
	must(t, err)

	must(t, alpha.Kill(ctx))
	must(t, alpha.CutOff(ctx))
	must(t, alpha.PowerOn(ctx))
	for command, want := range map[string]string{"docker exec app-app-1 cat /run/secrets/file": c.file, "docker exec legacy-old-1 printenv TOKEN": c.env} {
		eventually(t, "the stacks run with their secrets", func() error {
			out, err := alpha.Exec(ctx, "sh", "-c", command)
			if err == nil && strings.TrimSpace(out) != want {
				err = fmt.Errorf("%s says %q", command, out)
			}
			return err
		})
		s.Count("secrets there after a boot without a network", 1)
	}
	must(t, alpha.Reconnect(ctx))
	opensNothing(t, s, w, beta)
}

// opensNothing tries a host's own key on every encrypted file of the repository.
func opensNothing(t *testing.T, s *scenario.Scenario, w *world.World, h *lab.Host) {
	t.Helper()
	key := exec(t, h, "cat /etc/salvor/host.age")
	identities, err := age.ParseIdentities(strings.NewReader(key))
	must(t, err)
	must(t, filepath.WalkDir(w.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if i := bytes.Index(content, []byte("-----BEGIN AGE ENCRYPTED FILE-----")); i >= 0 {
			opens(t, path, unfold(content[i:]), identities)
			s.Count("encrypted files tried with another host's key", 1)
		}
		return nil
	}))
}

// unfold takes the indentation of YAML and JSON off an armored block.
func unfold(block []byte) string {
	text, _, _ := strings.Cut(strings.ReplaceAll(string(block), `\n`, "\n"), "-----END")
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n-----END AGE ENCRYPTED FILE-----\n"
}

func opens(t *testing.T, path, block string, identities []age.Identity) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := t.TempDir()
	file := filepath.Join(dir, "id")
	must(t, os.WriteFile(file, []byte(fmt.Sprint(identities[0])+"\n"), 0o600))
	cmd := osexec.CommandContext(ctx, "age", "-d", "-i", file)
	cmd.Stdin = strings.NewReader(block)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("%s opens with another host's key", path)
	} else if !strings.Contains(string(out), "no identity matched") {
		t.Errorf("%s: age says something else: %s", path, out)
	}
}
