package lockfile

import (
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"salvor/internal/fleet"
	"salvor/internal/yamldoc"
)

var update = flag.Bool("update", false, "write the golden files")

// bad returns the archives of testdata/bad by their names: each has a lock and, as
// `want`, what is wrong with it.
func bad(t testing.TB) map[string]*txtar.Archive {
	t.Helper()
	files, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no bad locks", err)
	}
	all := map[string]*txtar.Archive{}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(archive.Files) != 2 || archive.Files[0].Name != Name || archive.Files[1].Name != "want" {
			t.Fatalf("%s: want %s and want", file, Name)
		}
		all[file] = archive
	}
	return all
}

func TestProblemsAreGolden(t *testing.T) {
	t.Parallel()
	for file, archive := range bad(t) {
		_, err := Decode(archive.Files[0].Data)
		if err == nil {
			t.Errorf("%s: no problem reported", file)
			continue
		}
		var got strings.Builder
		for _, p := range yamldoc.Problems(err) {
			got.WriteString(p.Error() + "\n")
			if p.Advice != "" {
				got.WriteString("\thint: " + p.Advice + "\n")
			}
		}
		if *update {
			archive.Files[1].Data = []byte(got.String())
			if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(string(archive.Files[1].Data), got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

const sorted = `{
  "schema": 1,
  "stacks": {
    "a": {
      "host": "alpha",
      "epoch": 2,
      "stopped": true,
      "repositories": {
        "offsite": "0a1b"
      },
      "images": {
        "db": "postgres:16@sha256:00",
        "web": "nginx@sha256:11"
      },
      "volumes": {
        "db": {
          "born": "2026-01-02T03:04:05Z"
        }
      }
    },
    "b": {
      "host": "beta",
      "epoch": 1
    }
  }
}
`

func TestLockIsDeterministic(t *testing.T) {
	t.Parallel()
	lock, err := Decode([]byte(sorted))
	if err != nil {
		t.Fatal(err)
	}
	out, err := Encode(lock)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sorted, string(out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNoContentIsAnEmptyLock(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"no file": "", "no stacks": `{"schema": 1}`, "null": `{"schema": 1, "stacks": null}`} {
		lock, err := Decode([]byte(content))
		if err != nil || lock.Schema != fleet.Schema || lock.Stacks == nil || len(lock.Stacks) != 0 {
			t.Errorf("%s: %+v, %v", name, lock, err)
		}
	}
	out, err := Encode(fleet.Lock{})
	if want := "{\n  \"schema\": 1,\n  \"stacks\": {}\n}\n"; err != nil || string(out) != want {
		t.Errorf("written as %q, %v", out, err)
	}
	if _, err := Decode([]byte(`{"stacks": {}}`)); err == nil || err.Error() != "salvor.lock: the file has no schema" {
		t.Errorf("without a schema: %v", err)
	}
}

// placed is a placement that may be written.
func placed() fleet.Placement {
	return fleet.Placement{
		Host: "alpha", Epoch: 2, Repositories: map[string]string{"offsite": "aa"}, Former: map[string][]string{"offsite": {"bb"}},
		Images: map[string]string{"web": "nginx@sha256:11"}, Volumes: map[string]fleet.VolumeState{"db": {Born: time.Unix(1, 0).UTC()}},
		Restore: &fleet.Restore{ID: "wish", Epoch: 2, Snapshot: strings.Repeat("ab", 32)},
		Proven:  map[string]fleet.Proven{"aa": {Epoch: 2, Seq: 1, ID: strings.Repeat("ab", 32)}},
	}
}

// TestNothingIsWrittenThatCannotBeRead: what Decode refuses, Encode does not write.
func TestNothingIsWrittenThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(p *fleet.Placement)
		want  string
	}{
		"as it is":                    {func(*fleet.Placement) {}, ""},
		"no host":                     {func(p *fleet.Placement) { p.Host = "" }, "host: "},
		"a host called recovery":      {func(p *fleet.Placement) { p.Host = "recovery" }, "host: "},
		"a bad name":                  {func(p *fleet.Placement) { p.Called = "No Name" }, "called: "},
		"called like another":         {func(p *fleet.Placement) { p.Called = "other" }, `also called "other"`},
		"no epoch":                    {func(p *fleet.Placement) { p.Epoch = 0 }, "epoch is 0"},
		"an epoch too far":            {func(p *fleet.Placement) { p.Epoch = fleet.MaxEpoch + 1 }, "epoch is 1000000001"},
		"a wish without an id":        {func(p *fleet.Placement) { p.Restore.ID = "" }, "restore lacks"},
		"a wish without an epoch":     {func(p *fleet.Placement) { p.Restore.Epoch = 0 }, "restore lacks"},
		"a wish without a snapshot":   {func(p *fleet.Placement) { p.Restore.Snapshot = "" }, "restore lacks"},
		"a repository without an id":  {func(p *fleet.Placement) { p.Repositories["nas"] = "" }, `repository of target "nas" has no id`},
		"a former one without an id":  {func(p *fleet.Placement) { p.Former["offsite"] = []string{""} }, "has no id"},
		"a former one twice":          {func(p *fleet.Placement) { p.Former["offsite"] = []string{"bb", "bb"} }, `"bb" of target "offsite" is named twice`},
		"an image without a digest":   {func(p *fleet.Placement) { p.Images["web"] = "nginx:1" }, `image of service "web" has no digest`},
		"a volume that was not born":  {func(p *fleet.Placement) { p.Volumes["db"] = fleet.VolumeState{} }, `volume "db" has no time of birth`},
		"proven elsewhere":            {func(p *fleet.Placement) { p.Proven["cc"] = p.Proven["aa"] }, "does not belong to the placement"},
		"proven at a later epoch":     {func(p *fleet.Placement) { p.Epoch = 1 }, "of a placement at epoch 1"},
		"proven without a number":     {func(p *fleet.Placement) { p.Proven["aa"] = fleet.Proven{Epoch: 1, ID: p.Proven["aa"].ID} }, "number 0"},
		"proven by what is no id":     {func(p *fleet.Placement) { p.Proven["aa"] = fleet.Proven{Epoch: 1, Seq: 1, ID: "latest"} }, `"latest" is not the id`},
		"proven in a former one":      {func(p *fleet.Placement) { p.Proven["bb"] = p.Proven["aa"] }, ""},
		"with a name that is its own": {func(p *fleet.Placement) { p.Called = "journal" }, ""},
	} {
		p := placed()
		c.spoil(&p)
		lock := fleet.Lock{Stacks: map[string]fleet.Placement{"notes": p, "other": {Host: "beta", Epoch: 1}}}
		content, err := Encode(lock)
		if (err == nil) != (c.want == "") || err != nil && (!strings.HasPrefix(err.Error(), "stack notes: ") || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil {
			continue
		}
		back, err := Decode(content)
		if diff := cmp.Diff(lock.Stacks, back.Stacks); err != nil || diff != "" {
			t.Errorf("%s: read back: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// TestNamesThatMeetAreRefused: two stacks that are called alike would share a project.
func TestNamesThatMeetAreRefused(t *testing.T) {
	t.Parallel()
	both := fleet.Lock{Stacks: map[string]fleet.Placement{"a": {Host: "alpha", Epoch: 1, Called: "old"}, "b": {Host: "beta", Epoch: 1, Called: "old"}}}
	if _, err := Encode(both); err == nil || !strings.Contains(err.Error(), `stack b: another stack is also called "old"`) {
		t.Errorf("%v", err)
	}
	if _, err := Encode(fleet.Lock{Stacks: map[string]fleet.Placement{"No Name": {Host: "alpha", Epoch: 1}}}); err == nil {
		t.Error("a bad name was written")
	}
	if _, err := Encode(fleet.Lock{Record: fleet.Location{Remote: "disk", Path: "../up"}}); err == nil || !strings.HasPrefix(err.Error(), "record: ") {
		t.Errorf("a record outside of its remote: %v", err)
	}
}

// TestAHostReadsWhatItKnows: its operators may have a newer Salvor of the same schema.
func TestAHostReadsWhatItKnows(t *testing.T) {
	t.Parallel()
	newer := `{"schema": 1, "later": true, "stacks": {"a": {"host": "alpha", "epoch": 3, "colour": "red"}}}`
	if _, err := Decode([]byte(newer)); err == nil {
		t.Error("an operator's Salvor takes what it does not know for nothing")
	}
	lock, err := Known([]byte(newer))
	if err != nil || lock.Stacks["a"].Host != "alpha" || lock.Stacks["a"].Epoch != 3 {
		t.Errorf("%+v, %v", lock, err)
	}
	for name, content := range map[string]string{"a newer schema": `{"schema": 2}`, "half a file": `{"schema": 1, "sta`, "a list": `[]`} {
		if lock, err := Known([]byte(content)); err == nil {
			t.Errorf("%s: %+v", name, lock)
		}
	}
}

func TestKeyPosition(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{"schema": "salvor.lock:2:3", "b": "salvor.lock:21:5", "born": "salvor.lock:17:11", "gone": "salvor.lock"} {
		if got := KeyPosition([]byte(sorted), key).String(); got != want {
			t.Errorf("%s is at %s, want %s", key, got, want)
		}
	}
}

// TestProblemsHaveAPlaceInTheLock: also where the file ends in the middle.
func TestProblemsHaveAPlaceInTheLock(t *testing.T) {
	t.Parallel()
	for _, length := range slices.Sorted(maps.Keys(map[int]bool{1: true, 20: true, 100: true, len(sorted) - 3: true})) {
		_, err := Decode([]byte(sorted[:length]))
		var p *yamldoc.Problem
		if !errors.As(err, &p) || p.Position.File != Name || p.Position.Line > strings.Count(sorted[:length], "\n")+1 {
			t.Errorf("cut after %d bytes: %v", length, err)
		}
	}
}
