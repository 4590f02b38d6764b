package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"salvor/internal/atomicfile"
	"salvor/internal/fleet"
)

// localState is this host's note of the last snapshot it took into a repository:
// State/snapshots/<stack>/<repository>.json. Losing it costs time, nothing else.
type localState struct {
	Schema   int              `json:"schema"`
	Snapshot string           `json:"snapshot"`
	Print    string           `json:"print"` // over the scans that came before it, "" when they prove nothing
	Stats    map[string]Stats `json:"stats"`
	// A file whose times are between these may have been written again unseen.
	Clean time.Time `json:"clean,omitzero"`
	Ended time.Time `json:"ended,omitzero"`

	Checked time.Time `json:"checked,omitzero"` // when the repository was last seen to be whole
}

// stateOf returns a note, the zero one when there is none.
func stateOf(path string) (localState, error) {
	var s localState
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(content, &s); err != nil || s.Schema != fleet.Schema {
		return localState{}, nil // a note in another shape is as good as none
	}
	return s, nil
}

func (s localState) save(path string) error {
	content, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(path, bytes.NewReader(content), 0o600)
}

// checkEvery is how often a repository is looked at while the data does not
// change: a listing of everything is cheap, and not for nothing.
const checkEvery = time.Hour

func (s localState) checkedLately(now time.Time) bool {
	age := now.Sub(s.Checked)
	return age >= 0 && age < checkEvery
}

func (t *taking) statePath() string {
	return t.engine.Dirs.SnapshotState(t.job.Stack, t.job.Repository.ID)
}

func (t *taking) saveState() error {
	s := localState{Schema: fleet.Schema, Snapshot: t.result.Snapshot.ID, Print: t.print(), Stats: map[string]Stats{}, Clean: t.clean, Ended: time.Now().UTC(), Checked: t.engine.now().UTC()}
	for _, v := range t.meta.Volumes {
		s.Stats[v.Name] = v.Stats
	}
	return s.save(t.statePath())
}

// noteChecked remembers that the repository is whole while nothing has changed.
func (t *taking) noteChecked() error {
	t.state.Checked = t.engine.now().UTC()
	return t.state.save(t.statePath())
}

// print covers everything that would make the next snapshot differ: the data, and
// what is in the metadata. It is taken before the snapshot reads anything: equal
// prints mean that nothing changed from then until now.
func (t *taking) print() string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%d %q %q %v\n", t.job.Epoch, t.job.Commit, t.job.Compose, t.job.Images)
	for _, v := range t.meta.Volumes {
		s, ok := t.scans[v.Name]
		if !ok || s.hot {
			return ""
		}
		fmt.Fprintf(sum, "%q %s %q %t %s\n", v.Name, v.Method, s.stats.Left.Patterns, s.stats.Left.Caches, s.print)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func (t *taking) unchanged() bool {
	now := t.print()
	return now != "" && t.last.ID != "" && t.state.Snapshot == t.last.ID && t.state.Print == now
}
