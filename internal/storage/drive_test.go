package storage_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rclone/rclone/fs"

	"salvor/internal/blob"
	"salvor/internal/blob/blobtest"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/storage"
	"salvor/internal/storage/drivetest"
)

const (
	olga   = "olga@example.com"
	client = "salvor.apps.googleusercontent.com"
)

// A googleDrive is an emulated Drive with one person's account, and the way to it.
type googleDrive struct {
	*drivetest.Server
	ctx    context.Context // in which rclone goes through the emulator's proxy
	root   string
	shared string
}

func newDrive(t *testing.T, o drivetest.Options) *googleDrive {
	t.Helper()
	d := &googleDrive{Server: drivetest.New(o)}
	d.root = d.Account(olga, 0)
	d.shared = d.SharedDrive("family", map[string]drivetest.Role{olga: drivetest.Manager})
	d.AddClient(drivetest.Client{ID: client, Secret: canary})
	d.ctx = throughProxy(t, d.Server)
	return d
}

// throughProxy returns a context in which rclone finds Google's hosts at the emulator.
func throughProxy(t *testing.T, s *drivetest.Server) context.Context {
	t.Helper()
	front, err := drivetest.NewFront(s)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, front.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	proxy, err := front.Proxy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, config := fs.AddConfig(t.Context())
	config.HTTPProxy, config.CaCert = proxy, []string{ca}
	return ctx
}

// remote is a declared remote of type drive with these options in addition to its login.
func (d *googleDrive) remote(pairs ...string) storage.Remote {
	pairs = append(pairs, "client_id", client, "client_secret", canary, "token", d.Grant(olga, client, drivetest.ScopeDrive), "pacer_min_sleep", "1ms")
	return storage.Remote{Type: "drive", Options: options(pairs...)}
}

func (d *googleDrive) open(t *testing.T, remotes storage.Remotes, remote, path string) *storage.Folder {
	t.Helper()
	f, err := storage.Open(d.ctx, remotes, fleet.Location{Remote: remote, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close(context.WithoutCancel(t.Context())) })
	return f
}

// must puts an object or ends the test.
func must(t *testing.T, f *storage.Folder, name, content string) {
	t.Helper()
	if _, err := f.Put(t.Context(), name, strings.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
}

// TestFoldersOfOneNameAreMerged, which two hosts make when they make one at once, before
// anything is stored in one that not every reader looks into.
func TestFoldersOfOneNameAreMerged(t *testing.T) {
	d := newDrive(t, drivetest.Options{})
	for _, name := range []string{"by alpha", "by beta"} {
		own := storage.Remotes{"own": d.remote("root_folder_id", d.MakeFolder(d.root, "salvor"))}
		must(t, d.open(t, own, "own", "claims"), name, name)
	}
	remotes := storage.Remotes{"drive": d.remote("root_folder_id", d.root)}
	must(t, d.open(t, remotes, "drive", "salvor/claims"), "by gamma", "by gamma")
	for _, name := range []string{"by alpha", "by beta", "by gamma"} {
		if got, err := readAll(d.ctx, d.open(t, remotes, "drive", "salvor/claims"), name); got != name {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestAPutOnDriveTakesFewCalls, since each is a round trip and costs quota: look at what
// has the name, store, look again. An old object is one more, past the trash.
func TestAPutOnDriveTakesFewCalls(t *testing.T) {
	d := newDrive(t, drivetest.Options{})
	f := d.open(t, storage.Remotes{"drive": d.remote("root_folder_id", d.root)}, "drive", "data")
	must(t, f, "first", "1")
	for _, want := range []drivetest.Counts{
		{drivetest.List: 2, drivetest.Create: 1},
		{drivetest.List: 2, drivetest.Create: 1, drivetest.Delete: 1},
	} {
		before := d.Counts()
		must(t, f, "second", "2")
		for kind, n := range d.Counts() {
			if n -= before[kind]; n != want[kind] {
				t.Errorf("%s %d times, want %s", kind, n, want)
			}
		}
	}
}

func TestDrive(t *testing.T) {
	t.Parallel()
	d := newDrive(t, drivetest.Options{})
	plain := d.remote("root_folder_id", d.MakeFolder(d.root, "salvor"))
	remotes := storage.Remotes{
		"plain": plain, "shared": d.remote("team_drive", d.shared),
		"sealed": {Type: "crypt", Options: options("remote", "plain:sealed", "password", canary, "password2", "salt")},
	}
	for _, remote := range []string{"plain", "shared", "sealed"} {
		t.Run(remote, func(t *testing.T) {
			n := 0
			blobtest.Run(t, func(t *testing.T) blob.Store {
				n++
				return d.open(t, remotes, remote, fmt.Sprintf("%s/folder %d", remote, n))
			})
		})
	}
	t.Log(d.Counts())
}

// TestDriveLogins is how the ways to log in succeed and fail, through rclone.
func TestDriveLogins(t *testing.T) {
	d := newDrive(t, drivetest.Options{})
	robot, err := d.Service("robot@home.iam.gserviceaccount.com")
	if err != nil {
		t.Fatal(err)
	}
	actor, err := d.Service("actor@home.iam.gserviceaccount.com", drivetest.ScopeDrive)
	if err != nil {
		t.Fatal(err)
	}
	team := d.SharedDrive("robots", map[string]drivetest.Role{robot.Email: drivetest.Writer})
	service := func(account *drivetest.ServiceAccount, pairs ...string) storage.Remote {
		return storage.Remote{Type: "drive", Options: options(append(pairs, "service_account_credentials", account.Credentials)...)}
	}
	stale := func(change func(token string) string) storage.Remote {
		r := d.remote("root_folder_id", d.root)
		expired := regexp.MustCompile(`"expiry":"[^"]*"`).ReplaceAllString(string(r.Options["token"].Reveal()), `"expiry":"2020-01-01T00:00:00Z"`)
		r.Options["token"] = secret.NewString(change(expired))
		return r
	}
	same := func(token string) string { return token }
	unknown := stale(same)
	unknown.Options["client_secret"] = secret.NewString("wrong")
	for name, c := range map[string]struct {
		remote storage.Remote
		want   error
	}{
		"a token that has to be renewed":                {stale(same), nil},
		"a grant that was revoked":                      {stale(func(token string) string { return strings.Replace(token, "1//0", "1//1", 1) }), storage.ErrGrant},
		"a wrong client secret":                         {unknown, storage.ErrLogin},
		"a service account without storage":             {service(robot), storage.ErrNoStorage},
		"a service account on a shared drive":           {service(robot, "team_drive", team), nil},
		"a service account on a drive that is not its":  {service(robot, "team_drive", d.shared), storage.ErrUnreachable},
		"a service account that acts for a person":      {service(actor, "impersonate", olga), nil},
		"a service account that may not act for anyone": {service(robot, "impersonate", olga), storage.ErrLogin},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := storage.Open(d.ctx, storage.Remotes{"drive": c.remote}, fleet.Location{Remote: "drive", Path: "probe"})
			if err == nil {
				defer f.Close(t.Context())
				_, err = f.Probe(d.ctx)
			}
			if err = storage.Explain(err, false); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// TestDriveSaysThatTheDayIsUsedUp, at once, and a full Drive is not taken for it.
func TestDriveSaysThatTheDayIsUsedUp(t *testing.T) {
	for name, c := range map[string]struct {
		options drivetest.Options
		fault   drivetest.Fault
		day     bool
	}{
		"the day's limit": {options: drivetest.Options{DailyUpload: 10}, day: true},
		"full":            {fault: drivetest.Refuse(drivetest.ErrStorageFull)},
	} {
		d := newDrive(t, c.options)
		f := d.open(t, storage.Remotes{"drive": d.remote("root_folder_id", d.root)}, "drive", "data")
		if c.fault != nil {
			d.Fail(drivetest.Rule{Fault: c.fault})
		}
		_, err := f.Put(d.ctx, "one", strings.NewReader("more than ten bytes"), 19)
		if err == nil || errors.Is(err, storage.ErrDay) != c.day {
			t.Errorf("%s: %v", name, err)
		}
	}
}
