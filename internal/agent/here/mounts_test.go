package here

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/project"
	"salvor/internal/resource"
)

// TestMountThatIsNotMountedIsNotThere is issue 10, C.11: a stack started on the empty
// mount point of a disk that was not mounted.
func TestMountThatIsNotMountedIsNotThere(t *testing.T) {
	mounted := []string{"/", "/mnt/disk", "/var/lib"}
	for name, c := range map[string]struct {
		folder   string
		declared []string
		empty    bool
		want     bool
	}{
		"a mount":                             {"/mnt/disk", nil, true, true},
		"a folder of a mount":                 {"/mnt/disk/films", nil, true, true},
		"an empty mount point":                {"/mnt/nas", nil, true, false},
		"an empty one on another system disk": {"/var/lib/films", nil, true, false},
		"the host's own folder":               {"/data/films", nil, false, true},
		"declared and not mounted":            {"/mnt/nas/films", []string{"/mnt/nas"}, false, false},
		"declared and mounted":                {"/mnt/disk/films", []string{"/mnt/disk"}, false, true},
		"a mount within a mount":              {"/mnt/disk/sub", []string{"/mnt/disk", "/mnt/disk/sub"}, false, false},
		"a name that begins alike":            {"/mnt/disk2", nil, true, false},
	} {
		if got := isThere(c.folder, mounted, c.declared, c.empty); got != c.want {
			t.Errorf("%s: there is %v", name, got)
		}
	}
}

// TestStackWaitsForItsMount: without its mount a stack is refused and waits; with it,
// nothing keeps it, and it does not wait any more.
func TestStackWaitsForItsMount(t *testing.T) {
	h := &Host{Paths: hostpath.Layout{Run: t.TempDir()}}
	gone := filepath.Join(t.TempDir(), "nas")
	st := agentapi.Stack{Name: "films", Volumes: []project.Volume{{Name: "@nas", Path: gone, Protect: fleet.External}, {Name: "data", Path: "/nowhere", Protect: fleet.Snapshot}}}
	if err := h.At(agentapi.Host{Name: "alpha"}, st).CheckPresent(t.Context()); !errors.Is(err, ErrAbsent) || fault.Hint(err) == "" {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, err := os.Stat(h.Paths.Waiting("films")); err != nil {
		t.Error(err)
	}
	if found := h.At(agentapi.Host{Name: "alpha"}, st).AbsentFindings(false); len(found) != 1 || found[0].Code != finding.MountAbsent || found[0].Subject != "alpha/films" {
		t.Errorf("found %v", found)
	}
	if err := os.MkdirAll(filepath.Join(gone, "film"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := h.At(agentapi.Host{Name: "alpha"}, st).CheckPresent(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(h.Paths.Waiting("films")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it still waits: %v", err)
	}
}

func TestParseMounts(t *testing.T) {
	info := "22 1 0:21 / / rw - ext4 /dev/sda rw\n30 22 0:30 / /mnt/my\\040disk rw,relatime shared:1 - nfs4 nas:/x rw\n31 22 0:31 / /mnt/auto rw - autofs systemd-1 rw\n"
	points, sources := parseMountinfo(info)
	if diff := cmp.Diff([]string{"/", "/mnt/my disk"}, points); diff != "" || sources["/mnt/my disk"] != "nas:/x" {
		t.Error(diff, sources)
	}
	fstab := "# /dev/x /commented ext4\nUUID=1 / ext4 defaults 0 1\nnas:/x\t/mnt/nas/ nfs4 _netdev 0 0\n/swap none swap sw 0 0\n"
	if diff := cmp.Diff([]string{"/mnt/nas"}, parseFstab(fstab)); diff != "" {
		t.Error(diff)
	}
	if got := parseUnit("[Mount]\nWhat=/dev/sdb\nWhere=/mnt/unit\n"); !slices.Equal(got, []string{"/mnt/unit"}) {
		t.Errorf("%v", got)
	}
}

// TestMountsOfAnInventory: what a stack would wait for, and what is to be mounted.
func TestMountsOfAnInventory(t *testing.T) {
	dir := t.TempDir()
	m := Mounts{mounted: []string{"/"}, declared: []string{dir + "/nas"}}
	if err := os.MkdirAll(dir+"/full/a", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, empty := range []string{"/empty", "/nas"} {
		if err := os.MkdirAll(dir+empty, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for folder, want := range map[string][2]bool{"/full": {false, false}, "/empty": {true, false}, "/nas": {true, true}, "/nas/tv": {true, true}, "/gone": {true, false}} {
		if got := [2]bool{m.Absent(dir + folder), m.Unmounted(dir + folder)}; got != want {
			t.Errorf("%s: %v", folder, got)
		}
	}
}

// TestDeclaredMountMustBeMounted: its folder may exist and have files. What is on a mount that
// is there starts, and other stacks are not hindered.
func TestDeclaredMountMustBeMounted(t *testing.T) {
	t.Parallel()
	h := &Host{Paths: hostpath.Layout{Run: t.TempDir(), Units: t.TempDir()}}
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "films", "one"), 0o755); err != nil {
		t.Fatal(err)
	}
	spec := agentapi.Host{Name: "alpha", Mounts: []fleet.Mount{
		{Name: "nas", At: folder, Kind: fleet.MountNFS, Source: "nas.lan:/media"}, {Name: "proc", At: "/proc", Kind: fleet.MountChecked}, {Name: "other", At: "/sys", Kind: fleet.MountChecked, Source: "other"},
	}}
	stackOn := func(path string, protect fleet.Protection) *Stack {
		return h.At(spec, agentapi.Stack{Name: "films", Volumes: []project.Volume{{Name: "@films", Path: path, Protect: protect}}})
	}
	for name, c := range map[string]struct {
		s    *Stack
		want string // what is absent
	}{
		"on it":                   {stackOn(folder+"/films", fleet.External), "nas (" + folder + ")"},
		"on it, and in snapshots": {stackOn(folder+"/films", fleet.Snapshot), "nas (" + folder + ")"},
		"on one that is there":    {stackOn("/proc/x", fleet.External), ""},
		"of another source":       {stackOn("/sys/x", fleet.None), "other (/sys)"},
		"elsewhere":               {stackOn(t.TempDir(), fleet.Snapshot), ""},
	} {
		err := c.s.CheckPresent(t.Context())
		if (err != nil) != (c.want != "") || err != nil && (!errors.Is(err, ErrAbsent) || !strings.Contains(err.Error(), c.want) || fault.Hint(err) == "") {
			t.Errorf("%s: %v", name, err)
		}
		if snapshots := c.s.CheckSources(); (snapshots != nil) != (c.want != "" && c.s.Volumes[0].Protect == fleet.Snapshot) {
			t.Errorf("%s: its snapshots: %v", name, snapshots)
		}
	}
	if found := stackOn(folder, fleet.External).AbsentFindings(false); len(found) != 0 {
		t.Errorf("a mount that is yet to be made: %v", found)
	}
	if err := WriteJSON(filepath.Join(h.Paths.Units, resource.MountUnit(folder)), true); err != nil {
		t.Fatal(err)
	}
	for _, running := range []bool{true, false} {
		found := stackOn(folder, fleet.External).AbsentFindings(running)
		if len(found) != 1 || strings.Contains(found[0].Text, "running stack") != running || !strings.Contains(found[0].Fix, "systemctl status "+resource.MountUnit(folder)+" on alpha") {
			t.Errorf("running %v: %v", running, found)
		}
	}
	if found := MountsOf(h, spec).Findings(); len(found) != 2 || found[0].Subject != "alpha" || !strings.Contains(found[0].Text, "nas") {
		t.Errorf("mounts without a stack: %v", found)
	}
}
