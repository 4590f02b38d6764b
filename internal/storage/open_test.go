package storage_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/storage"
)

func TestCheck(t *testing.T) {
	const key = "ssh-ed25519 AAAA"
	for _, c := range []struct {
		name    string
		remotes storage.Remotes
		want    string // in the error, "" for none
	}{
		{"local", storage.Remotes{"disk": {Type: "local"}}, ""},
		{"drive", storage.Remotes{"drive": {Type: "drive", Options: options("root_folder_id", "x", "client_id", "x", "client_secret", "x", "token", "{}")}}, ""},
		{"drive by the shared client", storage.Remotes{"drive": {Type: "drive", Options: options("token", "{}")}}, "remote drive: it has no client_id of its own"},
		{"drive that no one has logged in to", storage.Remotes{"drive": {Type: "drive", Options: options("client_id", "x", "client_secret", "x")}}, "remote drive: it has no token"},
		{"a service account alone", storage.Remotes{"drive": {Type: "drive", Options: options("service_account_credentials", "{}")}}, "remote drive: a service account has no storage of its own"},
		{"a service account on a shared drive", storage.Remotes{"drive": {Type: "drive", Options: options("service_account_credentials", "{}", "team_drive", "x")}}, ""},
		{"unknown type", storage.Remotes{"disk": {Type: "webdaf"}}, `remote disk: unknown type "webdaf", did you mean "webdav"?`},
		{"type far from all", storage.Remotes{"disk": {Type: "quantumfloppy"}}, `remote disk: unknown type "quantumfloppy"`},
		{"unknown option", storage.Remotes{"drive": {Type: "drive", Options: options("root_folder", canary)}}, `remote drive: drive must not have the option "root_folder", did you mean "root_folder_id"?`},
		{"sftp with a pinned key", storage.Remotes{"nas": {Type: "sftp", Options: options("host", "h", "host_keys", key, "key_pem", canary)}}, ""},
		{"sftp unpinned", storage.Remotes{"nas": {Type: "sftp", Options: options("host", "h")}}, "remote nas: the server's host key is not pinned"},
		{"sftp trusting", storage.Remotes{"nas": {Type: "sftp", Options: options("host_keys", key, "pin_host_key", "true")}}, `must not have the option "pin_host_key"`},
		{"sftp by a program", storage.Remotes{"nas": {Type: "sftp", Options: options("host_keys", key, "ssh", "sh -c id")}}, `must not have the option "ssh"`},
		{"crypt", storage.Remotes{"disk": {Type: "local"}, "c": {Type: "crypt", Options: options("remote", "disk:/x")}}, ""},
		{"crypt around nothing", storage.Remotes{"disk": {Type: "local"}, "c": {Type: "crypt", Options: options("remote", "disc:/x")}}, `did you mean "disk"?`},
		{"crypt around itself", storage.Remotes{"c": {Type: "crypt", Options: options("remote", "d:")}, "d": {Type: "crypt", Options: options("remote", "c:")}}, "wraps itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.remotes.Check()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("Check() = %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("an option's value is shown: %v", err)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	remotes := storage.Remotes{"disk": {Type: "local"}}
	for name, where := range map[string]fleet.Location{
		"an undeclared remote": {Remote: "tape", Path: "/x"}, "a file": {Remote: "disk", Path: file},
	} {
		if _, err := storage.Open(t.Context(), remotes, where); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
}

func TestLocalPathsCountFromTheRoot(t *testing.T) {
	dir := t.TempDir()
	f := open(t, storage.Remotes{"disk": {Type: "local"}}, "disk", strings.TrimPrefix(dir, "/"))
	if _, err := f.Put(t.Context(), "x", strings.NewReader("1"), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); err != nil {
		t.Error(err)
	}
}

// stderrOf returns what do wrote to the process's standard error.
func stderrOf(t *testing.T, do func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stderr
	os.Stderr = w
	written := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		written <- string(b)
	}()
	do()
	os.Stderr = old
	_ = w.Close()
	return <-written
}

// everything opens a folder and calls all of it, returning the errors' texts.
func everything(t *testing.T, remotes storage.Remotes, name string) (texts string, reached error) {
	t.Helper()
	f, err := storage.Open(t.Context(), remotes, fleet.Location{Remote: name, Path: "folder"})
	if err != nil {
		return fmt.Sprintf("%v %+v %#v", err, err, err), err
	}
	defer f.Close(t.Context())
	_, putErr := f.Put(t.Context(), "a", strings.NewReader("x"), 1)
	_, getErr := f.Get(t.Context(), "a", 0, -1)
	_, listErr := f.List(t.Context(), "")
	reached = f.Test(t.Context())
	for _, err := range []error{putErr, getErr, listErr, reached} {
		if err == nil {
			t.Error("a remote that lets nobody in was used")
		}
		texts += fmt.Sprintf("%v %+v\n", err, err)
	}
	return texts, reached
}

func TestWrongPasswordIsNeverShown(t *testing.T) {
	key, public := newHostKey(t)
	wrong := secret.NewString("wrong-" + canary)
	dav, ssh := webdavRemote(webdavServer(t)), sftpRemote(sftpServer(t, key), public)
	dav.Options["pass"], ssh.Options["pass"] = wrong, wrong
	inURL := webdavRemote(strings.Replace(string(dav.Options["url"].Reveal()), "://", "://u:wrong-"+canary[:14]+"@", 1))
	delete(inURL.Options, "pass")
	remotes := storage.Remotes{"dav": dav, "ssh": ssh, "inurl": inURL}
	for name := range remotes {
		t.Run(name, func(t *testing.T) {
			var texts string
			var reached error
			logged := stderrOf(t, func() { texts, reached = everything(t, remotes, name) })
			if strings.Contains(texts+logged, "hunter2") {
				t.Errorf("the password is shown:\n%s%s", texts, logged)
			}
			if logged != "" {
				t.Errorf("rclone wrote to stderr: %s", logged)
			}
			if !strings.Contains(texts, name+":") || !errors.Is(reached, storage.ErrUnreachable) && !strings.Contains(texts, "open ") {
				t.Errorf("want the remote's name and ErrUnreachable:\n%s", texts)
			}
		})
	}
}

func TestSFTPHostKeyIsVerified(t *testing.T) {
	key, public := newHostKey(t)
	_, other := newHostKey(t)
	address := sftpServer(t, key)
	good := storage.Remotes{"nas": sftpRemote(address, public)}
	if err := open(t, good, "nas", "x").Test(t.Context()); err != nil {
		t.Errorf("the right key: %v", err)
	}
	bad := storage.Remotes{"nas": sftpRemote(address, other)}
	f, err := storage.Open(t.Context(), bad, fleet.Location{Remote: "nas", Path: "x"})
	if err == nil {
		err = f.Test(t.Context())
		_ = f.Close(t.Context())
	}
	if err == nil || !strings.Contains(err.Error(), "host key") {
		t.Errorf("another host key: %v, want it refused", err)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	const closed = "127.0.0.1:1"                    // a port that no other test is given
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	_, public := newHostKey(t)
	for name, remote := range map[string]storage.Remote{
		"webdav, nobody listens": webdavRemote("http://" + closed), "sftp, nobody listens": sftpRemote(closed, public),
		"webdav, no answer": webdavRemote("http://" + silent.Addr().String()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			f, err := storage.Open(ctx, storage.Remotes{"far": remote}, fleet.Location{Remote: "far"})
			if err == nil {
				_, err = f.List(ctx, "")
				if testErr := f.Test(ctx); !errors.Is(testErr, storage.ErrUnreachable) {
					t.Errorf("Test says %v, want ErrUnreachable", testErr)
				}
				_ = f.Close(t.Context())
			}
			if !errors.Is(err, storage.ErrUnreachable) {
				t.Errorf("%v, want ErrUnreachable", err)
			}
		})
	}
}

func TestReachable(t *testing.T) {
	f := open(t, storage.Remotes{"disk": {Type: "local"}}, "disk", filepath.Join(t.TempDir(), "not yet"))
	if err := f.Test(t.Context()); err != nil {
		t.Errorf("a folder that does not exist yet: %v", err)
	}
}
