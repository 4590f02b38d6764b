package here

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/mount"
	"salvor/internal/progress"
)

// ErrNotMounted means that a stack's shared volumes can't be mounted, so it does not start.
var ErrNotMounted = errors.New("not mounted")

const (
	mountWithin = 3 * time.Minute  // a mounter reaches its remote, or says why not
	stopWithin  = 6 * time.Minute  // a mounter uploads what it can before it ends; see its unit
	flushWithin = 10 * time.Minute // uploads go on that long before a stack that stops gives up on them
	flushLook   = time.Second
	listedFiles = 5 // in a message
	lateUpload  = time.Hour
)

// Mounted is what a stack's mounter serves, as it notes it itself.
type Mounted struct {
	Mount   fleet.SharedMount `json:"mount"`
	Volumes []SharedVolume    `json:"volumes"`
}

// A SharedVolume is one shared volume and where it is.
type SharedVolume struct {
	Name     string         `json:"name"`
	Where    fleet.Location `json:"where"`
	Point    string         `json:"point"`
	ReadOnly bool           `json:"read_only,omitempty"`
	Others   bool           `json:"others,omitempty"` // other stacks write to it
}

// SharedVolumes is what the stack's mounter is to serve, nil for a stack that has none.
func (s *Stack) SharedVolumes() *Mounted {
	if s.Shared == nil {
		return nil
	}
	m := &Mounted{Mount: s.Shared.Mount}
	for _, v := range s.Volumes {
		if v.Protect != fleet.Shared {
			continue
		}
		from := v.From
		if from == "" {
			from = s.Name + "/" + v.Name
		}
		m.Volumes = append(m.Volumes, SharedVolume{
			Name: v.Name, Where: fleet.Location{Remote: s.Shared.Where.Remote, Path: path.Join(s.Shared.Where.Path, from)},
			Point: v.Path, ReadOnly: v.ReadOnly(), Others: v.Writers == fleet.ManyWriters || v.From != "",
		})
	}
	return m
}

// SharedMounts are the mounts of a stack's shared volumes on a host, whatever it is asked to be.
type SharedMounts struct {
	host  *Host
	stack string
}

// SharedMountsOf returns a stack's mounts.
func SharedMountsOf(h *Host, stack string) SharedMounts { return SharedMounts{h, stack} }

func mountUnit(stack string) string { return "salvord-mount@" + stack + ".service" }

// Mount has the stack's shared volumes mounted as they are asked for. A stack of which they
// can't be waits, as for an external mount: the daemon tries again.
func (s *Stack) Mount(ctx context.Context) error {
	want := s.SharedVolumes()
	if want == nil {
		return nil
	}
	verb := "start"
	if now := readNote[mountedNote](s.Host.Paths.Mounted(s.Name)); !reflect.DeepEqual(now.Mounted, *want) {
		verb = "restart"
	}
	why := s.Host.Paths.MountFailure(s.Name)
	if err := os.Remove(why); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	mounts := SharedMountsOf(s.Host, s.Name)
	err := mounts.systemctl(ctx, mountWithin, verb)
	if err == nil {
		return s.refuseDatabase(ctx)
	}
	if said, readErr := os.ReadFile(why); readErr == nil {
		err = errors.New(strings.TrimSpace(string(said)))
	}
	stopErr := mounts.systemctl(ctx, stopWithin, "stop")
	err = fault.WithHint(fmt.Errorf("shared volumes of %s: %w: %w", s.Name, ErrNotMounted, err), mountFix(s.Spec.Name, s.Shared.Where.Remote))
	return errors.Join(err, stopErr, WriteJSON(s.Host.Paths.Waiting(s.Name), true))
}

func mountFix(host, remote string) string {
	return fmt.Sprintf("salvor remote test %s tests the remote; the stack starts automatically once %s can mount it", remote, host)
}

// mountedNote is Mounted as a note.
type mountedNote struct {
	stamp
	Mounted
}

// Note notes what a mounter serves, nil for nothing any more.
func (a SharedMounts) Note(m *Mounted) error {
	if m != nil {
		return writeNote(a.host.Paths.Mounted(a.stack), &mountedNote{Mounted: *m})
	}
	err := os.Remove(a.host.Paths.Mounted(a.stack))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (a SharedMounts) systemctl(ctx context.Context, within time.Duration, verb string) error {
	_, err := a.host.Machine.Run(ctx, machine.Cmd{Argv: []string{"systemctl", "--quiet", verb, mountUnit(a.stack)}, Timeout: within})
	return err
}

// Exist reports whether the stack has, or had, shared volumes here.
func (a SharedMounts) Exist() bool {
	for _, p := range []string{a.host.Paths.Mounted(a.stack), a.host.Paths.Cache(a.stack)} {
		if _, err := os.Stat(p); err == nil {
			return true
		}
	}
	return false
}

// End ends the stack's mounter. What is not uploaded stays in the cache.
func (a SharedMounts) End(ctx context.Context) error {
	if !a.Exist() {
		return nil
	}
	err := a.systemctl(ctx, stopWithin, "stop")
	return errors.Join(err, a.Note(nil))
}

// Flush waits until everything that a stack wrote to its shared volumes is on the remote.
// The stack must be stopped: a file that is open is not uploaded. What is not on the remote
// in time is part of the error, and uploads go on.
func (a SharedMounts) Flush(ctx context.Context, sink progress.Sink) error {
	if !a.Exist() {
		return nil
	}
	unsent, err := mount.Look(a.host.Paths.Cache(a.stack))
	if err != nil || len(unsent) == 0 {
		return err
	}
	end := progress.Scope{Sink: sink, Stack: a.stack}.Step("upload shared files", Waiting(unsent))
	for began := time.Now(); err == nil && len(unsent) > 0; unsent, err = mount.Look(a.host.Paths.Cache(a.stack)) {
		if time.Since(began) > flushWithin {
			err = fault.WithHint(fmt.Errorf("after %s there is not on the remote yet: %s", flushWithin, Waiting(unsent)), "salvor status "+a.stack+" shows the rest; uploads continue while the stack is placed here")
			break
		}
		if err = Sleep(ctx, flushLook); err != nil {
			break
		}
	}
	end(err, "")
	return err
}

// Abandon ends the mounter of a stack that is not this host's any more. What it did not
// upload is moved to the stack's quarantine, and never uploaded.
func (a SharedMounts) Abandon(ctx context.Context) error {
	if !a.Exist() {
		return nil
	}
	if err := errors.Join(a.Disown(), a.End(ctx)); err != nil {
		return err
	}
	_, err := mount.Quarantine(a.host.Paths.Cache(a.stack), path.Join(a.host.Paths.Quarantine(a.stack), time.Now().UTC().Format(QuarantineTime)))
	return err
}

// QuarantineTime is how the folders in a quarantine are named: for when files were put there.
const QuarantineTime = "20060102T150405Z"

// Disown holds the uploads of a stack back from now on.
func (a SharedMounts) Disown() error {
	err := os.Remove(a.host.Paths.Owner(a.stack))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Waiting says what is not on the remote yet.
func Waiting(unsent mount.Unsent) string {
	var named []string
	for _, f := range unsent[:min(len(unsent), listedFiles)] {
		named = append(named, f.Volume+"/"+f.Path)
	}
	slices.Sort(named)
	if more := len(unsent) - len(named); more > 0 {
		named = append(named, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("%.1f MiB in %s", float64(unsent.Bytes())/(1<<20), strings.Join(named, ", "))
}

// SharedState says what of the stack's shared volumes is not on the remote, nil for a stack
// that has none.
func (s *Stack) SharedState() (*agentapi.SharedState, error) {
	want := s.SharedVolumes()
	if want == nil {
		return nil, nil
	}
	unsent, err := mount.Look(s.Host.Paths.Cache(s.Name))
	if err != nil {
		return nil, err
	}
	state := &agentapi.SharedState{Mounted: true, Files: len(unsent), Bytes: unsent.Bytes(), Oldest: unsent.Oldest(), Remote: s.Shared.Where.Remote}
	for _, v := range want.Volumes {
		state.Mounted = state.Mounted && mount.Mounted(v.Point)
		state.Volumes = append(state.Volumes, v.Name)
	}
	return state, nil
}

// SharedFindings says what is wrong with the stack's shared volumes, and which files of it
// were set aside.
func (s *Stack) SharedFindings(now time.Time) []finding.Finding {
	subject := s.Spec.Name + "/" + s.Name
	found := s.diverged(subject)
	state, err := s.SharedState()
	if state == nil || err != nil || s.Stopped || s.Host.Local(s.Name).Lost {
		return found
	}
	found = append(found, s.databaseFindings(subject)...)
	m := s.Shared.Mount
	if !state.Mounted {
		text := "its shared volumes are not mounted"
		if said, err := os.ReadFile(s.Host.Paths.MountFailure(s.Name)); err == nil {
			text += ": " + strings.TrimSpace(string(said))
		}
		found = append(found, finding.Finding{Code: finding.SharedUnmounted, Severity: finding.Warning, Subject: subject, Text: text, Fix: mountFix(s.Spec.Name, state.Remote)})
	}
	if free := mount.Available(s.Host.Paths.State); state.Bytes >= m.Cache-m.Cache/10 || free < m.KeepFree/2+m.KeepFree/10 {
		found = append(found, finding.Finding{Code: finding.SharedFull, Severity: finding.Warning, Subject: subject,
			Text: fmt.Sprintf("the cache of its shared volumes is full: %d MiB wait for the remote, %d MiB are free on the disk; programs that write get an error", state.Bytes>>20, free>>20),
			Fix:  "make room on the disk, raise x-salvor.shared.cache, or bring the remote back"})
	}
	if state.Files > 0 && now.Sub(state.Oldest) > lateUpload {
		found = append(found, finding.Finding{Code: finding.SharedLate, Severity: finding.Warning, Subject: subject,
			Text: fmt.Sprintf("%d files of its shared volumes are not on the remote, the oldest since %s", state.Files, state.Oldest.UTC().Format(time.RFC3339)),
			Fix:  mountFix(s.Spec.Name, state.Remote)})
	}
	return found
}

// diverged lists the files in the stack's quarantine.
func (s *Stack) diverged(subject string) []finding.Finding {
	files, err := mount.Quarantined(s.Host.Paths.Quarantine(s.Name))
	if err != nil || len(files) == 0 {
		return nil
	}
	return []finding.Finding{{Code: finding.DivergedFiles, Severity: finding.Warning, Subject: subject,
		Text: "not on the remote, and not uploaded: " + Waiting(files),
		Fix:  "look at " + s.Host.Paths.Quarantine(s.Name) + ", copy what is needed into the stack's volume, then delete the folder"}}
}
