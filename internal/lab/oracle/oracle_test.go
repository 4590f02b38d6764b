package oracle

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func chain(payloads ...string) []Row {
	var rows []Row
	var head Row
	for _, p := range payloads {
		head = head.Next(p)
		rows = append(rows, head)
	}
	return rows
}

func TestVerify(t *testing.T) {
	good := chain("a", "b", "c")
	changed := chain("a", "b", "c")
	changed[1].Payload = "x"
	for name, c := range map[string]struct {
		rows []Row
		want string
	}{
		"unbroken":        {good, ""},
		"empty":           {nil, ""},
		"a gap":           {[]Row{good[0], good[2]}, "row 3 follows row 1"},
		"first lost":      {good[1:], "row 2 follows row 0"},
		"twice":           {[]Row{good[0], good[0]}, "row 1 follows row 1"},
		"payload changed": {changed, "row 2 does not continue"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Verify(c.rows)
			if got := errText(err); c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestCollectorCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Collector
		rows := chain("a", "b", "c", "d")
		for _, row := range rows[:2] {
			c.Add(Ack{Writer: "w", N: row.N, Hash: row.Hash})
			<-time.After(time.Second)
		}
		snapshot := time.Now()
		c.Add(Ack{Writer: "w", N: 3, Hash: rows[2].Hash})
		other := chain("a", "x", "y")
		for name, tc := range map[string]struct {
			rows []Row
			want string
		}{
			"all that counted":     {rows[:2], ""},
			"more than counted":    {rows, ""},
			"an acknowledged lost": {rows[:1], "row 2 was acknowledged"},
			"another history":      {other, "row 2 is not the one"},
			"broken":               {rows[1:], "row 2 follows row 0"},
		} {
			got := errText(c.Check("w", tc.rows, snapshot))
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("%s: got %q, want %q", name, got, tc.want)
			}
		}
		if gap := c.LongestGap("w", time.Time{}); gap != time.Second {
			t.Errorf("longest gap %s, want 1s", gap)
		}
		c.Add(Ack{Writer: "w", N: 2, Hash: other[1].Hash})
		if forks := c.Forks("w"); len(forks) != 1 || forks[0] != 2 {
			t.Errorf("forks %v, want [2]", forks)
		}
	})
}

func TestCollectorCountsWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Collector
		rows, other := chain("a", "b", "c"), chain("a", "x")
		for _, row := range rows {
			c.Add(Ack{Writer: "w", N: row.N, Hash: row.Hash})
			<-time.After(time.Second)
		}
		for _, tc := range []struct {
			rows []Row
			lost int
		}{{rows, 0}, {rows[:1], 2}, {other, 2}, {nil, 3}} {
			if lost := c.Lost("w", tc.rows); lost != tc.lost {
				t.Errorf("of %d rows %d are lost, want %d", len(tc.rows), lost, tc.lost)
			}
		}
		late := time.Now().Add(-1500 * time.Millisecond)
		if acks := c.Only(func(a Ack) bool { return a.At.After(late) }).Acks("w"); len(acks) != 1 || acks[0].N != 3 {
			t.Errorf("of the last second: %v", acks)
		}
	})
}

func TestCollectorSeesTwoHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Collector
		tell := func(writer string, hosts ...string) {
			for _, host := range hosts {
				c.Add(Ack{Writer: writer, From: host})
				<-time.After(400 * time.Millisecond)
			}
		}
		tell("one", "a", "a", "a", "a")
		<-time.After(2 * time.Second)
		tell("one", "b", "b", "b")
		if n := c.Together("one"); n != 0 {
			t.Errorf("a writer that changed hosts wrote on both for %d s", n)
		}
		tell("two", "a", "b", "a", "b", "a", "b", "a", "b", "a", "b")
		if n := c.Together("two"); n != 4 {
			t.Errorf("two hosts wrote for %d s, want 4", n)
		}
	})
}

func TestCollectorRefusesNonsense(t *testing.T) {
	var c Collector
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest("POST", "/ack", strings.NewReader("{")))
	if w.Code != 400 || len(c.Acks("")) != 0 {
		t.Errorf("status %d, %d acks", w.Code, len(c.Acks("")))
	}
}

func FuzzCollector(f *testing.F) {
	f.Add(`{"writer":"w","n":1,"hash":"00"}`)
	f.Fuzz(func(t *testing.T, body string) {
		var c Collector
		c.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(body)))
	})
}

func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.Mkdir(filepath.Join(dir, "sub"), 0o750))
	for _, name := range []string{"a", "sub/b"} {
		path := filepath.Join(dir, name)
		check(os.WriteFile(path, []byte(name), 0o640))
		check(os.Chtimes(path, time.Unix(1, 5), time.Unix(1, 5)))
	}
	check(os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "c")))
	check(os.Symlink("a", filepath.Join(dir, "link")))
	check(unix.Lutimes(filepath.Join(dir, "link"), []unix.Timeval{{Sec: 1}, {Sec: 1}}))
	return dir
}

func TestManifestSeesEachDifference(t *testing.T) {
	want, err := Manifest(tree(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(dir string) error
		path   string // what the difference is about; "" for none
	}{
		"nothing":      {func(string) error { return nil }, ""},
		"content":      {func(d string) error { return os.WriteFile(d+"/sub/b", []byte("sub/x"), 0o640) }, "sub/b"},
		"mode":         {func(d string) error { return os.Chmod(d+"/sub/b", 0o600) }, "sub/b"},
		"special bit":  {func(d string) error { return os.Chmod(d+"/sub", 0o750|os.ModeSetgid) }, "sub"},
		"time":         {func(d string) error { return os.Chtimes(d+"/sub/b", time.Unix(2, 0), time.Unix(2, 0)) }, "sub/b"},
		"missing":      {func(d string) error { return os.Remove(d + "/sub/b") }, "sub/b"},
		"extra":        {func(d string) error { return os.WriteFile(d+"/z", nil, 0o644) }, "z"},
		"link target":  {func(d string) error { os.Remove(d + "/link"); return os.Symlink("b", d+"/link") }, "link"},
		"link is copy": {func(d string) error { os.Remove(d + "/c"); return os.WriteFile(d+"/c", []byte("a"), 0o640) }, "c"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t)
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
			got, err := Manifest(dir)
			if err != nil {
				t.Fatal(err)
			}
			lines := Differences(want, got)
			if c.path == "" && len(lines) != 0 || c.path != "" && (len(lines) != 1 || !strings.HasPrefix(lines[0], c.path+": ")) {
				t.Errorf("got %q, want one about %q", lines, c.path)
			}
		})
	}
}

func TestManifestSeesOwnersAndAttributes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("changing owners needs root")
	}
	dir := tree(t)
	want, err := Manifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(dir+"/sub/b", 1234, 4321); err != nil {
		t.Fatal(err)
	}
	if err := unix.Lsetxattr(dir+"/sub", "trusted.lab", []byte("x"), 0); err != nil {
		t.Skipf("no extended attributes here: %v", err)
	}
	got, err := Manifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if lines := Differences(want, got); len(lines) != 2 {
		t.Errorf("got %q, want two", lines)
	}
}
