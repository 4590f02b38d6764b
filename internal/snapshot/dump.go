package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/snapshot/method"
	"salvor/internal/snapshot/nsexec"
)

// A dumped volume is in a snapshot as its database's dump, together with the files
// that are not the database's own.
type dumped struct {
	native
	dir   string
	files []string // in the volume
}

// dumps reports whether a volume is taken by asking its database: a stopped one
// can't be asked, and its files are consistent.
func (t *taking) dumps(v Volume) bool {
	return v.Method.Native() && !t.job.Stopped && !t.copied[v.Name]
}

// dumpAll takes the databases' dumps, and loads a dump as a test when that is due.
// Where either fails, the volume's files are copied in a pause instead, so that there
// is always something that can be restored.
func (t *taking) dumpAll(ctx context.Context, s *session) error {
	t.dumped, t.copied = map[string]dumped{}, map[string]bool{}
	for _, v := range t.job.Volumes {
		if !t.dumps(v) {
			continue
		}
		dir := filepath.Join(s.spool, "dump-"+DirName(v.Name))
		err := t.dumpOne(ctx, v, dir)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			t.copyInstead(v, err)
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *taking) dumpOne(ctx context.Context, v Volume, dir string) error {
	n, _ := v.native()
	if t.job.Runner == nil || v.Service == "" {
		return errors.New("there is no service to take a dump from")
	}
	notes, err := loadTest{t}.loadNotes()
	if err != nil {
		return err
	}
	if last := notes[v.Name]; last.failedLately(t.job.Images[v.Service], t.result.Began) {
		return errors.New(last.Failed)
	}
	end := t.engine.scope(t.job.Stack).Step("dump "+v.Name, "")
	d, err := n.Dump(ctx, inService{t.job.Runner, v.Service}, v.served(), dir)
	end(err, "")
	if err != nil {
		return err
	}
	t.noteRows(v.Name, d.Rows)
	t.result.Findings = append(t.result.Findings, movedByDump(t.job.Stack, v, d.Moved)...)
	if err := (loadTest{t}).run(ctx, n, v, dir, notes); err != nil {
		return err
	}
	files, err := n.Files(dir, v.served())
	if err != nil {
		return err
	}
	t.dumped[v.Name] = dumped{n, dir, files}
	return makeMountPoints(v.Path, n.FilesIn(dir), files)
}

// makeMountPoints makes an empty folder or file for each of a volume's files: in
// what restic sees, the files themselves appear there.
func makeMountPoints(from, dir string, files []string) error {
	for _, f := range files {
		info, err := os.Stat(filepath.Join(from, f))
		if err != nil {
			return err
		}
		at := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			return err
		}
		if info.IsDir() {
			err = os.Mkdir(at, 0o700)
		} else {
			err = atomicfile.Write(at, strings.NewReader(""), 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copyInstead has a volume's files copied, in a pause.
func (t *taking) copyInstead(v Volume, reason error) {
	t.copied[v.Name] = true
	for i := range t.meta.Volumes {
		if m := &t.meta.Volumes[i]; m.Name == v.Name {
			m.Form, m.Sparse = Files, t.scans[v.Name].sparse
		}
	}
	if !errors.Is(reason, method.ErrElsewhere) {
		t.result.Findings = append(t.result.Findings, dumpFailed(t.job.Stack, v, reason))
	}
}

func dumpFailed(stack string, v Volume, reason error) finding.Finding {
	server, can := "SQLite", "its databases can't be copied"
	if n, ok := v.native(); ok {
		server, can = n.Name(), "its database can't be dumped and loaded"
	}
	return finding.Finding{
		Code: finding.DumpFailed, Severity: finding.Warning, Subject: stack + "/" + v.Name,
		Text: fmt.Sprintf("the files of %s are copied during a pause, since %s: %v", v.Name, can, reason),
		Fix:  cmp.Or(fault.Hint(reason), "correct what "+server+" reports, then salvor snapshot take "+stack+"; consistent: pause always copies the files"),
	}
}

// movedByDump reports what is restored in another place than before, since it is
// outside of the volume.
func movedByDump(stack string, v Volume, moved []method.Moved) []finding.Finding {
	var found []finding.Finding
	for _, m := range moved {
		found = append(found, finding.Finding{Code: finding.DumpChanged, Severity: finding.Warning, Subject: stack + "/" + v.Name, Text: m.Text, Fix: m.Fix})
	}
	return found
}

// binds shows a volume to restic.
func (t *taking) binds(v Volume) []nsexec.Bind {
	at := inside(t.job.Stack, DirName(v.Name))
	d, ok := t.dumped[v.Name]
	if !ok {
		return append([]nsexec.Bind{{Source: v.Path, Within: t.engine.within(v), Target: at}}, t.copies[v.Name].binds(at)...)
	}
	binds := []nsexec.Bind{{Source: d.dir, Target: at}}
	for _, f := range d.files {
		binds = append(binds, nsexec.Bind{Source: filepath.Join(v.Path, f), Within: v.Path, Target: filepath.Join(d.FilesIn(at), f)})
	}
	return binds
}

// within is the folder of all volumes of a kind: below it no link is followed, which
// another volume's container may have put in place of this one's folder. "" for a
// bind of the host's own.
func (e Engine) within(v Volume) string {
	for _, all := range []string{e.Dirs.VolumesFolder(), e.Dirs.Volumes} {
		if strings.HasPrefix(v.Path, all+"/") {
			return all
		}
	}
	return ""
}

// vanished reports whether a file that restic could not read is one that may vanish:
// of a volume that is copied live, or next to a database.
func (t *taking) vanished(at string) bool {
	for _, v := range t.job.Volumes {
		rel, ok := strings.CutPrefix(at, inside(t.job.Stack, DirName(v.Name))+"/")
		if d, dumped := t.dumped[v.Name]; ok && dumped {
			rel, ok = strings.CutPrefix(rel, d.FilesIn("")+"/")
		} else if v.Method != fleet.Live {
			continue
		}
		if ok {
			_, err := os.Lstat(filepath.Join(v.Path, rel))
			return errors.Is(err, fs.ErrNotExist)
		}
	}
	return false
}

// ProbeDump says in little time whether a snapshot of a running stack's volume
// can be a dump. The answer is false while the database does not answer.
func ProbeDump(ctx context.Context, r Runner, stack string, v Volume) (found []finding.Finding, answered bool) {
	n, ok := v.native()
	if !ok {
		return nil, true
	}
	d, err := n.Probe(ctx, inService{r, v.Service}, v.served())
	if errors.Is(err, method.ErrSilent) || ctx.Err() != nil {
		return nil, false
	}
	if err != nil && !errors.Is(err, method.ErrElsewhere) {
		return []finding.Finding{dumpFailed(stack, v, err)}, true
	}
	return movedByDump(stack, v, d.Moved), true
}

// served is the volume as its server has it.
func (v Volume) served() method.Volume { return method.Volume{Path: v.Path, MountAt: v.MountAt} }

// inService runs commands in one service of a stack.
type inService struct {
	runner  Runner
	service string
}

// Exec implements method.Runner.
func (s inService) Exec(ctx context.Context, c method.Command) error {
	return s.runner.Exec(ctx, Command{Service: s.service, User: c.User, Argv: c.Argv, Stdin: c.Stdin, Stdout: c.Stdout})
}

// isolatedStarter starts a volume's database for a load.
type isolatedStarter struct {
	database Database
	volume   Volume
	dir      string
}

// Start implements method.Starter.
func (b isolatedStarter) Start(ctx context.Context, s method.Start) (method.Running, error) {
	running, err := b.database.Start(ctx, b.volume, b.dir, s)
	if running == nil {
		return nil, err
	}
	return isolatedRunning{inService{running, b.volume.Service}, running}, err
}

type isolatedRunning struct {
	inService
	running Running
}

// Stop implements method.Running.
func (b isolatedRunning) Stop(ctx context.Context) error { return b.running.Stop(ctx) }
