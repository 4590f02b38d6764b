package snapshot

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/snapshot/repository"
)

// plant makes a volume's files, with those of caches.
func plant(t *testing.T, volume string, files ...string) {
	t.Helper()
	for _, f := range files {
		at := filepath.Join(volume, f)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		content := "content of " + f
		if filepath.Base(f) == cacheTag {
			content = cacheSignature + "\n"
		}
		write(t, at, content)
	}
}

// inSnapshot returns the paths of a volume that a snapshot has.
func (l *lab) inSnapshot(t *testing.T, id, volume string) []string {
	t.Helper()
	repo, err := openRepository(t.Context(), l.repo)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repo.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	snap, err := repo.Snapshot(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	root, err := repo.Lookup(t.Context(), snap, inside("notes", DirName(volume)))
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{"."}
	if err := repo.Walk(t.Context(), root, func(rel string, _ repository.Node) error {
		paths = append(paths, rel)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	return paths
}

// TestResticLeavesOutWhatAScanLeavesOut: the two read the same patterns.
func TestResticLeavesOutWhatAScanLeavesOut(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	plant(t, l.data, "top", "a.tmp", "a/b/c.tmp", "a/b/keep", "a/top", "x*y/1", "xqy/1", "$HOME/z", "[1]/q", "sp ace/.hidden", "M\xfcller/u", `back\slash/w`,
		"cache/CACHEDIR.TAG", "cache/f", "cache/.h", "cache/sub/g", "cache*/CACHEDIR.TAG", "cache*/f", "cacheX/f", "$c/CACHEDIR.TAG", "$c/f", "new\nline/CACHEDIR.TAG", "new\nline/f", "a/cache/CACHEDIR.TAG", "a/cache/f")
	write(t, filepath.Join(l.data, "xqy", cacheTag), "another text")
	if err := os.Symlink("../cache/CACHEDIR.TAG", filepath.Join(l.data, "a", "b", cacheTag)); err != nil {
		t.Fatal(err)
	}
	var volumes []Volume
	for i, patterns := range [][]string{nil, {"*.tmp"}, {"/*.tmp"}, {"a/**/*.tmp"}, {"**/top"}, {"top"}, {"a"}, {`x\*y`}, {"x?y"}, {`\[1]`}, {"[[]1]"}, {"sp ace"}, {".*"}, {"M?ller"}, {`back\\slash`},
		{"cache"}, {"CACHEDIR.TAG"}, {"cache/sub"}, {"f", "a/*/keep"}, {"?HOME/z"}, {"*/*"}, {"**/b/c*"}} {
		for _, caches := range []bool{false, true} {
			volumes = append(volumes, Volume{Name: fmt.Sprintf("v%d%t", i, caches), Path: l.data, Method: fleet.Live, Omit: fleet.Omission{Patterns: patterns, Caches: caches}})
		}
	}
	r := l.take(t, func(j *Job) { j.Volumes = volumes })
	for _, v := range volumes {
		var want []string
		if err := kept(v.Path, v.Omit, func(n node) error { want = append(want, n.rel); return nil }); err != nil {
			t.Fatal(err)
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, l.inSnapshot(t, r.Snapshot.ID, v.Name)); diff != "" {
			t.Errorf("%v: %s", v.Omit, diff)
		}
	}
}

// omitting is a job whose volume leaves out something.
func omitting(caches bool, patterns ...string) func(*Job) {
	return func(j *Job) { j.Volumes[0].Omit = fleet.Omission{Patterns: patterns, Caches: caches} }
}

func TestWhatIsLeftOutIsNoted(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	plant(t, l.data, "note", "a.tmp", "sub/b.tmp", "c/CACHEDIR.TAG", "c/f")
	cool(t, l.data)
	r := l.take(t, omitting(true, "*.tmp"))
	m := l.meta(t, r.Snapshot.ID)
	want := Left{Patterns: []string{"*.tmp"}, Caches: true, Files: 3, Bytes: int64(len("content of a.tmp" + "content of sub/b.tmp" + "content of c/f"))}
	if diff := cmp.Diff(want, m.Volumes[0].Stats.Left); diff != "" || m.Volumes[0].Stats.Files != 2 {
		t.Errorf("%+v: %s", m.Volumes[0].Stats, diff)
	}
	plant(t, l.data, "c/g")
	write(t, filepath.Join(l.data, "a.tmp"), "other")
	if again := l.take(t, omitting(true, "*.tmp")); !again.Skipped {
		t.Error("a change of what is left out is taken for a change of the volume")
	}
	if again := l.take(t, omitting(true)); again.Skipped || again.Files != r.Files+2 {
		t.Errorf("another exclude: %+v", again)
	}
}

// TestLeavingOutIsNoLoss: a volume of which most is left out from now on has lost nothing, and one of which all is
// left out gets no snapshot.
func TestLeavingOutIsNoLoss(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for n := range 40 {
		plant(t, l.data, fmt.Sprintf("thumbs/%d", n))
	}
	plant(t, l.data, "note")
	good := l.take(t, nil)
	for _, patterns := range []string{"*", "thumbs note"} {
		r := l.take(t, omitting(true, strings.Fields(patterns)...))
		if len(r.Findings) != 1 || r.Findings[0].Code != finding.VolumeExcluded || r.Findings[0].Severity != finding.Fatal || r.Snapshot.ID != "" {
			t.Errorf("%s: %+v", patterns, r)
		}
	}
	write(t, filepath.Join(l.data, cacheTag), cacheSignature)
	if r := l.take(t, omitting(true)); len(r.Findings) != 1 || r.Findings[0].Code != finding.VolumeExcluded {
		t.Errorf("the volume is a cache: %+v", r)
	}
	if err := os.Remove(filepath.Join(l.data, cacheTag)); err != nil {
		t.Fatal(err)
	}
	if infos, err := l.infos(t); err != nil || len(infos) != 1 || infos[0].ID != good.Snapshot.ID {
		t.Errorf("%+v, %v", infos, err)
	}
	if r := l.take(t, omitting(true, "thumbs")); len(r.Findings) > 0 {
		t.Errorf("a new exclude is taken for a loss: %+v", r.Findings)
	}
	if err := os.RemoveAll(filepath.Join(l.data, "thumbs")); err != nil {
		t.Fatal(err)
	}
	if r := l.take(t, omitting(true, "thumbs")); len(r.Findings) > 0 {
		t.Errorf("what is left out is gone: %+v", r.Findings)
	}
	for n := range 40 {
		plant(t, l.data, fmt.Sprintf("kept/%d", n))
	}
	l.take(t, omitting(true, "thumbs"))
	if err := os.RemoveAll(filepath.Join(l.data, "kept")); err != nil {
		t.Fatal(err)
	}
	if r := l.take(t, omitting(true)); len(r.Findings) != 1 || r.Findings[0].Code != finding.VolumeShrunk {
		t.Errorf("a loss together with another exclude: %+v", r.Findings)
	}
}

// TestWhatIsInNoSnapshotIsNotDeleted: a snapshot holds a volume's data whole only where no pattern left out some.
func TestWhatIsInNoSnapshotIsNotDeleted(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	plant(t, l.data, "note", "c/CACHEDIR.TAG", "c/f")
	v := l.job().Volumes[0]
	v.Omit = fleet.Omission{Patterns: []string{"films"}, Caches: true}
	if err := l.Accept("notes", v, Marker{Identity: "x", Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	stopped := func(j *Job) { j.Stopped, j.Volumes[0].Omit = true, v.Omit }
	if r := l.take(t, stopped); l.Holding("notes", v) != r.Snapshot.ID {
		t.Error("a cache keeps data from being held")
	}
	plant(t, l.data, "films/one")
	if l.Holding("notes", v) != "" {
		t.Error("the films are held by no snapshot")
	}
	l.take(t, stopped)
	if l.Holding("notes", v) != "" {
		t.Error("the films are held by no snapshot, though it was taken after they were made")
	}
}

// TestARestoreKnowsWhatWasLeftOut: what comes back is what was taken, and nothing is missing.
func TestARestoreKnowsWhatWasLeftOut(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	plant(t, l.data, "note", "a.tmp", "c/CACHEDIR.TAG", "c/f")
	l.take(t, omitting(true, "*.tmp"))
	job := RestoreJob{Fleet: "home", Stack: "notes", Epoch: 1, Repository: l.repo, Volumes: []Volume{{Name: "data", Path: filepath.Join(t.TempDir(), "v"), Method: fleet.Pause}}}
	f, err := l.Fetch(context.WithoutCancel(t.Context()), job)
	if err != nil || f.Meta.Volumes[0].Stats.Left.Files != 2 {
		t.Errorf("%+v, %v", f, err)
	}
}

// meta is a snapshot's metadata.
func (l *lab) meta(t *testing.T, id string) Meta {
	t.Helper()
	repo, err := openRepository(t.Context(), l.repo)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repo.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	snap, err := repo.Snapshot(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMeta(t.Context(), repo, snap, "notes")
	if err != nil {
		t.Fatal(err)
	}
	return m
}
