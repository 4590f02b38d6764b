package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"salvor/internal/atomicfile"
	"salvor/internal/finding"
	"salvor/internal/hostpath"
	"salvor/internal/snapshot/method"
)

// A dump that its server refuses to load is found out when it is taken, not when it
// is needed: the first is loaded as a test, and then one every loadEvery, at another
// image at once, and soon after the objects in it have changed. One that failed is
// tried again after loadAgain.
const (
	loadEvery   = 7 * 24 * time.Hour
	loadChanged = 6 * time.Hour
	loadAgain   = 6 * time.Hour
)

// loadNote is the result of the last test load of a volume's dump.
type loadNote struct {
	At      time.Time `json:"at"`
	Image   string    `json:"image"`
	Objects string    `json:"objects"`          // the fingerprint of what the dump held
	Failed  string    `json:"failed,omitempty"` // why
	Good    time.Time `json:"good,omitzero"`    // the last one that succeeded
}

// failedLately reports whether there is not use in another dump yet.
func (n loadNote) failedLately(image string, now time.Time) bool {
	return n.Failed != "" && n.Image == image && now.Sub(n.At) < loadAgain && !n.At.After(now)
}

func (n loadNote) due(image, objects string, now time.Time) bool {
	age := now.Sub(n.At)
	return n.Good.IsZero() || n.Failed != "" || n.Image != image || age < 0 || age >= loadEvery || n.Objects != objects && age >= loadChanged
}

// loadTest loads dumps for a try.
type loadTest struct{ taking *taking }

// loadNotes returns the notes by volume. Losing them costs a load.
func (p loadTest) loadNotes() (map[string]loadNote, error) {
	notes := map[string]loadNote{}
	content, err := os.ReadFile(p.taking.engine.Dirs.Loads(p.taking.job.Stack))
	if errors.Is(err, fs.ErrNotExist) {
		return notes, nil
	}
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(content, &notes) != nil || notes == nil {
		return map[string]loadNote{}, nil // a damaged note is as good as none
	}
	return notes, nil
}

func (p loadTest) saveNote(volume string, n loadNote, notes map[string]loadNote) error {
	notes[volume] = n
	content, err := json.Marshal(notes)
	if err != nil {
		return err
	}
	path := p.taking.engine.Dirs.Loads(p.taking.job.Stack)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(path, bytes.NewReader(content), 0o600)
}

// run loads a dump as a test when that is due; an error says why it can't be loaded.
func (p loadTest) run(ctx context.Context, by native, v Volume, dump string, notes map[string]loadNote) error {
	n, image, now := notes[v.Name], p.taking.job.Images[v.Service], time.Now().UTC()
	objects, err := by.Objects(dump)
	if err != nil {
		return err
	}
	if p.taking.job.Database != nil && n.due(image, objects, now) {
		tried, err := p.load(ctx, by, v, dump)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !tried {
			p.taking.result.Findings = append(p.taking.result.Findings, notTried(p.taking.job.Stack, v, err))
		} else {
			n = loadNote{At: now, Image: image, Objects: objects, Good: n.Good}
			if err == nil {
				n.Good = now
			} else {
				n.Failed = err.Error()
			}
			if noted := p.saveNote(v.Name, n, notes); err != nil || noted != nil {
				return errors.Join(err, noted)
			}
		}
	}
	for i := range p.taking.meta.Volumes {
		if m := &p.taking.meta.Volumes[i]; m.Name == v.Name {
			m.Loaded = n.Good
		}
	}
	return nil
}

// load loads a dump as a test and compares it. Where there is no room for that it is
// not tried.
func (p loadTest) load(ctx context.Context, n native, v Volume, dump string) (tried bool, err error) {
	parent, err := p.taking.engine.dir(hostpath.Proof, p.taking.job.Stack)
	if err != nil {
		return false, err
	}
	dir := filepath.Join(parent, DirName(v.Name))
	if err := os.RemoveAll(dir); err != nil {
		return false, err
	}
	if err := hasRoom(parent, p.taking.scans[v.Name].stats.Disk); err != nil {
		return false, err
	}
	end := p.taking.engine.scope(p.taking.job.Stack).Step("load "+v.Name+" as a test", "")
	err = n.Load(ctx, method.Load{Dump: dump, Volume: method.Volume{Path: dir}, Starter: isolatedStarter{p.taking.job.Database, v, dir}, Strict: true, Proof: true})
	end(err, "")
	return true, errors.Join(err, os.RemoveAll(dir))
}

func notTried(stack string, v Volume, reason error) finding.Finding {
	return finding.Finding{
		Code: finding.DumpUntried, Severity: finding.Warning, Subject: stack + "/" + v.Name,
		Text: fmt.Sprintf("the dump of %s was not loaded as a test: %v", v.Name, reason),
		Fix:  "make room on the host",
	}
}

// failedLoads are the findings of volumes whose newest snapshot holds files
// because their dump could not be loaded, while nothing has changed since.
func (p loadTest) failedLoads() ([]finding.Finding, error) {
	notes, err := p.loadNotes()
	var found []finding.Finding
	for _, v := range p.taking.job.Volumes {
		if n := notes[v.Name]; n.Failed != "" {
			found = append(found, dumpFailed(p.taking.job.Stack, v, errors.New(n.Failed)))
		}
	}
	return found, err
}
