package delivery

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/hostpath"
	"salvor/internal/project"
	"salvor/internal/secret"
)

const canary = "hunter2-canary"

// memoryDir returns an empty folder in memory.
func memoryDir(t *testing.T) hostpath.Secrets {
	t.Helper()
	if os.Geteuid() != 0 {
		unavailable(t, "needs root, to give files away")
	}
	dir, err := os.MkdirTemp("/dev/shm", "salvor-delivery")
	if err != nil {
		unavailable(t, err.Error())
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if _, err := memory(dir); err != nil {
		unavailable(t, err.Error())
	}
	return hostpath.Secrets(dir)
}

func sample() Secrets {
	return Secrets{
		Stack: "notes",
		Mounts: []project.SecretMount{
			{Service: "web", Secret: "token", Target: "token", Mode: 0o444},
			{Service: "web", Secret: "db", Target: ".pgpass", UID: 70, GID: 71, Mode: 0o400},
			{Service: "db", Secret: "db", Target: "db_password", UID: 999, GID: 999, Mode: 0o440},
			{Service: "db", Secret: "key", Target: "/etc/ssl/key:$x.pem", Mode: 0o400},
		},
		Env: []string{"DB_PASSWORD"},
		Sealed: agentapi.SealedFile{
			Secrets: map[string][]byte{"token": []byte("t1"), "db": []byte(canary), "key": []byte("pem"), "unlisted": []byte("x")},
			Env:     map[string][]byte{"DB_PASSWORD": []byte(canary), "UNASKED": []byte("x")},
		},
	}
}

func mustDeliver(t *testing.T, root hostpath.Secrets, s Secrets) Report {
	t.Helper()
	r, err := Deliver(root, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// listing shows every name below root: files with owner, mode and content.
func listing(t *testing.T, root hostpath.Secrets) []string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(string(root), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(string(root), p)
		if to, err := os.Readlink(p); err == nil {
			lines = append(lines, rel+" -> "+to)
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(p)
		st := info.Sys().(*syscall.Stat_t)
		lines = append(lines, fmt.Sprintf("%s %d:%d %04o %q", rel, st.Uid, st.Gid, info.Mode().Perm(), content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestDeliver(t *testing.T) {
	root := memoryDir(t)
	report := mustDeliver(t, root, sample())
	if diff := cmp.Diff(Report{Services: []string{"db", "web"}, Env: true}, report); diff != "" {
		t.Error(diff)
	}
	want := []string{
		`notes/.env 0:0 0600 "DB_PASSWORD='hunter2-canary'\n"`,
		`notes/.files/db/%2Fetc%2Fssl%2Fkey%3A%24x.pem 0:0 0400 "pem"`,
		`notes/db/..1/db_password 999:999 0440 "hunter2-canary"`,
		`notes/db/..data -> ..1`,
		`notes/db/db_password -> ..data/db_password`,
		`notes/web/..1/.pgpass 70:71 0400 "hunter2-canary"`,
		`notes/web/..1/token 0:0 0444 "t1"`,
		`notes/web/..data -> ..1`,
		`notes/web/.pgpass -> ..data/.pgpass`,
		`notes/web/token -> ..data/token`,
	}
	if diff := cmp.Diff(want, listing(t, root)); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(root.Single("notes", "db", "/etc/ssl/key:$x.pem")); err != nil {
		t.Error(err)
	}
}

func TestDeliverTwiceChangesNothing(t *testing.T) {
	root := memoryDir(t)
	mustDeliver(t, root, sample())
	before := listing(t, root)
	if r := mustDeliver(t, root, sample()); len(r.Services) != 0 || r.Env {
		t.Errorf("second delivery: %+v", r)
	}
	if diff := cmp.Diff(before, listing(t, root)); diff != "" {
		t.Error(diff)
	}
}

func TestDeliverReportsWhatChanged(t *testing.T) {
	cases := map[string]struct {
		change func(*Secrets)
		want   Report
	}{
		"a value of one service": {func(s *Secrets) { s.Sealed.Secrets["token"] = []byte("t2") }, Report{Services: []string{"web"}}},
		"a value of two":         {func(s *Secrets) { s.Sealed.Secrets["db"] = []byte("new") }, Report{Services: []string{"db", "web"}}},
		"a single file":          {func(s *Secrets) { s.Sealed.Secrets["key"] = []byte("new") }, Report{Services: []string{"db"}}},
		"a mode":                 {func(s *Secrets) { s.Mounts[0].Mode = 0o400 }, Report{Services: []string{"web"}}},
		"an owner":               {func(s *Secrets) { s.Mounts[2].UID = 5 }, Report{Services: []string{"db"}}},
		"a name":                 {func(s *Secrets) { s.Mounts[0].Target = "renamed" }, Report{Services: []string{"web"}}},
		"one secret less":        {func(s *Secrets) { s.Mounts = s.Mounts[1:] }, Report{Services: []string{"web"}}},
		"no secret for a service": {func(s *Secrets) { s.Mounts = s.Mounts[:2] },
			Report{Services: []string{"db"}}},
		"a variable":  {func(s *Secrets) { s.Sealed.Env["DB_PASSWORD"] = []byte("new") }, Report{Env: true}},
		"no variable": {func(s *Secrets) { s.Env = nil }, Report{Env: true}},
		"an unlisted": {func(s *Secrets) { s.Sealed.Secrets["unlisted"] = []byte("new") }, Report{}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			root := memoryDir(t)
			mustDeliver(t, root, sample())
			s := sample()
			c.change(&s)
			if diff := cmp.Diff(c.want, mustDeliver(t, root, s)); diff != "" {
				t.Error(diff)
			}
			if err := MarkNotified(root, s.Stack); err != nil {
				t.Fatal(err)
			}
			fresh := memoryDir(t)
			mustDeliver(t, fresh, s)
			if diff := cmp.Diff(strip(listing(t, fresh)), strip(listing(t, root))); diff != "" {
				t.Errorf("unlike a first delivery: %s", diff)
			}
			if r := mustDeliver(t, root, s); len(r.Services) != 0 || r.Env {
				t.Errorf("the same again: %+v", r)
			}
		})
	}
}

// strip takes the version numbers away.
func strip(lines []string) []string {
	for i, l := range lines {
		lines[i] = strings.NewReplacer("..1", "..N", "..2", "..N").Replace(l)
	}
	return lines
}

func TestAllFilesOfAServiceChangeAtOnce(t *testing.T) {
	root := memoryDir(t)
	deliver := func(value string) {
		mustDeliver(t, root, Secrets{
			Stack:  "s",
			Mounts: []project.SecretMount{{Service: "web", Secret: "v", Target: "a", Mode: 0o444}, {Service: "web", Secret: "v", Target: "b", Mode: 0o444}},
			Sealed: agentapi.SealedFile{Secrets: map[string][]byte{"v": []byte(value)}},
		})
	}
	deliver("0")
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		dir := root.Service("s", "web")
		for {
			select {
			case <-stop:
				return
			default:
			}
			version, err := os.Readlink(filepath.Join(dir, dataLink))
			if err != nil {
				t.Errorf("no version to read: %v", err)
				return
			}
			a, errA := os.ReadFile(filepath.Join(dir, version, "a"))
			b, errB := os.ReadFile(filepath.Join(dir, version, "b"))
			if errors.Join(errA, errB) == nil && !bytes.Equal(a, b) {
				t.Errorf("a is %q and b is %q", a, b)
			}
			if _, err := os.ReadFile(filepath.Join(dir, "a")); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		}
	})
	for i := range 200 {
		deliver(fmt.Sprint(i + 1))
	}
	close(stop)
	reader.Wait()
}

func TestDeliverCutShortIsResumed(t *testing.T) {
	root := memoryDir(t)
	mustDeliver(t, root, sample())
	dir := root.Service("notes", "web")
	for _, leftover := range []string{"..2/token", "..link", "..tmp"} {
		path := filepath.Join(dir, leftover)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("half"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	s := sample()
	s.Sealed.Secrets["token"] = []byte("t2")
	mustDeliver(t, root, s)
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{"..3", "..data", ".pgpass", "token"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestDeliverRefusesBeforeItWrites(t *testing.T) {
	mount := func(service, target string) func(*Secrets) {
		return func(s *Secrets) {
			s.Mounts = append(s.Mounts, project.SecretMount{Service: service, Secret: "db", Target: target})
		}
	}
	cases := map[string]func(*Secrets){
		"a stack outside":      func(s *Secrets) { s.Stack = "../x" },
		"a service outside":    mount("..", "a"),
		"a service like ours":  mount(".files", "a"),
		"a target outside":     mount("web", "../a"),
		"a target like ours":   mount("web", "..data"),
		"a nested target":      mount("web", "a/b"),
		"a target not clean":   mount("web", "/etc/../a"),
		"no target":            mount("web", ""),
		"a target twice":       mount("web", "token"),
		"a secret that lacks":  func(s *Secrets) { s.Mounts[0].Secret = "none" },
		"a variable that lack": func(s *Secrets) { s.Env = []string{"NONE"} },
		"a variable's name":    func(s *Secrets) { s.Env = []string{"A\nB"}; s.Sealed.Env["A\nB"] = []byte(canary) },
		"a variable's bytes":   func(s *Secrets) { s.Sealed.Env["DB_PASSWORD"] = []byte(canary + "\x00") },
	}
	for name, change := range cases {
		root := memoryDir(t)
		s := sample()
		change(&s)
		_, err := Deliver(root, s)
		if err == nil || strings.Contains(err.Error(), canary) || len(listing(t, root)) != 0 {
			t.Errorf("%s: %v, %d files", name, err, len(listing(t, root)))
		}
		if lacks := strings.Contains(name, " that lack"); lacks != errors.Is(err, secret.ErrNotFound) {
			t.Errorf("%s: %v; secret.ErrNotFound should be %v", name, err, lacks)
		}
	}
}

func TestRemove(t *testing.T) {
	root := memoryDir(t)
	mustDeliver(t, root, sample())
	for range 2 {
		if err := Remove(root, "notes"); err != nil {
			t.Error(err)
		}
	}
	if left := listing(t, root); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if err := Remove(root, ".."); err == nil {
		t.Error("removed what is outside")
	}
}

func TestComposeReadsTheEnvAsItWas(t *testing.T) {
	for _, value := range []string{"", "a b # c", `it's`, "$HOME ${X} $$", `end\`, "two\nlines", "'\n$'"} {
		out, err := encodeEnv("s", []string{"B", "A", "A"}, map[string][]byte{"A": []byte(value), "B": []byte("after"), "C": nil})
		if err != nil {
			t.Fatal(err)
		}
		got, err := dotenv.UnmarshalWithLookup(string(out), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if diff := cmp.Diff(map[string]string{"A": value, "B": "after"}, got); diff != "" {
			t.Errorf("%q: %s", out, diff)
		}
	}
}
