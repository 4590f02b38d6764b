package agent

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/machine/machinetest"
	"salvor/internal/project"
	"salvor/internal/resource"
	"salvor/internal/stack/compose"
	"salvor/internal/terminal"
)

var update = flag.Bool("update", false, "write the golden files")

// A misfortune strikes a host. What an operator is shown then is in the golden file, and the
// newest good snapshot of before must come back from it.
type misfortune struct {
	name   string
	strike func(*struck)
	after  func(*struck) // what ends it; what is shown afterwards is in the golden file, too. nil for nothing
}

var misfortunes = []misfortune{
	{"database on a shared volume, by its image", databaseByImage, nil},
	{"database on a shared volume, by its files", databaseByFile, nil},
	{"empty source", func(s *struck) { s.lose(0); s.refused() }, nil},
	{"source shrunk by 90 %", func(s *struck) { s.lose(4); s.refused() }, nil},
	{"exclude that matches everything", excludeAll, nil},
	{"repository with flipped bits", func(s *struck) {
		agenttest.Flip(s.t, s.largest())
		s.reread()
	}, func(s *struck) { s.mustTake() }},
	{"missing packs", func(s *struck) {
		for _, pack := range s.packs {
			if err := os.Remove(pack); err != nil {
				s.t.Fatal(err)
			}
		}
		heretest.Write(s.t, s.file(0), "written since") // of the rest the host has what the packs held
		s.mustTake()
	}, nil},
	{"prune during a backup", pruneDuring, func(s *struck) { s.mustTake() }},
	{"stale lock of a killed snapshot", staleOwn, nil},
	{"stale lock of a killed restic check", staleOther, func(s *struck) { s.mustRestic("unlock", "--remove-all"); s.mustTake() }},
	{"clock an hour ahead", func(s *struck) { s.off.Store(int64(time.Hour)) }, clockRight},
	{"clock an hour behind", func(s *struck) { s.off.Store(int64(-time.Hour)) }, clockRight},
	{"NFS folder not mounted", notMounted, mountedAgain},
	{"target late while another is fine", oneLate, nil},
}

// lose leaves so many files of the volume.
func (s *struck) lose(left int) {
	s.t.Helper()
	err := os.Remove(filepath.Join(s.volume(), "large"))
	for n := left; n < files; n++ {
		err = errors.Join(err, os.Remove(s.file(n)))
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// databaseByImage: a plan refuses the stack, so nothing reaches its host.
func databaseByImage(s *struck) {
	dir := s.t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "stacks", "app"), 0o755); err != nil {
		s.t.Fatal(err)
	}
	heretest.Write(s.t, filepath.Join(dir, "stacks", "app", "compose.yaml"), "services:\n  db:\n    image: postgres:17\n    volumes: [\"rows:/var/lib/postgresql/data\"]\nvolumes: {rows: }\n")
	_, found, err := compose.Load(s.t.Context(), compose.Options{RepoDir: dir, Stack: fleet.Stack{
		Name: "app", Dir: "stacks/app", File: "compose.yaml", Volumes: []fleet.VolumePolicy{{Volume: "rows", Protect: fleet.Shared}},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.plan = found
}

// databaseByFile: the stack is not started once its shared volume is mounted.
func databaseByFile(s *struck) {
	library := s.t.TempDir()
	heretest.Write(s.t, filepath.Join(library, "PG_VERSION"), "17\n")
	s.stack.Shared = &agentapi.Shared{Where: fleet.Location{Remote: "disk", Path: s.remote + "/shared"}, Mount: fleet.DefaultSharedMount()}
	s.stack.Volumes = append(s.stack.Volumes, project.Volume{Name: "library", Path: library, Protect: fleet.Shared})
	s.save()
	fake, own := machinetest.NewFake(), s.Machine
	fake.Say(0, "", "systemctl")
	s.Machine = fake
	if err := s.here().Mount(s.t.Context()); err == nil {
		s.t.Error("the stack may start")
	}
	s.Machine = own
}

func excludeAll(s *struck) {
	s.stack.Volumes[0].Exclude = []string{"*"}
	s.save()
	heretest.Write(s.t, s.file(1), "written since")
	s.refused()
}

// pruneDuring: a file comes back that only the first snapshot has, and while restic relies on
// its content there, someone removes the locks, that snapshot, and all that no other one needs.
func pruneDuring(s *struck) {
	heretest.Write(s.t, filepath.Join(s.volume(), "old"), noise(2, large/8))
	var once sync.Once // other packs wait for it
	s.puts = func(path string) {
		if strings.HasPrefix(path, "data/") {
			once.Do(func() {
				s.mustRestic("unlock", "--remove-all")
				s.mustRestic("forget", "--prune", s.first)
				s.off.Store(int64(2 * time.Minute)) // of a snapshot that is taken while someone types this
			})
		}
	}
	s.refused()
	s.puts = nil
	s.off.Store(0)
	once.Do(func() { s.t.Error("nothing was pruned") })
}

// staleOwn: what a killed snapshot leaves of restic is removed by the next one, and is worth no
// finding.
func staleOwn(s *struck) {
	var lock string
	var left []byte
	s.puts = func(path string) {
		if strings.HasPrefix(path, "data/") && lock == "" {
			locks, err := filepath.Glob(s.repository("locks", "*"))
			if err != nil || len(locks) != 1 {
				s.t.Error(locks, err)
				return
			}
			lock = locks[0]
			left, _ = os.ReadFile(lock) // an empty one is found out below
		}
	}
	heretest.Write(s.t, s.file(1), "written since")
	s.mustTake()
	s.puts = nil
	heretest.Write(s.t, lock, string(left))
	heretest.Write(s.t, s.file(1), "and again")
	s.mustTake()
	if _, err := os.Stat(lock); err == nil || len(left) == 0 {
		s.t.Errorf("the lock of %d bytes is still there: %v", len(left), err)
	}
}

// staleOther: someone's restic was killed that had the repository for itself.
func staleOther(s *struck) {
	hangs := s.largest()
	pack, err := os.ReadFile(hangs)
	if err == nil {
		err = errors.Join(os.Remove(hangs), syscall.Mkfifo(hangs, 0o600))
	}
	check := s.restic("check", "--read-data")
	if err = errors.Join(err, check.Start()); err != nil {
		s.t.Fatal(err)
	}
	read, err := os.OpenFile(hangs, os.O_WRONLY, 0) // returns when it is opened for reading, under the lock
	if err != nil {
		s.t.Fatal(err)
	}
	if err := errors.Join(check.Process.Kill(), os.Remove(hangs), read.Close()); err != nil {
		s.t.Error(err)
	}
	_ = check.Wait() // was killed
	heretest.Write(s.t, hangs, string(pack))
	heretest.Write(s.t, s.file(1), "written since")
	s.refused()
}

// clockRight: a snapshot was taken while the clock was wrong, and then it is set.
func clockRight(s *struck) {
	heretest.Write(s.t, s.file(1), "written since")
	s.mustTake()
	s.off.Store(0)
	if due := keeper.New(s.Host).Due(s.spec, time.Now()); len(due) != 1 {
		s.t.Error("with the right clock no snapshot is due at once")
	}
	heretest.Write(s.t, s.file(1), "and again")
	s.mustTake()
}

// notMounted: the folder below a share that is gone is empty, and must not become the newest
// snapshot, even where an empty one would be accepted.
func notMounted(s *struck) {
	s.spec.Mounts = []fleet.Mount{{Name: "nas", At: filepath.Dir(s.volume()), Kind: fleet.MountNFS, Source: "nas.lan:/x"}}
	s.save()
	s.Paths.Units = s.t.TempDir()
	heretest.Write(s.t, filepath.Join(s.Paths.Units, resource.MountUnit(filepath.Dir(s.volume()))), "[Mount]\n")
	if err := os.Rename(s.volume(), s.volume()+".share"); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Mkdir(s.volume(), 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.accepts = true
	s.refused()
	s.accepts = false
}

// mountedAgain: the share is there, with what it has.
func mountedAgain(s *struck) {
	if err := errors.Join(os.Remove(s.volume()), os.Rename(s.volume()+".share", s.volume())); err != nil {
		s.t.Fatal(err)
	}
	s.spec.Mounts = nil
	s.save()
	s.mustTake()
}

// oneLate: the second target does not answer, and its goal passes.
func oneLate(s *struck) {
	offsite := s.stack.Targets[0]
	offsite.Name, offsite.Where.Path, offsite.Repository = "offsite", s.t.TempDir(), "cccc0003"
	s.stack.Targets = append(s.stack.Targets, offsite)
	s.save()
	s.mustTake()
	folder := filepath.Join(offsite.Where.Path, s.stack.Name)
	if err := errors.Join(os.Rename(folder, folder+".away"), os.WriteFile(folder, nil, 0o600)); err != nil {
		s.t.Fatal(err)
	}
	s.off.Store(int64(2 * time.Hour))
	heretest.Write(s.t, s.file(1), "written since")
	s.refused() // by one of the two
}

// TestFindings strikes a host with each misfortune. Each is shown as the golden file says, in
// words that do not change unnoticed, and none costs a good snapshot.
func TestFindings(t *testing.T) {
	rows := make([]string, len(misfortunes))
	t.Run("all", func(t *testing.T) {
		for n, m := range misfortunes {
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				s := newStruck(t)
				m.strike(s)
				rows[n] = m.name + "\n" + s.said(s.status())
				if m.after != nil {
					m.after(s)
					rows[n] += "  afterwards\n" + s.said(s.status())
				}
				s.checkGood()
			})
		}
	})
	got := strings.Join(rows, "\n")
	const golden = "testdata/findings.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got): %s", golden, diff)
	}
	t.Logf("\n%s\n%d misfortunes, 0 good snapshots lost", got, len(misfortunes))
}

// said is findings as text, without what differs from run to run.
func (s *struck) said(found []finding.Finding) string {
	if len(found) == 0 {
		return "  nothing\n"
	}
	finding.Sort(found)
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "  %s %s\n    fix: %s\n", f.Severity, terminal.Line(f.String()), f.Fix)
	}
	text := strings.NewReplacer(s.remote, "NAS", s.Paths.Volumes, "VOLUMES").Replace(b.String())
	temporary := filepath.Dir(filepath.Dir(s.t.TempDir())) // GOTMPDIR, or what os.TempDir says
	unit := regexp.QuoteMeta(strings.TrimSuffix(resource.MountUnit(temporary), ".mount"))
	for _, vary := range []struct{ what, as string }{
		{regexp.QuoteMeta(temporary) + `/\S+?/(\d{3})`, "DIR"}, {unit + `-\S+\.mount`, "UNIT.mount"},
		{`(salvor/[\w-]+)/\S+: (pack|blob)`, "$1/PATH: $2"}, {`\b[0-9a-f]{64}\b`, "ID"}, {`\b[0-9a-f]{8}\b`, "ID"}, {`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?`, "TIME"}, {`(\dh\d+m)\d+s`, "${1}Ns"},
	} {
		text = regexp.MustCompile(vary.what).ReplaceAllString(text, vary.as)
	}
	return text
}
