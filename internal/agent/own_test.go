package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/project"
)

// ownOf has a host keep a folder of its own on a remote, in repositories of which the last is
// the present one.
func ownOf(t *testing.T, stand *agenttest.Stand, folder, remote string, epoch int, repositories ...string) {
	t.Helper()
	file := agentapi.SealedFile{Remotes: map[string]agentapi.SealedRemote{"disk": {Type: "local"}}, Repositories: map[string][]byte{}, Secrets: map[string][]byte{"films": []byte("username=ann\npassword=hunter2\n")}}
	for _, id := range repositories {
		file.Repositories[id] = []byte(strings.Repeat(id, 20))
	}
	last := len(repositories) - 1
	own := agentapi.Stack{
		Name: fleet.Own("alpha"), Epoch: epoch, Volumes: []project.Volume{{Name: "@folder", Source: folder, Path: folder, Protect: fleet.Snapshot, Method: fleet.Live}},
		Targets: []agentapi.Target{{Name: "offsite", Where: fleet.Location{Remote: "disk", Path: remote}, Repository: repositories[last], Former: repositories[:last], Every: time.Hour}},
	}
	heretest.Seal(t, stand.Host, &own, "alpha", file)
	stand.Spec.Own = &own
	if err := stand.SaveSpec(stand.Spec); err != nil {
		t.Fatal(err)
	}
}

// TestFoldersOfTheHostAreKept: they are due like a stack's data, and brought back next to what
// is there, also to another machine of the host's name.
func TestFoldersOfTheHostAreKept(t *testing.T) {
	stand, folder, remote := agenttest.NewStand(t, false), t.TempDir(), t.TempDir()
	heretest.Write(t, filepath.Join(folder, "wg0.conf"), "one")
	ownOf(t, stand, folder, remote, 1, "bbbb0001")
	h := (*Host)(stand.Host)
	due := keeper.New(stand.Host).Due(stand.Spec, time.Now())
	if !slices.ContainsFunc(due, func(st agentapi.Stack) bool { return st.Name == "host.alpha" }) {
		t.Errorf("due: %v", due)
	}
	taken, err := h.TakeSnapshot(t.Context(), agentapi.TakeSnapshot{Stack: "host.alpha"}, progress.Discard())
	if err != nil || taken.Snapshot.ID == "" {
		t.Fatal(taken, err)
	}
	heretest.Write(t, filepath.Join(folder, "wg0.conf"), "two")
	listed, err := h.ListSnapshots(t.Context(), agentapi.Snapshots{Stack: "host.alpha"}, progress.Discard())
	if err != nil || len(listed.Snapshots) != 1 || listed.Snapshots[0].Unproven {
		t.Errorf("%+v, %v", listed, err)
	}
	checkBroughtBack(t, stand, folder)
	if now, err := os.ReadFile(filepath.Join(folder, "wg0.conf")); err != nil || string(now) != "two" {
		t.Errorf("what was there is %q, %v", now, err)
	}
	another := agenttest.NewStand(t, false)
	ownOf(t, another, folder, remote, 2, "bbbb0001", "bbbb0002")
	checkBroughtBack(t, another, folder)
}

func checkBroughtBack(t *testing.T, stand *agenttest.Stand, folder string) {
	t.Helper()
	done, err := BringBack((*Host)(stand.Host))(t.Context(), agentapi.BringBack{}, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(done.Folder, folder, "wg0.conf"))
	if err != nil || string(content) != "one" || !strings.HasPrefix(done.Folder, stand.Paths.State) {
		t.Errorf("%q in %s, %v", content, done.Folder, err)
	}
}

// TestCredentialsOfAMountAreInMemory, for root alone, before it is mounted.
func TestCredentialsOfAMountAreInMemory(t *testing.T) {
	stand := agenttest.NewStand(t, false)
	stand.Machine = stand.Engine
	ownOf(t, stand, t.TempDir(), t.TempDir(), 1, "bbbb0001")
	stand.Spec.Mounts = []fleet.Mount{{Name: "films", At: "/mnt/films-of-a-test", Kind: fleet.MountSMB, Source: "//nas/films", Credentials: "films"}}
	if err := here.MountsOf(stand.Host, stand.Spec).Make(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := stand.Paths.Secrets().MountCredentials("films")
	info, err := os.Stat(at)
	if err != nil || info.Mode().Perm() != 0o600 || !strings.HasPrefix(at, stand.Paths.Run) || !stand.Engine.Ran(`systemctl start mnt-films\x2dof\x2da\x2dtest.mount`) {
		t.Errorf("%v, %v", info, err)
	}
	if content, err := os.ReadFile(at); err != nil || !strings.Contains(string(content), "hunter2") {
		t.Error("it does not have the secret", err)
	}
}
