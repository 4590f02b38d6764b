package parts

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fault"
	"salvor/internal/recording"
	"salvor/internal/snapshot"
)

var day = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// TestPartsOfASnapshot lists and brings back files and folders of two repositories, of which
// the older snapshot is in the former one, without any host.
func TestPartsOfASnapshot(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	large := strings.Repeat("0123456789abcdef", 150_000)
	old := h.take(taking{repo: former, seq: 1, at: day, files: map[string]string{"data/a.txt": "first"}})
	id := h.take(taking{seq: 2, at: day.AddDate(0, 0, 3), files: map[string]string{"data/a.txt": "second", "data/sub/large": large, "db/dump/manifest": "{}"},
		forms: map[string]snapshot.Form{"db": snapshot.PostgresDump}, grow: func(stack string) {
			err := errors.Join(os.Symlink("../../etc", filepath.Join(stack, "data", "link")), os.Link(filepath.Join(stack, "data", "a.txt"), filepath.Join(stack, "data", "same")),
				os.Chmod(filepath.Join(stack, "data", "sub", "large"), 0o755|fs.ModeSetuid),
				os.Chtimes(filepath.Join(stack, "data", "sub", "large"), time.Time{}, time.Unix(1_000_000_000, 0)))
			if err != nil {
				t.Fatal(err)
			}
		}})
	t.Run("choose", func(t *testing.T) { h.chooses(t, old, id) })
	t.Run("list", func(t *testing.T) { h.lists(t, id) })
	t.Run("get", func(t *testing.T) { h.gets(t, old, id, large) })
	t.Run("stream", func(t *testing.T) { h.streams(t, id) })
	t.Run("refuse", func(t *testing.T) { h.refuses(t, id) })
}

func (h *house) chooses(t *testing.T, old, id string) {
	for name, test := range map[string]struct {
		choice Choice
		want   string
	}{
		"a beginning":        {h.choice(old[:10]), old},
		"of any stack":       {Choice{Ref: Ref{ID: id[:8], Path: "/"}}, id},
		"the newest":         {h.choice("latest"), id},
		"now":                {Choice{Stack: "notes", Ref: Ref{Path: "/"}, At: time.Now()}, id},
		"at its second":      {Choice{Stack: "notes", Ref: Ref{Path: "/"}, At: day.AddDate(0, 0, 3)}, id},
		"before the present": {Choice{Stack: "notes", Ref: Ref{Path: "/"}, At: day.AddDate(0, 0, 2)}, old},
	} {
		list, err := h.reader.List(t.Context(), test.choice, false)
		if err != nil || list.ID != test.want {
			t.Errorf("%s: %.8s, %v; want %.8s", name, list.ID, err, test.want)
		}
	}
}

func (h *house) lists(t *testing.T, id string) {
	list, err := h.reader.List(t.Context(), h.choice(id[:8]), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list.Volumes {
		if v.Dump() != (v.Name == "db") || v.Name == "data" && (v.Files != 2 || v.Bytes != 2_400_006) {
			t.Errorf("%+v", v)
		}
	}
	if len(list.Volumes) != 2 || list.Stack != "notes" || !list.Taken.Equal(day.AddDate(0, 0, 3)) {
		t.Errorf("%+v", list)
	}
	for path, want := range map[string]string{"/data": "a.txt file 6, link symlink ../../etc, same file 6, sub dir", "/data/sub": "large file 2400000", "/data/a.txt": "a.txt file 6", "/db": "dump dir"} {
		list, err := h.reader.List(t.Context(), h.choice("latest:"+path), false)
		if diff := cmp.Diff(want, said(list)); err != nil || diff != "" {
			t.Errorf("%s: %v %s", path, err, diff)
		}
	}
	deep, err := h.reader.List(t.Context(), h.choice("latest:/db"), true)
	if err != nil || said(deep) != "dump dir, dump/manifest file 2" || deep.Form != string(snapshot.PostgresDump) {
		t.Errorf("%+v, %v", deep, err)
	}
}

func said(list Contents) string {
	var all []string
	for _, e := range list.Entries {
		text := e.Path + " " + e.Type + " " + e.Target
		if e.Type == "file" {
			text = fmt.Sprintf("%s file %d", e.Path, e.Bytes)
		}
		all = append(all, strings.TrimSpace(text))
	}
	return strings.Join(all, ", ")
}

func (h *house) gets(t *testing.T, old, id, large string) {
	dir := filepath.Join(t.TempDir(), "made")
	got, err := h.reader.Get(t.Context(), h.choice(id[:8]+":/data"), dir)
	if err != nil || got.Files != 3 || got.To != filepath.Join(dir, "data") {
		t.Fatalf("%+v, %v", got, err)
	}
	if content, err := os.ReadFile(filepath.Join(dir, "data", "sub", "large")); err != nil || string(content) != large {
		t.Errorf("large has %d bytes, %v", len(content), err)
	}
	info, err := os.Lstat(filepath.Join(dir, "data", "sub", "large"))
	if err != nil || info.Mode() != 0o755 || !info.ModTime().Equal(time.Unix(1_000_000_000, 0)) {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if to, err := os.Readlink(filepath.Join(dir, "data", "link")); err != nil || to != "../../etc" {
		t.Errorf("the link leads to %s, %v", to, err)
	}
	if _, err := h.reader.Get(t.Context(), h.choice(old[:8]+":/data/a.txt"), dir); err != nil {
		t.Error(err)
	}
	if content, err := os.ReadFile(filepath.Join(dir, "a.txt")); err != nil || string(content) != "first" {
		t.Errorf("%q, %v", content, err)
	}
	if _, err := h.reader.Get(t.Context(), h.choice(id[:8]+":/data/a.txt"), dir); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("over another file: %v", err)
	}
	if content, err := os.ReadFile(filepath.Join(dir, "a.txt")); err != nil || string(content) != "first" {
		t.Errorf("afterwards %q, %v", content, err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".salvor*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func (h *house) streams(t *testing.T, id string) {
	for _, special := range []bool{false, true} {
		var out bytes.Buffer
		if _, err := h.reader.Stream(t.Context(), h.choice(id[:8]+":/data"), &out, special); err != nil {
			t.Fatal(err)
		}
		in, seen := tar.NewReader(&out), map[string]*tar.Header{}
		for {
			head, err := in.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			seen[head.Name] = head
		}
		if l := seen["data/sub/large"]; l == nil || l.Uid != os.Getuid() || l.Mode&0o4000 != 0 != special {
			t.Errorf("special %t: %+v", special, l)
		}
		if same := seen["data/same"]; same == nil || same.Linkname != "data/a.txt" {
			t.Errorf("%+v", same)
		}
	}
}

func (h *house) refuses(t *testing.T, id string) {
	file := filepath.Join(t.TempDir(), "file")
	h.write(file, "mine")
	for name, test := range map[string]struct {
		choice Choice
		to     string
		want   string
	}{
		"an unknown id":        {h.choice("0123456789"), "", "stack notes does not have a snapshot 0123456789"},
		"of no stack":          {Choice{Ref: Ref{ID: "0123456789", Path: "/"}}, "", "no stack has a snapshot 0123456789"},
		"the newest of any":    {Choice{Ref: Ref{ID: Latest, Path: "/"}}, "", "the stack is not named"},
		"a misspelt name":      {h.choice(id[:8] + ":/data/a.tx"), "", "has no a.tx in /data, which has a.txt, link, same, sub, did you mean \"a.txt\"?"},
		"a misspelt volume":    {h.choice(id[:8] + ":/date"), "", "has no date in /, which has data, db, did you mean \"data\"?"},
		"below a file":         {h.choice(id[:8] + ":/data/a.txt/b"), "", "/data/a.txt in snapshot " + id[:8] + " is a file"},
		"through a link":       {h.choice(id[:8] + ":/data/link/passwd"), "", "links are not followed"},
		"into a file":          {h.choice(id[:8] + ":/data"), file, "is a file, and not a folder"},
		"before the first one": {Choice{Stack: "notes", Ref: Ref{Path: "/"}, At: day.AddDate(0, 0, -1)}, "", "has no snapshot of "},
		"another stack":        {Choice{Stack: "wiki", Ref: Ref{ID: Latest, Path: "/"}}, "", "stack wiki: it has no snapshot repository"},
	} {
		to := test.to
		if to == "" {
			to = t.TempDir()
		}
		_, err := h.reader.Get(t.Context(), test.choice, to)
		if err == nil || !strings.Contains(err.Error(), test.want) || fault.Hint(err) == "" {
			t.Errorf("%s: %v, hint %q", name, err, fault.Hint(err))
		}
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "mine" {
		t.Errorf("%q, %v", content, err)
	}
}

// TestABeginningOfSeveralIDs names them.
func TestABeginningOfSeveralIDs(t *testing.T) {
	t.Parallel()
	at := recording.Archive{Stack: "notes"}
	m, err := one([]match{{at, "3f2a01"}, {at, "3f2a02"}}, nil, "notes", "3f2a")
	if err == nil || err.Error() != "2 snapshots begin with 3f2a: 3f2a01 (notes), 3f2a02 (notes)" || fault.Hint(err) != "write more of the id" {
		t.Errorf("%v, %v", m, err)
	}
	away := errors.New("no answer")
	if _, err := one(nil, []error{away}, "notes", "3f2a"); !errors.Is(err, away) {
		t.Error(err)
	}
	if m, err := one([]match{{at, "3f2a01"}}, []error{away}, "notes", "3f2a"); err != nil || m.id != "3f2a01" {
		t.Errorf("%v, %v", m, err)
	}
}
