package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/confirmation"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/secret"
)

// approveAll is an operator who says yes to everything.
func approveAll(confirmation.Approval) error { return nil }

var errNo = errors.New("no")

// askedBy opens the newest commit for an operator who notes what they are asked and
// answers with err; nil means that no one can be asked.
func (k *keyed) askedBy(approve func(confirmation.Approval) error) *App {
	k.t.Helper()
	a, err := Open(k.t.Context(), Options{Dir: k.dir, Identity: k.ann, Sink: progress.Discard(), Work: quickWork, Approve: approve})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = a.Close() })
	return a
}

func remote(kind string, pairs ...string) fleet.Remote {
	r := fleet.Remote{Name: "nas", Type: kind, Options: map[string]secret.Setting{}}
	for i := 0; i < len(pairs); i += 2 {
		r.Options[pairs[i]] = secret.ParseSetting(pairs[i+1])
	}
	return r
}

// TestS01ARemoteIsApproved asks once for where a remote goes and what it is given,
// and again when that changes.
func TestS01ARemoteIsApproved(t *testing.T) {
	k := newKeyed(t)
	home := remote("webdav", "url", "https://nas.example.net", "user", "x", "pass", "secret:nas_password")
	if err := k.askedBy(nil).Confirmed.AllowRemote(t.Context(), home); !errors.Is(err, confirmation.ErrUnapproved) {
		t.Fatalf("where nobody can be asked: %v", err)
	}
	var asked []confirmation.Approval
	answer := errNo
	a := k.askedBy(func(q confirmation.Approval) error { asked = append(asked, q); return answer })
	if err := a.Confirmed.AllowRemote(t.Context(), home); !errors.Is(err, errNo) {
		t.Fatalf("refused: %v", err)
	}
	answer = nil
	for range 2 {
		if err := a.Confirmed.AllowRemote(t.Context(), home); err != nil {
			t.Fatal(err)
		}
	}
	tuned := remote("webdav", "url", "https://nas.example.net", "user", "x", "pass", "secret:nas_password", "pacer_min_sleep", "1s")
	if err := a.Confirmed.AllowRemote(t.Context(), tuned); err != nil || len(asked) != 2 {
		t.Fatalf("%v, asked %v: want once refused and once allowed", err, asked)
	}
	answer = errNo
	for name, changed := range map[string]fleet.Remote{
		"address": remote("webdav", "url", "https://evil.example", "user", "x", "pass", "secret:nas_password"),
		"secret":  remote("webdav", "url", "https://nas.example.net", "user", "x", "pass", "secret:db_password"),
		"another": remote("webdav", "url", "https://nas.example.net", "user", "x", "pass", "secret:nas_password", "bearer_token", "secret:db_password"),
		"kind":    remote("s3", "url", "https://nas.example.net", "user", "x", "pass", "secret:nas_password"),
	} {
		asked = nil
		if err := a.Confirmed.AllowRemote(t.Context(), changed); !errors.Is(err, errNo) || len(asked) != 1 ||
			!strings.Contains(asked[0].Question, "the remote nas now goes to "+changed.Type) || !strings.Contains(asked[0].Question, "before: webdav") {
			t.Errorf("another %s: %v, asked %v", name, err, asked)
		}
	}
}

// TestS01NothingIsSentUnasked opens the record, seals and makes the card without
// anyone who could approve the remote.
func TestS01NothingIsSentUnasked(t *testing.T) {
	k := newKeyed(t)
	a := k.askedBy(nil)
	approvals, err := a.Checkout.Git.OwnFile(t.Context(), "remotes")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(approvals); err != nil {
		t.Fatal(err) // what the fleet was made with
	}
	if _, err := a.Record.Epoch(t.Context(), "notes"); !errors.Is(err, confirmation.ErrUnapproved) {
		t.Errorf("the record: %v", err)
	}
	if _, err := a.Mirrors.Card(t.Context()); !errors.Is(err, confirmation.ErrUnapproved) {
		t.Errorf("the card: %v", err)
	}
	for _, r := range a.Checkout.Fleet.Remotes {
		if _, err := a.sealer().Remote(t.Context(), r); !errors.Is(err, confirmation.ErrUnapproved) {
			t.Errorf("the seal: %v", err)
		}
	}
}

// TestS06TheFleetsKeysAreDeliveredNowhere: by name, under another name, or to a
// remote.
func TestS06TheFleetsKeysAreDeliveredNowhere(t *testing.T) {
	k := newKeyed(t)
	k.do(func(a *App) error { _, err := a.Keys.PrepareSSHKey().Run(t.Context(), nil); return err })
	a := k.askedBy(approveAll)
	for _, deliver := range []func(*App) error{
		func(a *App) error {
			_, err := a.Needs.Store().DeliverFile(t.Context(), "secrets/fleet_ssh_key")
			return err
		},
		func(a *App) error {
			_, err := a.sealer().Remote(t.Context(), remote("webdav", "pass", "secret:fleet_ssh_key"))
			return err
		},
		func(a *App) error {
			_, err := a.sealer().Login(t.Context(), fleet.Registry{Name: "r", Username: secret.ParseSetting("u"), Password: secret.ParseSetting("secret:fleet_ssh_key")})
			return err
		},
		func(a *App) error { // anyone who can push can copy what they can't read
			content, err := a.Needs.File("secrets/fleet_ssh_key")
			if err != nil {
				return err
			}
			_, err = a.Needs.Over(map[string][]byte{"secrets/innocent": content}).Store().DeliverFile(t.Context(), "secrets/innocent")
			return err
		},
	} {
		if err := deliver(a); err == nil || !strings.Contains(err.Error(), "stays with the operators") {
			t.Errorf("delivered: %v", err)
		}
	}
}

// TestS16AnApprovalIsOfWhatRuns changes a script that was approved, and what PATH
// leads to.
func TestS16AnApprovalIsOfWhatRuns(t *testing.T) {
	k := newKeyed(t)
	bin := t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	write := func(path, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script, safe := filepath.Join(k.dir, "scripts", "get.sh"), filepath.Join(bin, "safe")
	write(safe, "#!/bin/sh\n")
	t.Setenv("HOME", filepath.Dir(k.dir))
	fleet := filepath.Base(k.dir)
	write(filepath.Join(k.dir, "tools", "Makefile"), "")
	if err := os.Symlink("../scripts", filepath.Join(k.dir, "tools", "lib")); err != nil {
		t.Fatal(err)
	}
	asked := 0
	a := k.askedBy(func(confirmation.Approval) error { asked++; return nil })
	for name, c := range map[string]struct {
		argv   []string
		inRepo bool // it runs in the repository
		other  bool // what it names is there, though it runs at home
	}{
		"from home":            {[]string{"sh", fleet + "/scripts/get.sh"}, false, true},
		"by ~":                 {[]string{"sh", "-c", "~/" + fleet + "/scripts/get.sh"}, false, true},
		"by HOME":              {[]string{"sh", "-c", "${HOME}/" + fleet + "/scripts/get.sh"}, false, true},
		"after a cd":           {[]string{"sh", "-c", "cd ~/" + fleet + "; make"}, false, true},
		"by a linked folder":   {[]string{"safe", "-C", "tools"}, true, false},
		"the script itself":    {[]string{"./scripts/get.sh"}, true, false},
		"by its whole path":    {[]string{script}, true, false},
		"as an argument":       {[]string{"sh", "scripts/get.sh"}, true, false},
		"behind an option":     {[]string{"safe", "--with=scripts/get.sh"}, true, false},
		"in a line for sh":     {[]string{"sh", "-c", "echo; . scripts/get.sh"}, true, false},
		"its folder":           {[]string{"safe", "scripts"}, true, false},
		"by a line with globs": {[]string{"sh", "-c", "cd scripts && ./g*"}, true, false},
		"nothing of it":        {[]string{"safe", "nas"}, false, false},
	} {
		write(script, "#!/bin/sh\necho "+name)
		asked = 0
		for range 2 {
			dir, err := a.Confirmed.AllowProgram(t.Context(), "nas", c.argv)
			if err != nil || (dir == a.Checkout.Root) != c.inRepo {
				t.Fatalf("%s: runs in %s, %v", name, dir, err)
			}
		}
		if asked != 1 {
			t.Errorf("%s: asked %d times for one thing", name, asked)
		}
		write(script, "#!/bin/sh\ntouch PWNED "+name)
		if _, err := a.Confirmed.AllowProgram(t.Context(), "nas", c.argv); err != nil || (asked == 2) != (c.inRepo || c.other) {
			t.Errorf("%s: asked %d times after the script changed: %v", name, asked, err)
		}
		if _, err := k.askedBy(nil).Confirmed.AllowProgram(t.Context(), "other", append(c.argv, "more")); !errors.Is(err, confirmation.ErrUnapproved) {
			t.Errorf("%s: where nobody can be asked: %v", name, err)
		}
	}
	earlier := t.TempDir()
	write(filepath.Join(earlier, "safe"), "#!/bin/sh\n")
	t.Setenv("PATH", earlier+":"+os.Getenv("PATH"))
	asked = 0
	if _, err := a.Confirmed.AllowProgram(t.Context(), "nas", []string{"safe", "nas"}); err != nil || asked != 1 {
		t.Errorf("another program of that name: asked %d times, %v", asked, err)
	}
}
