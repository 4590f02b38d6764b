package here

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/project"
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
	if err := h.At(agentapi.Host{Name: "alpha"}, st).CheckMounts(); !errors.Is(err, ErrAbsent) || fault.Hint(err) == "" {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, err := os.Stat(h.Paths.Waiting("films")); err != nil {
		t.Error(err)
	}
	if found := h.At(agentapi.Host{Name: "alpha"}, st).AbsentFindings(); len(found) != 1 || found[0].Code != finding.MountAbsent || found[0].Subject != "alpha/films" {
		t.Errorf("found %v", found)
	}
	if err := os.MkdirAll(filepath.Join(gone, "film"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := h.At(agentapi.Host{Name: "alpha"}, st).CheckMounts(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(h.Paths.Waiting("films")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it still waits: %v", err)
	}
}

func TestParseMounts(t *testing.T) {
	info := "22 1 0:21 / / rw - ext4 /dev/sda rw\n30 22 0:30 / /mnt/my\\040disk rw,relatime shared:1 - nfs4 nas:/x rw\n31 22 0:31 / /mnt/auto rw - autofs systemd-1 rw\n"
	if diff := cmp.Diff([]string{"/", "/mnt/my disk"}, parseMountinfo(info)); diff != "" {
		t.Error(diff)
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
