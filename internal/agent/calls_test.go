package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rclone/rclone/fs"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/ownership"
	"salvor/internal/agentapi"
	"salvor/internal/blob"
	"salvor/internal/blob/blobtest"
	"salvor/internal/fleet"
	"salvor/internal/lab/twin/restic"
	"salvor/internal/loop"
	"salvor/internal/machine"
	"salvor/internal/machine/local"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/record"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
	"salvor/internal/storage"
	"salvor/internal/storage/drivetest"
)

const (
	manyStacks    = 10
	keptSnapshots = 42
)

// A driven host has its record and its snapshots on an emulated Google Drive.
type driven struct {
	*here.Host
	drive *drivetest.Server
	token string
	ctx   context.Context // in which rclone goes through the emulator's proxy
	spec  agentapi.Host
	now   time.Time
}

func newDriven(t *testing.T) *driven {
	t.Helper()
	d := &driven{Host: heretest.Host(t), now: time.Now()}
	d.drive = drivetest.New(drivetest.Options{})
	root := d.drive.Account("olga@example.com", 0)
	d.drive.AddClient(drivetest.Client{ID: "salvor", Secret: "canary"})
	d.token = d.drive.Grant("olga@example.com", "salvor", drivetest.ScopeDrive)
	front, err := drivetest.NewFront(d.drive)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	heretest.Write(t, ca, string(front.CA))
	proxy, err := front.Proxy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, config := fs.AddConfig(t.Context())
	config.HTTPProxy, config.CaCert = proxy, []string{ca}
	d.ctx = ctx
	d.Lease = agentapi.DefaultLease()
	d.Snapshots.Now = func() time.Time { return d.now }
	d.Edges.Now = d.Snapshots.Now
	d.Edges.Folders = func(_ context.Context, remotes storage.Remotes, where fleet.Location) (record.Folder, error) {
		return storage.Open(d.ctx, remotes, where)
	}
	d.place(t, root)
	return d
}

// place gives the host its stacks, each with the data of another one in its repository.
func (d *driven) place(t *testing.T, root string) {
	t.Helper()
	if _, err := agekey.EnsureHost(d.Paths.Identity()); err != nil {
		t.Fatal(err)
	}
	signer, err := d.EnsureSigning("alpha")
	if err != nil {
		t.Fatal(err)
	}
	top := d.drive.MakeFolder(root, "salvor")
	remotes := map[string]agentapi.SealedRemote{"drive": {Type: "drive", Options: map[string][]byte{
		"client_id": []byte("salvor"), "client_secret": []byte("canary"), "token": []byte(d.token), "root_folder_id": []byte(top), "pacer_min_sleep": []byte("1ms"),
	}}}
	d.spec = agentapi.Host{Schema: agentapi.Schema, Fleet: "home", Name: "alpha", Record: fleet.Location{Remote: "drive", Path: "record"}}
	snapshots := d.drive.MakeFolder(top, "snapshots")
	for n := range manyStacks {
		id := fmt.Sprintf("aaaa000%d", n)
		st := agentapi.Stack{
			Name: fmt.Sprintf("stack%d", n), Epoch: 1,
			Volumes: []project.Volume{{Name: "data", Path: filepath.Join(d.Paths.Volumes, fmt.Sprint(n)), Protect: fleet.Snapshot, Method: fleet.Live, Born: time.Unix(1, 0)}},
			Targets: []agentapi.Target{{Name: "offsite", Where: fleet.Location{Remote: "drive", Path: "snapshots"}, Repository: id, Every: 15 * time.Minute}},
		}
		heretest.Seal(t, d.Host, &st, "alpha", agentapi.SealedFile{Remotes: remotes, Repositories: map[string][]byte{id: password}})
		d.spec.Stacks = append(d.spec.Stacks, st)
		fill(t, d.drive, d.drive.MakeFolder(d.drive.MakeFolder(snapshots, st.Name), id), earlier(t, st.Name))
		if err := d.SaveLocal(st.Name, here.Local{Epoch: 1, Reported: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.SaveSpec(d.spec); err != nil {
		t.Fatal(err)
	}
	folder, err := storage.Open(d.ctx, storage.Unsealed(remotes), d.spec.Record)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close(t.Context())
	for _, st := range d.spec.Stacks {
		claim := record.Claim{Epoch: 1, Host: "alpha", Key: d.Recipient(), Sign: signer}
		if _, err := record.New(folder).Trusting(heretest.FleetTrust()).Claim(t.Context(), st.Name, claim, func(string) (bool, bool) { return false, false }); err != nil {
			t.Fatal(err)
		}
		s := d.At(d.spec, st)
		v := s.Protected()[0]
		if err := d.Snapshots.StartEmpty(st.Name, v, snapshot.Marker{Identity: s.Identity(v.Name), Epoch: 1}); err != nil {
			t.Fatal(err)
		}
		for n := range 20 {
			heretest.Write(t, filepath.Join(v.Path, fmt.Sprint(n)), strings.Repeat(st.Name, 100*n))
		}
	}
}

var password = bytes.Repeat([]byte("password"), 6)

// inProcess is a machine whose restic is a part of this process.
type inProcess struct{ local.Machine }

// Run implements machine.Machine.
func (m inProcess) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	if c.Argv[0] != "ns-exec" {
		return machine.Output{Stdout: []byte(restic.Version)}, nil
	}
	return restic.Run(ctx, c, func(ctx context.Context, addr string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	})
}

// earlier is a repository with all snapshots that a stack keeps but for its own first one.
func earlier(t *testing.T, stack string) map[string][]byte {
	t.Helper()
	store, dir := &blobtest.Memory{}, t.TempDir()
	repo := snapshot.Repository{ID: "aaaa0001", Store: store, Password: secret.New(password)}
	if err := repository.Create(t.Context(), store, repo.Password); err != nil {
		t.Fatal(err)
	}
	engine := snapshot.Engine{Host: inProcess{}, Helper: []string{"ns-exec"}, Restic: "/usr/bin/restic", Progress: progress.Discard()}
	engine.Dirs.State, engine.Dirs.Run = dir+"/state", dir+"/run"
	for n := range keptSnapshots - 1 {
		heretest.Write(t, filepath.Join(dir, "note"), fmt.Sprint(n))
		job := snapshot.Job{
			Fleet: "home", Stack: stack, Host: "alpha", Epoch: 1, Repository: repo, Stopped: true, Force: true,
			Volumes: []snapshot.Volume{{Name: "data", Path: filepath.Join(dir, "note"), Method: fleet.Live}},
		}
		if _, err := engine.Take(t.Context(), job); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string][]byte{}
	objects, err := store.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		all[o.Path] = get(t, store, o.Path)
	}
	return all
}

func get(t *testing.T, store blob.Store, name string) []byte {
	t.Helper()
	r, err := store.Get(t.Context(), name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// fill puts files into a folder of Drive.
func fill(t *testing.T, drive *drivetest.Server, folder string, files map[string][]byte) {
	t.Helper()
	folders := map[string]string{".": folder}
	var in func(dir string) string
	in = func(dir string) string {
		if folders[dir] == "" {
			folders[dir] = drive.MakeFolder(in(path.Dir(dir)), path.Base(dir))
		}
		return folders[dir]
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if _, err := drive.MakeFile(in(path.Dir(name)), path.Base(name), files[name]); err != nil {
			t.Fatal(err)
		}
	}
}

// counted returns the calls that something makes.
func (d *driven) counted(do func()) drivetest.Counts {
	before := d.drive.Counts()
	do()
	after := d.drive.Counts()
	for kind, n := range before {
		if after[kind] -= n; after[kind] == 0 {
			delete(after, kind)
		}
	}
	return after
}

// take takes the snapshots that are due.
func (d *driven) take(t *testing.T, loops []loop.Loop, takers *keeper.Takers) {
	t.Helper()
	for _, l := range loops {
		if l.Name == "snapshots" {
			if err := l.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	takers.Wait()
}

// TestCallsOfADrivenHost is what a host costs its Google Drive: while nothing happens, and
// for one snapshot.
func TestCallsOfADrivenHost(t *testing.T) {
	d := newDriven(t)
	watch := ownership.New(d.Host, d.Lease.Within)
	defer watch.Close(t.Context())
	takers := keeper.NewTakers(keeper.TakerTurn, here.KeepOpen(d.Host))
	rounds := (&daemon{Host: (*Host)(d.Host)}).rounds(watch, takers, progress.Discard())
	if err := watch.Enforce(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.counts(t, "ten first snapshots", 2500, func() { d.take(t, rounds, takers) })
	d.good(t)
	only := d.spec
	only.Stacks = only.Stacks[:1]
	if err := d.SaveSpec(only); err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(16 * time.Minute)
	d.take(t, rounds, takers) // the first one began too shortly after the files were written
	d.now = d.now.Add(16 * time.Minute)
	d.counts(t, "an unchanged snapshot", 2, func() { d.take(t, rounds, takers) })
	d.now = d.now.Add(16 * time.Minute)
	heretest.Write(t, filepath.Join(d.Paths.Volumes, "0", "7"), "changed")
	d.counts(t, "a small change", 60, func() { d.take(t, rounds, takers) })
	d.good(t)
	if err := d.SaveSpec(d.spec); err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(16 * time.Minute)
	d.take(t, rounds, takers) // of the stack that has just changed
	idle := d.counts(t, "an idle hour", 400, func() { d.hour(t, watch, rounds, takers) })
	if idle[drivetest.Download] > 0 {
		t.Error("what was read before was downloaded again")
	}
	d.good(t)
}

// hour lets an hour pass in which nothing happens.
func (d *driven) hour(t *testing.T, watch *ownership.Guard, rounds []loop.Loop, takers *keeper.Takers) {
	t.Helper()
	every := watch.Lease().Every
	for end, look := d.now.Add(time.Hour), d.now; d.now.Before(end); d.now = d.now.Add(roundEvery) {
		for ; !look.After(d.now); look = look.Add(every) {
			if err := watch.Enforce(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, l := range rounds {
			if l.Name == "snapshots" || l.Name == "reports" {
				if err := l.Run(t.Context()); err != nil {
					t.Error(l.Name, err)
				}
			}
		}
		takers.Wait()
	}
}

// counts logs what something costs, and fails the test where that is more than it may be.
func (d *driven) counts(t *testing.T, what string, most int, do func()) drivetest.Counts {
	t.Helper()
	counts := d.counted(do)
	t.Logf("%-22s %s", what, counts)
	if counts.Total() > most {
		t.Errorf("%s: %d calls, at most %d are good", what, counts.Total(), most)
	}
	return counts
}

// good fails the test unless every stack's last snapshot went well.
func (d *driven) good(t *testing.T) {
	t.Helper()
	k := keeper.New(d.Host)
	for _, st := range d.spec.Stacks {
		if c := k.Condition(st.Name).On("offsite"); c.Good.IsZero() || len(c.Findings) > 0 {
			said, _ := json.Marshal(c)
			entries, _ := os.ReadFile(filepath.Join(d.Journal.Dir, "journal"))
			t.Fatalf("%s: %s\n%s", st.Name, said, entries)
		}
	}
}
