package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// writing returns those that write on alpha: SQLite, Postgres, many files. There are
// also a page from Git and a library of files that stay as they are.
func writing(host string) []world.Stack {
	return []world.Stack{
		{Name: "notes", Store: "sqlite", Host: host, Port: 8081, Every: "20ms", Size: 100},
		{Name: "blog", Store: "postgres", Host: host, Port: 8082, Every: "20ms", Size: 100},
		{Name: "photos", Store: "files", Host: host, Port: 8083, Every: "20ms", Size: 4096},
		{Name: "feeds", Store: "sqlite", Host: host, Port: 8084, Every: "50ms", Size: 100},
		{Name: "wiki", Store: "files", Host: host, Port: 8085, Every: "50ms", Size: 1000},
	}
}

// onAlpha starts a fleet of one prepared host.
func onAlpha(t *testing.T, s *scenario.Scenario) (*world.World, world.Images, *lab.Host) {
	t.Helper()
	ctx := t.Context()
	w, err := world.New(ctx, s.Lab, world.Options{Log: testLog{t}})
	must(t, err)
	images, err := w.Images(ctx)
	must(t, err)
	alpha, err := w.Host(ctx, "alpha", lab.HostOptions{Prepared: true})
	must(t, err)
	must(t, w.Add(ctx, alpha))
	return w, images, alpha
}

// fleetOf starts a fleet with the six stacks on alpha, applied.
func fleetOf(t *testing.T, s *scenario.Scenario, collector string, stacks []world.Stack) (*world.World, *lab.Host) {
	t.Helper()
	ctx := t.Context()
	w, images, alpha := onAlpha(t, s)
	_, err := w.Salvor(ctx, strings.NewReader("s3cret-of-the-blog"), "secret", "set", "blog/POSTGRES_PASSWORD")
	must(t, err)
	for _, st := range stacks {
		must(t, w.Write("stacks/"+st.Name+"/compose.yaml", st.Compose(images, collector)))
	}
	for name, content := range world.Site("alpha", 8086, images) {
		must(t, w.Write(name, content))
	}
	must(t, w.Write("stacks/library/compose.yaml", library("alpha", images.Nginx)))
	must(t, w.Commit(ctx, "the stacks"))
	_, err = w.Salvor(ctx, nil, "apply")
	must(t, err)
	return w, alpha
}

// libraryVolume is where the data of the stack library is on its host.
const libraryVolume = "/var/lib/docker/volumes/library_books/_data"

// makeTree makes one of everything a file system has: owners, modes, times,
// extended attributes, hard and symbolic links, holes, odd names, empty folders.
const makeTree = `
import os
root = "/root/tree"
os.makedirs(root + "/a/b/c", exist_ok=True)
os.makedirs(root + "/empty", 0o2750)
for i in range(400):
    p = f"{root}/a/{'b' if i % 2 else 'b/c'}/file {i}"
    with open(p, "wb") as f: f.write(bytes([i % 256]) * (i * 37))
    os.chmod(p, [0o644, 0o600, 0o755, 0o4755, 0o444][i % 5])
    os.chown(p, i * 7, 65534 - i)
    os.utime(p, ns=(10**18 + i, 10**18 + i * 1000003))
os.setxattr(root + "/a/b/file 1", "user.note", b"caf\xc3\xa9 \x00")
os.link(root + "/a/b/file 3", root + "/a/linked")
os.symlink("../nowhere", root + "/a/dangling")
os.symlink("b/file 5", root + "/a/fine")
with open(root + "/a/holes", "wb") as f:
    f.seek(64 << 20); f.write(b"end")
open(root + "/a/\u00fcn\u00ef 'quoted' \n line", "w").write("x")
os.chmod(root, 0o711); os.chown(root, 33, 33)
`

// fillLibrary makes a tree on the host, lists it, and puts a copy into the
// volume of the stack library.
func fillLibrary(t *testing.T, h *lab.Host) []oracle.Entry {
	t.Helper()
	ctx := t.Context()
	_, err := h.Exec(ctx, "python3", "-c", makeTree)
	must(t, err)
	want, err := h.Manifest(ctx, "/root/tree")
	must(t, err)
	_, err = h.Exec(ctx, "sh", "-c", "cp -a --sparse=always /root/tree/. "+libraryVolume+"/")
	must(t, err)
	return want
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// snapshots takes a snapshot of every stack and returns when the first began.
func snapshots(t *testing.T, w *world.World, stacks []world.Stack) map[string]time.Time {
	t.Helper()
	began := map[string]time.Time{}
	for _, st := range stacks {
		began[st.Name] = time.Now()
		out, err := w.Salvor(t.Context(), nil, "snapshot", "take", st.Name)
		must(t, err)
		t.Log(strings.TrimSpace(out))
	}
	return began
}

// rows asks a stack's writer for all it holds.
func rows(ctx context.Context, h *lab.Host, port int) ([]oracle.Row, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:%d/rows?all", h.Address, port), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET /rows: %s", resp.Status)
	}
	var all struct{ Rows []oracle.Row }
	return all.Rows, json.NewDecoder(resp.Body).Decode(&all)
}

// TestHostLoss kills a host with six stacks under writes and recovers it with
// one command onto a clean host that has never seen Salvor. Everything that was
// acknowledged before a stack's newest snapshot began is there.
func TestHostLoss(t *testing.T) {
	s := scenario.Begin(t, 5*time.Second)
	loseHost(t, s, writing("alpha"), func(w *world.World) (*lab.Host, []string) {
		gamma, err := w.Host(t.Context(), "gamma", lab.HostOptions{})
		must(t, err)
		key, err := world.Fingerprint(t.Context(), gamma)
		must(t, err)
		return gamma, []string{"recover", "alpha", "--to", "gamma=root@" + gamma.Address.String(), "--host-key", key}
	})
}

// TestHostLossDebian12 recovers onto a Debian 12 host, whose distribution has no
// Compose: engine and plugin come from Docker's repository, here a lab's own. The
// Git host is down all the while, too: the operator's clone and the claims on the
// remote carry the recovery, and the push is left to do.
func TestHostLossDebian12(t *testing.T) {
	s := scenario.Begin(t, 5*time.Second)
	repo, err := s.AptRepo(t.Context())
	must(t, err)
	stacks := writing("alpha")
	for i := range stacks {
		stacks[i].OldEngine = true
	}
	w := loseHost(t, s, stacks, func(w *world.World) (*lab.Host, []string) {
		ctx := t.Context()
		gamma, err := w.Host(ctx, "gamma", lab.HostOptions{Release: 12})
		must(t, err)
		must(t, w.Add(ctx, gamma))
		fleet, err := w.Read("fleet.yaml")
		must(t, err)
		key, err := fetch(ctx, repo.KeyURL)
		must(t, err)
		declared := fmt.Sprintf("gamma: {address: %s, user: root", gamma.Address)
		docker := fmt.Sprintf("%s, docker: {channel: docker, url: %q, key: %q}", declared, repo.URL, key)
		must(t, w.Write("fleet.yaml", strings.Replace(fleet, declared, docker, 1)))
		must(t, w.Commit(ctx, "gamma: engine from Docker's repository"))
		must(t, w.Push(ctx))
		must(t, w.Git.Down(ctx))
		return gamma, []string{"recover", "alpha", "--to", "gamma", "--grant", "source/docker/gamma"}
	})
	if unpushed, err := w.Unfinished(t.Context()); err != nil || unpushed == "" {
		t.Errorf("with the Git host down something was pushed: %v", err)
	}
	must(t, w.Git.Up(t.Context()))
	must(t, w.Push(t.Context())) // what the receipt says is left to do
	forget(t, w, s.Hosts()["alpha"])
	settled(t, w)
}

func fetch(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return string(content), err
}

// loseHost runs the story; target starts the host that takes over and says how
// the operator recovers onto it. It returns the world as it is afterwards.
func loseHost(t *testing.T, s *scenario.Scenario, stacks []world.Stack, target func(*world.World) (*lab.Host, []string)) *world.World {
	t.Helper()
	ctx := t.Context()
	var collector oracle.Collector
	w, alpha := fleetOf(t, s, listen(t, s.Lab, &collector), stacks)
	for _, st := range stacks {
		eventually(t, st.Name+" writes", func() error {
			if n := len(collector.Acks(st.Name)); n < 50 {
				return fmt.Errorf("%d rows", n)
			}
			return nil
		})
	}
	shelf := fillLibrary(t, alpha)
	began := snapshots(t, w, append(stacks, world.Stack{Name: "library"}))
	<-time.After(s.For)
	must(t, alpha.Kill(ctx))
	gamma, command := target(w)
	start := time.Now()
	receipt, err := w.Salvor(ctx, nil, command...)
	must(t, err)
	t.Logf("recovered in %s\n%s", time.Since(start).Round(time.Second/10), receipt)

	for _, st := range stacks {
		eventually(t, st.Name+" answers on gamma", func() error {
			all, err := rows(ctx, gamma, st.Port)
			if err != nil {
				return err
			}
			s.Count("rows back", len(all))
			if err := collector.Check(st.Name, all, began[st.Name]); err != nil {
				t.Error(err)
			}
			return nil
		})
		s.Count("rows acknowledged", len(collector.Acks(st.Name)))
	}
	after, err := gamma.Manifest(ctx, libraryVolume)
	must(t, err)
	for _, difference := range oracle.Differences(shelf, after) {
		t.Errorf("library: %s", difference)
	}
	s.Count("library files compared", len(after))
	page, err := fetch(ctx, fmt.Sprintf("http://%s:8086/", gamma.Address))
	if err != nil || !strings.Contains(page, "<h1>home</h1>") {
		t.Errorf("the page from Git: %q, %v", page, err)
	}
	return w
}
