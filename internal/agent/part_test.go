package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/snapshot"
)

// TestARestoreOfOneVolume leaves the other as it is, and the images, and keeps what it
// replaced; a volume that is not protected fails the wish, and nothing changes.
func TestARestoreOfOneVolume(t *testing.T) {
	t.Parallel()
	l := &lived{agenttest.New(t)}
	uploads := filepath.Join(l.Paths.Volumes, "uploads")
	l.Stack.Volumes = append(l.Stack.Volumes, project.Volume{Name: "uploads", Path: uploads, Protect: fleet.Snapshot, Method: fleet.Live})
	if receipt := l.Apply(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	note := filepath.Join(uploads, "note")
	heretest.Write(t, l.Note, "as it was")
	heretest.Write(t, note, "as it was")
	l.Old = l.Take()
	l.Runs("reg/app:2")
	if receipt := l.Apply(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	heretest.Write(t, l.Note, "written since")
	heretest.Write(t, note, "written since")
	read := func() string {
		content, err := os.ReadFile(note)
		if err != nil {
			t.Error(err)
		}
		return string(content)
	}

	l.Wish("one")
	l.Stack.Restore.Volumes = []string{"gone"}
	if receipt := l.Apply(); receipt.Error == nil || !strings.Contains(receipt.Error.Text, "protects no volume gone") || l.Data() != "written since" || read() != "written since" {
		t.Errorf("%+v, %q and %q", receipt, l.Data(), read())
	}
	if found := l.Findings(); len(found) != 1 || !strings.Contains(found[0].Fix, " --volume gone tries again") {
		t.Errorf("%+v", found)
	}

	l.Wish("two")
	l.Stack.Restore.Volumes = []string{"uploads"}
	state, st := l.state(t)
	if got := causes(state.Changes); !strings.Contains(got, "volume uploads: goes back to snapshot") || strings.Contains(got, "volume data") || st.Wish.State != agentapi.WishPending {
		t.Errorf("the plan is %s, %+v", got, st.Wish)
	}
	receipt := l.Apply()
	if receipt.Error != nil || receipt.Wish != "two" || l.Data() != "written since" || read() != "as it was" {
		t.Errorf("%+v, %q and %q", receipt, l.Data(), read())
	}
	// the snapshot ran another image; the one that goes with the other volume stays
	if image := l.Engine.Containers()[0].Image; !strings.HasPrefix(image, "reg/app:2") {
		t.Errorf("%s runs", image)
	}
	kept, err := snapshot.KeptOf(snapshot.Volume{Name: "uploads", Path: uploads})
	if err != nil || len(kept) > 1 {
		t.Errorf("%v, %v", kept, err)
	}
	heretest.Write(t, note, "written later")
	if receipt := l.Apply(); receipt.Error != nil || read() != "written later" {
		t.Errorf("the next apply: %+v, %q", receipt, read())
	}
}

func causes(changes []agentapi.Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, c.ID+": "+c.Cause)
	}
	return strings.Join(all, "; ")
}
