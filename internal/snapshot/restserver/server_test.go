package restserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/blob/blobtest"
)

type client struct {
	t   *testing.T
	url string
}

func start(t *testing.T, opts Options) (*Server, client) {
	t.Helper()
	opts.Spool = t.TempDir()
	s, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(opts.Spool); len(left) > 0 {
			t.Errorf("left in the spool: %v", left)
		}
	})
	return s, client{t, strings.TrimPrefix(string(s.URL().Reveal()), "rest:")}
}

func (c client) do(method, path, body string, header ...string) (int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, strings.TrimSuffix(c.url, "/")+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(content)
}

// post uploads content under its hash and returns the path.
func (c client) post(kind, content string, want int) string {
	c.t.Helper()
	path := "/" + kind + "/" + name(content)
	if status, body := c.do("POST", path, content); status != want {
		c.t.Fatalf("POST %s: %d %s, want %d", path, status, body, want)
	}
	return path
}

func name(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

func TestObjectsAreStoredAndRead(t *testing.T) {
	store := &blobtest.Memory{}
	s, c := start(t, Options{Store: store, Mode: AppendOnly})
	path := c.post("data", "0123456789", http.StatusOK)
	c.post("data", "0123456789", http.StatusOK) // the answer may have got lost
	if _, err := store.Stat(t.Context(), "data/"+name("0123456789")[:2]+"/"+name("0123456789")); err != nil {
		t.Error(err)
	}
	for header, want := range map[string]string{"": "0123456789", "bytes=3-": "3456789", "bytes=3-5": "345"} {
		if _, got := c.do("GET", path, "", "Range", header); got != want {
			t.Errorf("range %q: %q, want %q", header, got, want)
		}
	}
	if status, _ := c.do("GET", path, "", "Range", "bytes=x-"); status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a range that is none: %d", status)
	}
	if _, got := c.do("GET", "/data/", "", "Accept", mediaTypeV2); got != `[{"name":"`+name("0123456789")+`","size":10}]`+"\n" {
		t.Errorf("listing %s", got)
	}
	if _, got := c.do("GET", "/data/", ""); got != `["`+name("0123456789")+`"]`+"\n" {
		t.Errorf("old listing %s", got)
	}
	if status, _ := c.do("HEAD", "/config", ""); status != http.StatusNotFound {
		t.Errorf("HEAD of what is not there: %d", status)
	}
	if w := s.Written(); len(w) == 0 || w[0].Proof.Size != 10 || w[0].Proof.By == "" {
		t.Errorf("written %+v", w)
	}
}

func TestContentMustMatchItsName(t *testing.T) {
	store := &blobtest.Memory{}
	s, c := start(t, Options{Store: store, Mode: AppendOnly})
	for _, spool := range []bool{false, true} {
		s.Begin(Pass{Spool: spool})
		if status, _ := c.do("POST", "/data/"+name("right"), "wrong"); status != http.StatusInternalServerError {
			t.Errorf("spool %v: %d", spool, status)
		}
		if objects, err := store.List(t.Context(), ""); err != nil || len(objects) > 0 {
			t.Errorf("spool %v: stored %v, %v", spool, objects, err)
		}
	}
}

func TestModes(t *testing.T) {
	for _, tt := range []struct {
		mode                     Mode
		post, removeLock, remove int
	}{
		{ReadOnly, http.StatusForbidden, http.StatusForbidden, http.StatusForbidden},
		{AppendOnly, http.StatusOK, http.StatusOK, http.StatusForbidden},
		{Full, http.StatusOK, http.StatusOK, http.StatusOK},
	} {
		store := &blobtest.Memory{}
		for _, kind := range []string{"locks/", "keys/"} {
			if _, err := store.Put(t.Context(), kind+name(kind), strings.NewReader(kind), int64(len(kind))); err != nil {
				t.Fatal(err)
			}
		}
		var aborted error
		_, c := start(t, Options{Store: store, Mode: tt.mode, Abort: func(err error) { aborted = err }})
		c.post("data", "x", tt.post)
		if status, _ := c.do("DELETE", "/locks/"+name("locks/"), ""); status != tt.removeLock {
			t.Errorf("mode %d: remove lock: %d", tt.mode, status)
		}
		if status, _ := c.do("DELETE", "/keys/"+name("keys/"), ""); status != tt.remove {
			t.Errorf("mode %d: remove: %d", tt.mode, status)
		}
		if (tt.mode == Full) != (aborted == nil) || aborted != nil && !errors.Is(aborted, ErrMode) {
			t.Errorf("mode %d: aborted with %v", tt.mode, aborted)
		}
	}
}

// TestDeletesEndWithTheClaim is fault V11: a host that lost the claim during a prune
// deletes nothing more, which may be another host's by now. Its own locks go.
func TestDeletesEndWithTheClaim(t *testing.T) {
	lost := errors.New("beta claimed epoch 2")
	for _, held := range []int{0, 2} {
		store, deletes := &blobtest.Memory{}, 0
		for _, content := range []string{"a", "b", "c", "lock"} {
			dir := "data/" + name(content)[:2] + "/"
			if content == "lock" {
				dir = "locks/"
			}
			if _, err := store.Put(t.Context(), dir+name(content), strings.NewReader(content), int64(len(content))); err != nil {
				t.Fatal(err)
			}
		}
		holds := func(context.Context) error {
			if deletes++; deletes > held {
				return lost
			}
			return nil
		}
		var aborted error
		_, c := start(t, Options{Store: store, Mode: Full, Holds: holds, Abort: func(err error) { aborted = err }})
		for _, content := range []string{"a", "b", "c"} {
			c.do("DELETE", "/data/"+name(content), "")
		}
		if status, _ := c.do("DELETE", "/locks/"+name("lock"), ""); status != http.StatusOK {
			t.Errorf("its own lock: %d", status)
		}
		left, err := store.List(t.Context(), "data")
		if err != nil || len(left) != 3-held {
			t.Errorf("held for %d: %d objects left, %v", held, len(left), err)
		}
		if !errors.Is(aborted, lost) {
			t.Errorf("the run ended with %v", aborted)
		}
	}
}

func TestStrangersAreRefused(t *testing.T) {
	_, c := start(t, Options{Store: &blobtest.Memory{}, Mode: Full})
	at := strings.Index(c.url, "@")
	c.url = "http://salvor:guess" + c.url[at:]
	if status, _ := c.do("GET", "/keys/", ""); status != http.StatusUnauthorized {
		t.Errorf("got %d", status)
	}
}

func TestPathsOutsideARepositoryAreRefused(t *testing.T) {
	_, c := start(t, Options{Store: &blobtest.Memory{}, Mode: Full})
	for _, path := range []string{"/etc/passwd", "/data/../config", "/data/%2e%2e%2fconfig", "/locks/x", "/config/x"} {
		if status, _ := c.do("GET", path, ""); status != http.StatusBadRequest {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// ordered notes the kinds of the objects put.
func ordered(store *blobtest.Memory, fail func(path string) error) *[]string {
	var kinds []string
	store.Fail = func(op, path string) error {
		if op != "put" {
			return nil
		}
		kind, _, _ := strings.Cut(path, "/")
		kinds = append(kinds, kind)
		return fail(path)
	}
	return &kinds
}

func TestSpoolIsWrittenBackInOrder(t *testing.T) {
	store := &blobtest.Memory{}
	dead := false
	kinds := ordered(store, func(path string) error {
		if dead && strings.HasPrefix(path, "index/") {
			return errors.New("the remote is gone")
		}
		return nil
	})
	s, c := start(t, Options{Store: store, Mode: AppendOnly})
	read := 0
	s.Begin(Pass{Spool: true, Read: func() { read++ }})
	index := c.post("index", "index", http.StatusOK)
	c.post("data", "pack", http.StatusOK)
	c.post("snapshots", "snapshot", http.StatusOK)
	if len(*kinds) > 0 || read != 1 || s.Snapshot() != name("snapshot") {
		t.Fatalf("written before the commit: %v; read %d; %s", *kinds, read, s.Snapshot())
	}
	if _, got := c.do("GET", index, ""); got != "index" { // what waits is read
		t.Errorf("spooled object reads %q", got)
	}
	if _, got := c.do("GET", "/index/", ""); !strings.Contains(got, name("index")) {
		t.Errorf("spooled object is not listed: %s", got)
	}
	dead = true
	if err := s.Commit(t.Context(), name("snapshot")); err == nil {
		t.Fatal("committed on a remote that is gone")
	}
	if snapshots, err := store.List(t.Context(), "snapshots"); err != nil || len(snapshots) > 0 {
		t.Fatalf("a snapshot without its index: %v, %v", snapshots, err)
	}
	dead = false
	if err := s.Commit(t.Context(), name("snapshot")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"data", "index", "index", "snapshots"}, *kinds); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestOnlyTheCommittedSnapshotIsWritten(t *testing.T) {
	store := &blobtest.Memory{}
	s, c := start(t, Options{Store: store, Mode: AppendOnly})
	s.Begin(Pass{})
	c.post("snapshots", "first pass", http.StatusOK)
	s.Begin(Pass{Spool: true})
	c.post("snapshots", "second pass", http.StatusOK)
	if err := s.Commit(t.Context(), s.Snapshot()); err != nil {
		t.Fatal(err)
	}
	objects, err := store.List(t.Context(), "snapshots")
	if err != nil || len(objects) != 1 || objects[0].Path != name("second pass") {
		t.Errorf("snapshots %v, %v", objects, err)
	}
	if err := s.Commit(t.Context(), name("first pass")); err == nil {
		t.Error("a dropped snapshot was committed")
	}
}

func TestReadyComesWithTheSecondLookAtTheLocks(t *testing.T) {
	s, c := start(t, Options{Store: &blobtest.Memory{}, Mode: AppendOnly})
	calls := 0
	s.Begin(Pass{Spool: true, Ready: func(context.Context) error { calls++; return nil }})
	for _, step := range []struct {
		do   func()
		want int
	}{
		{func() { c.do("GET", "/locks/", "") }, 0},
		{func() { c.post("locks", "mine", http.StatusOK) }, 0},
		{func() { c.do("GET", "/locks/", "") }, 1},
		{func() { c.do("GET", "/locks/", "") }, 1},
	} {
		if step.do(); calls != step.want {
			t.Fatalf("called %d times, want %d", calls, step.want)
		}
	}
}

func TestAnObjectThatKeepsFailingEndsTheRun(t *testing.T) {
	store := &blobtest.Memory{Fail: func(op, _ string) error {
		if op == "put" {
			return errors.New("quota exceeded")
		}
		return nil
	}}
	aborts := 0
	_, c := start(t, Options{Store: store, Mode: AppendOnly, Abort: func(error) { aborts++ }})
	for n := range 5 {
		c.post("data", "x", http.StatusInternalServerError)
		if want := min(1, (n+1)/attempts); aborts != want {
			t.Fatalf("after %d failures aborted %d times", n+1, aborts)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	f.Add("/data/" + name("x"))
	f.Add("/config")
	f.Fuzz(func(t *testing.T, path string) {
		parsed, err := parsePath(path)
		if err == nil && parsed.name != "" && (strings.Contains(parsed.path(), "..") || bytes.ContainsAny([]byte(parsed.path()), "\\\x00")) {
			t.Errorf("%q becomes %q", path, parsed.path())
		}
	})
}

func FuzzParseRange(f *testing.F) {
	f.Add("bytes=0-9")
	f.Add("bytes=7-")
	f.Fuzz(func(t *testing.T, header string) {
		offset, length, err := parseRange(header)
		if err == nil && (offset < 0 || length < -1) {
			t.Errorf("%q becomes %d, %d", header, offset, length)
		}
	})
}
