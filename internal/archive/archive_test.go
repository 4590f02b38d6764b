package archive

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree is what is in a folder, a line each: "dir/", "file text", "link -> target".
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || at == dir {
			return err
		}
		name, err := filepath.Rel(dir, at)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			name += "/"
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(at)
			if err != nil {
				return err
			}
			name += " -> " + target
		default:
			content, err := os.ReadFile(at)
			if err != nil {
				return err
			}
			name += " " + string(content)
		}
		all = append(all, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// grow makes a tree.
func grow(t *testing.T, dir string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		var err error
		name, text, isFile := strings.Cut(line, " ")
		switch target, isLink := strings.CutPrefix(text, "-> "); {
		case !isFile:
			err = os.MkdirAll(filepath.Join(dir, name), 0o755)
		case isLink:
			err = os.Symlink(target, filepath.Join(dir, name))
		default:
			err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func stream(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		text := h.PAXRecords["text"]
		h.PAXRecords = nil
		h.Size = int64(len(text))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

func file(name, text string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, PAXRecords: map[string]string{"text": text}}
}

func folder(name string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}
}

func link(name, target string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}
}

// TestUnpackGoesWhereDockerCpDoes.
func TestUnpackGoesWhereDockerCpDoes(t *testing.T) {
	one, conf := []tar.Header{file("app.conf", "x")}, []tar.Header{folder("conf/"), file("conf/a", "x"), link("conf/l", "/etc/passwd")}
	for name, c := range map[string]struct {
		entries  []tar.Header
		from, to string
		want     []string
		fails    string
		before   []string
	}{
		"a file, new":                {entries: one, from: "/etc/app.conf", to: "mine", want: []string{"mine x"}},
		"a file, over another":       {entries: one, from: "/etc/app.conf", to: "mine", before: []string{"mine old"}, want: []string{"mine x"}},
		"a file, over a link":        {entries: one, from: "/etc/app.conf", to: "mine", before: []string{"other old", "mine -> other"}, want: []string{"mine x", "other old"}},
		"a file, into a folder":      {entries: one, from: "/etc/app.conf", to: "d", before: []string{"d"}, want: []string{"d/", "d/app.conf x"}},
		"a file, no such folder":     {entries: one, from: "/etc/app.conf", to: "d/", fails: "there is no folder"},
		"a folder, new":              {entries: conf, from: "/etc/conf", to: "mine", want: []string{"mine/", "mine/a x", "mine/l -> /etc/passwd"}},
		"a folder, into a folder":    {entries: conf, from: "/etc/conf", to: "d", before: []string{"d"}, want: []string{"d/", "d/conf/", "d/conf/a x", "d/conf/l -> /etc/passwd"}},
		"a folder, over a file":      {entries: conf, from: "/etc/conf", to: "d", before: []string{"d file"}, fails: "is not a folder", want: []string{"d file"}},
		"what is in it":              {entries: []tar.Header{folder("./"), file("./a", "x")}, from: "/etc/conf/.", to: "d", before: []string{"d"}, want: []string{"d/", "d/a x"}},
		"what is in it, new":         {entries: []tar.Header{folder("./"), file("./a", "x")}, from: "/etc/conf/.", to: "d", want: []string{"d/", "d/a x"}},
		"nothing":                    {from: "/etc/conf", to: "d", fails: "is empty"},
		"a name that leads out":      {entries: []tar.Header{folder("conf/"), file("conf/../../evil", "x")}, from: "/etc/conf", to: "d", fails: "leads out", want: []string{"d/"}},
		"a link that leads out":      {entries: []tar.Header{folder("conf/"), link("conf/l", ".."), file("conf/l/evil", "x")}, from: "/etc/conf", to: "d", fails: "escapes", want: []string{"d/", "d/l -> .."}},
		"a file over the link":       {entries: []tar.Header{folder("conf/"), link("conf/l", "../mine"), file("conf/l", "x")}, from: "/etc/conf", to: "d", before: []string{"mine old"}, want: []string{"d/", "d/l x", "mine old"}},
		"a folder over a link":       {entries: []tar.Header{folder("conf/"), folder("conf/l/"), file("conf/l/evil", "x")}, from: "/etc/conf", to: "d", before: []string{"e", "d", "d/conf", "d/conf/l -> ../../e"}, fails: "is not a folder", want: []string{"d/", "d/conf/", "d/conf/l -> ../../e", "e/"}},
		"a hard link that leads out": {entries: []tar.Header{folder("conf/"), {Name: "conf/h", Typeflag: tar.TypeLink, Linkname: "conf/../../mine"}}, from: "/etc/conf", to: "d", before: []string{"mine old"}, fails: "leads out", want: []string{"d/", "mine old"}},
		"a device":                   {entries: []tar.Header{folder("conf/"), {Name: "conf/null", Typeflag: tar.TypeChar}}, from: "/etc/conf", to: "d", want: []string{"d/"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			grow(t, dir, c.before...)
			left, err := Unpack(stream(t, c.entries...), c.from, filepath.Join(dir, c.to)+strings.Repeat("/", strings.Count(c.to, "/")))
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("ends with %v, want %q", err, c.fails)
			}
			if diff := cmp.Diff(c.want, tree(t, dir)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if (left == 1) != (name == "a device") {
				t.Errorf("%d were left out", left)
			}
		})
	}
}

// TestWhatIsPackedIsUnpacked, with links as links.
func TestWhatIsPackedIsUnpacked(t *testing.T) {
	dir := t.TempDir()
	grow(t, dir, "conf", "conf/sub", "conf/sub/b y", "conf/a x", "conf/l -> /etc/passwd")
	for from, want := range map[string][]string{
		"conf":       {"conf/", "conf/a x", "conf/l -> /etc/passwd", "conf/sub/", "conf/sub/b y"},
		"conf/.":     {"a x", "l -> /etc/passwd", "sub/", "sub/b y"},
		"conf/sub/b": {"conf y"},
	} {
		var out bytes.Buffer
		source := filepath.Join(dir, from)
		if strings.HasSuffix(from, "/.") {
			source += "/."
		}
		if err := Pack(&out, source, "conf"); err != nil {
			t.Fatal(err)
		}
		to := t.TempDir()
		name := "/conf"
		if strings.HasSuffix(from, "/.") {
			name = "/conf/."
		}
		if _, err := Unpack(&out, name, to); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, tree(t, to)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", from, diff)
		}
	}
	if err := Pack(&bytes.Buffer{}, filepath.Join(dir, "nothing"), "x"); err == nil {
		t.Error("nothing was packed")
	}
}

// FuzzUnpack: whatever a stream has, nothing outside the folder changes.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte("x"), "/etc/conf")
	f.Fuzz(func(t *testing.T, content []byte, from string) {
		dir := t.TempDir()
		grow(t, dir, "mine old", "d")
		_, _ = Unpack(bytes.NewReader(content), from, filepath.Join(dir, "d")) // only what it leaves matters
		for _, line := range tree(t, dir) {
			if line != "mine old" && !strings.HasPrefix(line, "d/") {
				t.Errorf("%q", line)
			}
		}
	})
}
