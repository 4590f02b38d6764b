package controlrepo

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/lockfile"
)

// stackFolders is a fleet whose lock has these placements, with folders of stacks that
// say this of themselves.
func stackFolders(t *testing.T, placed map[string]string, folders map[string]string) fstest.MapFS {
	t.Helper()
	lock := fleet.Lock{Stacks: map[string]fleet.Placement{}}
	files := fstest.MapFS{fleet.File: {Data: []byte("schema: 1\nfleet: home\nhosts: {alpha: {address: 192.0.2.1}}\n")}}
	for name, called := range placed {
		lock.Stacks[name] = fleet.Placement{Host: "alpha", Epoch: 2, Called: called, Volumes: map[string]fleet.VolumeState{"data": {Born: time.Unix(1, 0).UTC()}}}
		files["sealed/alpha/"+name+".age"] = &fstest.MapFile{}
	}
	content, err := lockfile.Encode(lock)
	if err != nil {
		t.Fatal(err)
	}
	files[lockfile.Name] = &fstest.MapFile{Data: content}
	for folder, says := range folders {
		files["stacks/"+folder+"/compose.yaml"] = &fstest.MapFile{Data: []byte("x-salvor: {host: alpha" + says + "}\nservices: {web: {image: nginx:1}}\n")}
	}
	return files
}

// TestARenamedStackKeepsItsName is fault V17 for stacks: one that is formerly another
// goes on under the name that it began with, from then on without formerly: too.
func TestARenamedStackKeepsItsName(t *testing.T) {
	for name, c := range map[string]struct {
		placed, folders map[string]string
		folder          string
		want, called    string
		renamed         bool // the next commit says so
	}{
		"not renamed":            {placed: map[string]string{"notes": ""}, folders: map[string]string{"notes": ""}, folder: "notes", want: "notes"},
		"renamed":                {placed: map[string]string{"notes": ""}, folders: map[string]string{"diary": ", formerly: notes"}, folder: "diary", want: "notes", called: "diary", renamed: true},
		"renamed before":         {placed: map[string]string{"notes": "diary"}, folders: map[string]string{"diary": ", formerly: notes"}, folder: "diary", want: "notes", called: "diary"},
		"without formerly":       {placed: map[string]string{"notes": "diary"}, folders: map[string]string{"diary": ""}, folder: "diary", want: "notes", called: "diary"},
		"twice":                  {placed: map[string]string{"notes": "diary"}, folders: map[string]string{"log": ", formerly: diary"}, folder: "log", want: "notes", called: "log", renamed: true},
		"twice, by its first":    {placed: map[string]string{"notes": "diary"}, folders: map[string]string{"log": ", formerly: notes"}, folder: "log", want: "notes", called: "log", renamed: true},
		"back":                   {placed: map[string]string{"notes": "diary"}, folders: map[string]string{"notes": ", formerly: diary"}, folder: "notes", want: "notes", renamed: true},
		"never placed":           {folders: map[string]string{"diary": ", formerly: notes"}, folder: "diary", want: "diary"},
		"a stack of its own":     {placed: map[string]string{"notes": "", "diary": ""}, folders: map[string]string{"diary": ", formerly: notes"}, folder: "diary", want: "diary"},
		"another one took it":    {placed: map[string]string{"notes": "log"}, folders: map[string]string{"log": "", "diary": ", formerly: notes"}, folder: "diary", want: "diary"},
		"beside the renamed one": {placed: map[string]string{"notes": ""}, folders: map[string]string{"diary": ", formerly: notes", "web": ", needs: [diary]"}, folder: "web", want: "web", renamed: true},
	} {
		repo, err := load(stackFolders(t, c.placed, c.folders), "")
		if err != nil {
			t.Fatal(name, err)
		}
		i := slices.IndexFunc(repo.Fleet.Stacks, func(st fleet.Stack) bool { return st.Dir == "stacks/"+c.folder })
		st := repo.Fleet.Stacks[i]
		if st.Name != c.want || st.Called != c.called {
			t.Errorf("%s: it is %s, called %q", name, st.Name, st.Called)
		}
		if repo.Named(c.folder) != c.want || c.called != "" && repo.Lock.Stacks[c.want].Called != c.called {
			t.Errorf("%s: %s names %s, the lock has %+v", name, c.folder, repo.Named(c.folder), repo.Lock.Stacks)
		}
		if lock, said := repo.Renaming[lockfile.Name]; said != c.renamed || said && !strings.Contains(string(lock), `"notes"`) {
			t.Errorf("%s: the next commit has the lock %q", name, lock)
		}
		if c.folder == "web" && !slices.Equal(st.Needs, []string{"notes"}) {
			t.Errorf("%s: it needs %v", name, st.Needs)
		}
	}
}

// TestTheNameOfARenamedStackStaysItsOwn is fault V17 for stacks: no other stack gets
// its claims, data and seals.
func TestTheNameOfARenamedStackStaysItsOwn(t *testing.T) {
	_, err := load(stackFolders(t, map[string]string{"notes": "diary"}, map[string]string{"diary": "", "notes": ""}), "")
	if err == nil || !strings.Contains(err.Error(), `"notes" is the name that "diary" began with`) {
		t.Errorf("got %v", err)
	}
	for name, placed := range map[string]map[string]string{"called like another": {"notes": "diary", "diary": ""}, "two called alike": {"notes": "log", "diary": "log"}} {
		lock := fleet.Lock{Stacks: map[string]fleet.Placement{}}
		for stack, called := range placed {
			lock.Stacks[stack] = fleet.Placement{Host: "alpha", Epoch: 1, Called: called}
		}
		if _, err := lockfile.Encode(lock); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestAStackFormerlyOneThatIsGone is fault V17 for stacks: what has snapshots and is
// placed nowhere is asked about by its old name.
func TestAStackFormerlyOneThatIsGone(t *testing.T) {
	files := stackFolders(t, nil, map[string]string{"diary": ", formerly: notes"})
	files["sealed/recovery/notes.age"] = &fstest.MapFile{}
	repo, err := load(files, "")
	if err != nil || repo.Fleet.Stacks[0].Name != "notes" || repo.Fleet.Stacks[0].Called != "diary" {
		t.Errorf("%+v, %v", repo.Fleet.Stacks, err)
	}
}

// TestSecretsOfARenamedStackStay is fault V17 for stacks: variables that were renamed
// with the folder are not silently missing.
func TestSecretsOfARenamedStackStay(t *testing.T) {
	files := stackFolders(t, map[string]string{"notes": ""}, map[string]string{"diary": ", formerly: notes"})
	files["secrets/diary.env"] = &fstest.MapFile{}
	repo, err := load(files, "")
	if err != nil || len(repo.Findings) != 1 || repo.Findings[0].Severity != finding.Fatal || repo.Findings[0].Fix != "git mv secrets/diary.env secrets/notes.env" {
		t.Errorf("%+v, %v", repo.Findings, err)
	}
}
