package agent

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/webdav"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
)

// deletesNothing is a WebDAV server as docs/append-only.md describes it: its user deletes and
// overwrites nothing, and moves nothing but its own unfinished uploads, to names that do not
// exist.
type deletesNothing struct {
	dir string

	mu      sync.Mutex
	refused []string
}

func (k *deletesNothing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if k.allows(r) {
		(&webdav.Handler{FileSystem: webdav.Dir(k.dir), LockSystem: webdav.NewMemLS()}).ServeHTTP(w, r)
		return
	}
	k.mu.Lock()
	k.refused = append(k.refused, r.Method+" "+r.URL.Path)
	k.mu.Unlock()
	http.Error(w, "append-only", http.StatusForbidden)
}

func (k *deletesNothing) allows(r *http.Request) bool {
	switch r.Method {
	case http.MethodPut:
		return !k.has(r.URL.Path)
	case "MOVE":
		to, err := url.Parse(r.Header.Get("Destination"))
		name := filepath.Base(r.URL.Path)
		return err == nil && strings.HasPrefix(name, ".salvor-") && strings.HasSuffix(name, ".part") && !k.has(to.Path)
	case http.MethodGet, http.MethodHead, http.MethodOptions, "PROPFIND", "MKCOL":
		return true
	}
	return false
}

func (k *deletesNothing) has(path string) bool {
	_, err := os.Stat(filepath.Join(k.dir, filepath.FromSlash(path)))
	return err == nil
}

// onKeeper gives a host a stack with an append-only target, and the record, on the
// server.
func onKeeper(t *testing.T, h *here.Host, k *deletesNothing, url string) *here.Stack {
	t.Helper()
	s := agenttest.WithRecord(t, h, k.dir, 1) // the operators reach the same folder directly
	file := agentapi.SealedFile{
		Remotes:      map[string]agentapi.SealedRemote{"nas": {Type: "webdav", Options: map[string][]byte{"url": []byte(url), "vendor": []byte("other")}}},
		Repositories: map[string][]byte{"aaaa0001": []byte(strings.Repeat("aaaa0001", 20))},
	}
	s.Targets[0].Where, s.Targets[0].AppendOnly, s.Targets[0].Keep = fleet.Location{Remote: "nas", Path: "salvor"}, true, fleet.Keep{Last: 1}
	heretest.Seal(t, h, &s.Stack, "alpha", file)
	s.Spec.Record, s.Spec.Stacks = fleet.Location{Remote: "nas", Path: "record"}, []agentapi.Stack{s.Stack}
	if err := h.SaveSpec(s.Spec); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestS03AHostDeletesNothingOnAnAppendOnlyTarget takes snapshots to a server that
// refuses to delete and to overwrite, more than the policy keeps, and restores one on
// a host that never saw the stack. No deletion is even tried.
func TestS03AHostDeletesNothingOnAnAppendOnlyTarget(t *testing.T) {
	t.Parallel()
	h, k := heretest.Host(t), &deletesNothing{dir: t.TempDir()}
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	s := onKeeper(t, h, k, server.URL)
	ids := agenttest.Snapshots(t, s, "one", "two", "three")
	lie := func(dir string) int {
		files, err := filepath.Glob(filepath.Join(k.dir, dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	repository := filepath.Join("salvor", s.Name, "aaaa0001")
	for dir, want := range map[string]int{filepath.Join(repository, "snapshots"): 3, filepath.Join(repository, "locks"): 0, filepath.Join("record", "proven", s.Name): 3} {
		if n := lie(dir); n != want {
			t.Errorf("%s has %d files, want %d", dir, n, want)
		}
	}
	agenttest.WithEngine(t, h)
	state, err := (*Host)(h).Status(t.Context(), agentapi.Observe{}, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	if f := agenttest.Only(t, state.Findings, finding.PruneDue); f.Fix != "salvor snapshot prune "+s.Name || !strings.Contains(f.Text, "2 snapshots") {
		t.Errorf("status says %+v", f)
	}
	again := heretest.Host(t)
	if id := agenttest.Restore(t, onKeeper(t, again, k, server.URL)); id != ids[2] || agenttest.Note(t, again) != "three" {
		t.Errorf("restored %s with %q", id, agenttest.Note(t, again))
	}
	if len(k.refused) != 0 {
		t.Errorf("the host tried %v", k.refused)
	}
}
