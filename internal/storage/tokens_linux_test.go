package storage_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"salvor/internal/fleet"
	"salvor/internal/memdir"
	"salvor/internal/secret"
	"salvor/internal/storage"
	"salvor/internal/storage/drivetest"
)

var expiry = regexp.MustCompile(`"expiry":"[^"]*"`)

func expired(token string) string {
	return expiry.ReplaceAllString(token, `"expiry":"2020-01-01T00:00:00Z"`)
}

// TestAnAccessTokenIsShared: those who open a remote at once ask for one token in an hour,
// and what is written down is for this user alone and without the refresh token.
func TestAnAccessTokenIsShared(t *testing.T) {
	d := newDrive(t, drivetest.Options{})
	dir, err := memdir.New(memdir.Usual()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = memdir.Remove(dir) })
	tokens := storage.Tokens(filepath.Join(dir, "tokens"))
	r := d.remote("root_folder_id", d.root)
	r.Options["token"] = secret.NewString(expired(string(r.Options["token"].Reveal())))
	for hour := range 2 {
		before := d.Counts()[drivetest.Token]
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				f, err := storage.Computer{Tokens: tokens}.Open(d.ctx, storage.Remotes{"drive": r}, fleet.Location{Remote: "drive", Path: "x"})
				if err == nil {
					err = errors.Join(f.Test(d.ctx), f.Close(d.ctx))
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if asked := d.Counts()[drivetest.Token] - before; asked != 1 {
			t.Errorf("hour %d: %d tokens were asked for", hour, asked)
		}
		files, err := filepath.Glob(filepath.Join(string(tokens), "*.json"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%v, %v", files, err)
		}
		info, err := os.Stat(files[0])
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		content, err := os.ReadFile(files[0])
		if err != nil || strings.Contains(string(content), "1//0") {
			t.Errorf("%s, %v", content, err)
		}
		if err := os.WriteFile(files[0], []byte(expired(string(content))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTokensAreNotSharedOnADisk: everyone asks for a token of their own then.
func TestTokensAreNotSharedOnADisk(t *testing.T) {
	d := newDrive(t, drivetest.Options{})
	dir, err := os.MkdirTemp(".", "tokens-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := d.remote("root_folder_id", d.root)
	r.Options["token"] = secret.NewString(expired(string(r.Options["token"].Reveal())))
	f, err := storage.Computer{Tokens: storage.Tokens(dir)}.Open(d.ctx, storage.Remotes{"drive": r}, fleet.Location{Remote: "drive"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Test(d.ctx), f.Close(d.ctx)); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// TestARevokedGrantNamesItsRemote, also through a crypt remote, and never its tokens.
func TestARevokedGrantNamesItsRemote(t *testing.T) {
	d := newDrive(t, drivetest.Options{})
	remotes := storage.Remotes{
		"drive":  d.remote("root_folder_id", d.root),
		"sealed": {Type: "crypt", Options: options("remote", "drive:sealed", "password", canary)},
	}
	d.RevokeAll(olga)
	for _, name := range []string{"drive", "sealed"} {
		f, err := storage.Open(d.ctx, remotes, fleet.Location{Remote: name, Path: "x"})
		if err == nil {
			err = errors.Join(f.Test(d.ctx), f.Close(d.ctx))
		}
		denied := new(storage.Denied)
		if !errors.As(err, &denied) || denied.Remote != "drive" || !errors.Is(err, storage.ErrLogin) || !errors.Is(err, storage.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
		if text := err.Error(); strings.Contains(text, "ya29") || strings.Contains(text, "rclone") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// TestAFullDriveSaysWhatIsNeeded, and what is free.
func TestAFullDriveSaysWhatIsNeeded(t *testing.T) {
	d := newDrive(t, drivetest.Options{})
	d.SetLimit(olga, 1000)
	f := d.open(t, storage.Remotes{"drive": d.remote("root_folder_id", d.root)}, "drive", "x")
	must(t, f, "small", strings.Repeat("x", 400))
	_, err := f.Put(t.Context(), "large", strings.NewReader(strings.Repeat("x", 2048)), 2048)
	if !errors.Is(err, storage.ErrFull) || !strings.HasSuffix(err.Error(), "the remote is full: 2.0 KiB are needed, 600 B are free") {
		t.Error(err)
	}
	room, err := f.Room(t.Context())
	if err != nil || *room.Used != 400 || *room.Free != 600 || *room.Total != 1000 {
		t.Errorf("%+v, %v", room, err)
	}
	speed, err := f.Measure(t.Context())
	if !errors.Is(err, storage.ErrFull) {
		t.Errorf("%+v, %v", speed, err)
	}
	d.SetLimit(olga, 0)
	if speed, err = f.Measure(t.Context()); err != nil || speed.Up <= 0 || speed.Down <= 0 {
		t.Errorf("%+v, %v", speed, err)
	}
	if left, err := f.List(t.Context(), ""); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}
