package rollback

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/deploy/deploytest"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/lockfile"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/project"
)

// house has notes on beta, with a history of three deploys, newest first.
type house struct {
	deploytest.World
	deploys []deployed
	lock    fleet.Lock
	made    string // message of the rollback's commit
	files   map[string][]byte
	noMode  bool // the folder can't be reverted
	build   bool // the stack's image is built
}

type deployed struct {
	commit, folder, image string
	trailers              []string
}

func id(short string) git.Commit { return git.Commit(strings.Repeat(short, 10)) }

func image(tag string) string { return "app:" + tag + "@sha256:" + strings.Repeat("a", 63) + tag }

func newHouse() *house {
	h := &house{deploys: []deployed{{"cccc", "f3", "3", nil}, {"bbbb", "f2", "2", nil}, {"aaaa", "f1", "1", nil}}}
	h.lock = fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{"notes": {Host: "beta", Epoch: 2, Images: map[string]string{"app": image("3")}}}}
	h.Alive = map[string]bool{"beta": true}
	h.Owners = map[string]deploy.Owner{"notes": {Host: "beta", Key: "age1beta", Epoch: 2}}
	return h
}

func (h *house) fleet() *Fleet {
	f := &fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "beta"}}, Stacks: []fleet.Stack{{Name: "notes", Dir: "stacks/notes", File: "compose.yaml", Host: "beta"}}}
	session := func(context.Context) (*deploy.Session, error) { return h.Session(f, h.lock), nil }
	reopen := func(ctx context.Context, _ progress.Sink) (*deploy.Session, error) { return session(ctx) }
	return &Fleet{Declared: f, Lock: h.lock, Git: h, ProjectAt: h.projectAt, CommitFiles: h.commitFiles, Session: session, Reopen: reopen}
}

func (h *house) at(c git.Commit) deployed {
	for _, d := range h.deploys {
		if id(d.commit) == c {
			return d
		}
	}
	return deployed{}
}

func (h *house) projectAt(_ context.Context, _ fleet.Stack, c git.Commit) (project.Project, error) {
	return project.Project{Services: []project.Service{{Name: "app", Image: "app:" + h.at(c).image, Build: h.build}}}, nil
}

func (h *house) commitFiles(_ context.Context, files map[string][]byte, message string) error {
	h.Note("commit the rollback")
	h.files, h.made = files, message
	lock, err := lockfile.Decode(files[lockfile.Name])
	h.lock = lock
	return err
}

func (h *house) Log(context.Context, int, ...string) ([]git.Logged, error) {
	var all []git.Logged
	for i, d := range h.deploys {
		all = append(all, git.Logged{Commit: id(d.commit), At: time.Unix(int64(1000-i), 0).UTC(), Subject: "rollback: notes back to nothing", Trailers: d.trailers})
	}
	return all, nil
}

func (h *house) Objects(_ context.Context, names []string) ([]git.Object, error) {
	var all []git.Object
	for _, name := range names {
		c, path, _ := strings.Cut(name, ":")
		d := h.at(git.Commit(c))
		o := git.Object{ID: d.folder}
		if path == lockfile.Name {
			content, err := lockfile.Encode(fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "beta", Epoch: 1, Images: map[string]string{"app": image(d.image)}}}})
			if err != nil {
				return nil, err
			}
			o.Content = content
		}
		all = append(all, o)
	}
	return all, nil
}

func (h *house) Revert(_ context.Context, folder string, to git.Commit) (map[string][]byte, error) {
	if h.noMode {
		return nil, fmt.Errorf("it %w", git.ErrMode)
	}
	return map[string][]byte{folder + "/compose.yaml": []byte("x-salvor:\n  host: alpha\nservices: {app: {image: 'app:" + h.at(to).image + "'}}\n"), folder + "/new": nil}, nil
}

func (h *house) Resolve(_ context.Context, name string) (git.Commit, error) {
	if len(name) != 4 {
		return "", errors.New("it is not a commit here")
	}
	return id(name), nil
}

func withData(h *house) *house {
	h.lock.Stacks["notes"] = fleet.Placement{Host: "beta", Epoch: 2, Images: map[string]string{"app": image("3")}, Volumes: map[string]fleet.VolumeState{"data": {Born: time.Unix(1, 0)}}}
	row := func(name, tag, commit string, seq int) agentapi.SnapshotRow {
		return agentapi.SnapshotRow{SnapshotInfo: agentapi.SnapshotInfo{ID: strings.Repeat(name, 32), Epoch: 1, Seq: seq, Began: time.Unix(int64(seq), 0)}, Images: map[string]string{"app": image(tag)}, Commit: string(id(commit)), Target: "nas"}
	}
	h.Snapshots = []agentapi.SnapshotRow{row("a1", "2", "bbbb", 1), row("a2", "2", "aaaa", 2), row("a3", "3", "cccc", 3)}
	return h
}

// TestBackToTheDeployBefore: the files and images as they were, on the present host, in
// a commit that says so in a line of its own.
func TestBackToTheDeployBefore(t *testing.T) {
	t.Parallel()
	h := newHouse()
	p, err := Prepare(t.Context(), h.fleet(), "notes", Options{})
	if err != nil || p.Question != "Roll notes back to bbbbbbb of 1970-01-01 00:16:39 UTC?" || p.Name != "" || len(h.World.Log()) > 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	r, err := p.Run(t.Context(), nil)
	if err != nil || r.Kind != deploy.KindRollback || cmp.Diff([]string{"notes"}, r.Asked) != "" {
		t.Errorf("%+v, %v", r, err)
	}
	if want := "rollback: notes back to bbbbbbb\n\nSalvor-Rollback: notes " + string(id("bbbb")); h.made != want {
		t.Errorf("committed as %q", h.made)
	}
	if got := h.lock.Stacks["notes"]; got.Images["app"] != image("2") || got.Host != "beta" || got.Epoch != 2 {
		t.Errorf("placed %+v", got)
	}
	if file := string(h.files["stacks/notes/compose.yaml"]); !strings.Contains(file, "host: beta") || !strings.Contains(file, "app:2") {
		t.Errorf("the file is\n%s", file)
	}
	if diff := cmp.Diff([]string{"commit the rollback", "push", "beta applies"}, h.World.Log()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// TestWhereItGoes: to a named deploy, or on from the present one.
func TestWhereItGoes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		to         string
		change     func(*house)
		text, hint string
	}{
		"the oldest":        {"aaaa", nil, "", ""},
		"never deployed":    {"dddd", nil, "stack notes was not deployed at commit ddddddd", "salvor rollback notes --list"},
		"no commit":         {"x", nil, "it is not a commit here", "salvor rollback notes --list"},
		"nothing is before": {"", func(h *house) { h.deploys = h.deploys[:1] }, "stack notes has no earlier deploy to go back to", "salvor snapshot ls notes"},
		"placed nowhere":    {"", func(h *house) { delete(h.lock.Stacks, "notes") }, "stack notes is not placed anywhere", "salvor apply"},
		"by hand":           {"", func(h *house) { h.noMode = true }, "cannot be edited", "git checkout bbbbbbb -- stacks/notes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse()
			if c.change != nil {
				c.change(h)
			}
			_, err := Prepare(t.Context(), h.fleet(), "notes", Options{To: c.to})
			if (err == nil) != (c.text == "") || err != nil && (!strings.Contains(err.Error(), c.text) || !strings.Contains(fault.Hint(err), c.hint)) {
				t.Errorf("%v, hint %q", err, fault.Hint(err))
			}
		})
	}
	if _, err := Prepare(t.Context(), newHouse().fleet(), "wiki", Options{}); err == nil {
		t.Error("a stack that is not declared goes back")
	}
}

// TestARollbackThatWasCutShort is finished first: continuing to the one before it
// would go back twice. It is known by its trailer, whatever its subject says.
func TestARollbackThatWasCutShort(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trailers   []string
		changes    []agentapi.Change
		unfinished bool
	}{
		"cut short":       {[]string{"Salvor-Rollback: notes bbbb"}, []agentapi.Change{{Stack: "notes", ID: "services", Action: "~"}}, true},
		"finished":        {[]string{"Salvor-Rollback: notes bbbb"}, nil, false},
		"another stack's": {[]string{"Salvor-Rollback: blog bbbb"}, []agentapi.Change{{Stack: "notes", ID: "services", Action: "~"}}, false},
		"an edit":         {nil, []agentapi.Change{{Stack: "notes", ID: "services", Action: "~"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse()
			h.deploys[0].trailers = c.trailers
			h.States = map[string]agentapi.HostState{"beta": {Changes: c.changes}}
			_, err := Prepare(t.Context(), h.fleet(), "notes", Options{})
			if (err != nil) != c.unfinished || err != nil && !strings.Contains(err.Error(), "the rollback of notes in commit ccccccc is not finished") {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestTheDataOfAnOlderImage is refused, kept or brought back, as the operator says.
func TestTheDataOfAnOlderImage(t *testing.T) {
	t.Parallel()
	if _, err := Prepare(t.Context(), withData(newHouse()).fleet(), "notes", Options{}); err == nil || !strings.Contains(err.Error(), "the image of app would be older than the data") {
		t.Errorf("unsaid: %v", err)
	}
	if p, err := Prepare(t.Context(), withData(newHouse()).fleet(), "notes", Options{KeepData: true}); err != nil || p.Name != "" {
		t.Errorf("kept: %+v, %v", p, err)
	}
	for _, build := range []bool{false, true} {
		h := withData(newHouse())
		h.build = build
		p, err := Prepare(t.Context(), h.fleet(), "notes", Options{WithData: true})
		if err != nil || p.Name != "notes" || len(p.Loses) != 1 {
			t.Fatalf("%+v, %v", p, err)
		}
		if _, err := p.Run(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		want := strings.Repeat("a2", 32) // the newest that was taken while the image ran
		if build {
			want = strings.Repeat("a1", 32) // and whose folder it was built from
		}
		if got := h.lock.Stacks["notes"].Restore; got == nil || got.Snapshot != want {
			t.Errorf("built %v: restores %+v", build, got)
		}
	}
	h := withData(newHouse())
	h.Snapshots = h.Snapshots[2:]
	if _, err := Prepare(t.Context(), h.fleet(), "notes", Options{WithData: true}); err == nil || fault.Hint(err) != "salvor snapshot ls notes" {
		t.Errorf("no snapshot of then: %v", err)
	}
}

// TestKeepsRestore: a rollback's restore is not withdrawn alone, since an older image
// would start on newer data.
func TestKeepsRestore(t *testing.T) {
	t.Parallel()
	h := newHouse()
	if err := h.fleet().KeepsRestore(t.Context(), "notes"); err != nil {
		t.Errorf("no rollback: %v", err)
	}
	h.lock = placement.Restore(h.lock, "notes", "aa")
	h.deploys[0].trailers = []string{"Salvor-Rollback: notes bbbb"}
	if err := h.fleet().KeepsRestore(t.Context(), "notes"); err == nil || !strings.Contains(fault.Hint(err), "salvor rollback notes --to bbbbbbb --keep-data") {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
}
