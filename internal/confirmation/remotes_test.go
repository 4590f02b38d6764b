package confirmation

import (
	"errors"
	"strings"
	"testing"

	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/lockfile"
	"salvor/internal/secret"
)

// remote is one called nas.
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
	t.Parallel()
	c := newClone(t)
	home := remote("webdav", "url", "https://nas.example.net", "user", "x", "pass", "secret:nas_password")
	if err := c.open(Options{}).AllowRemote(home); !errors.Is(err, ErrUnapproved) {
		t.Fatalf("where no one can be asked: %v", err)
	}
	var asked []Approval
	answer := errNo
	a := c.open(Options{Approve: func(q Approval) error { asked = append(asked, q); return answer }})
	if err := a.AllowRemote(home); !errors.Is(err, errNo) {
		t.Fatalf("refused: %v", err)
	}
	answer = nil
	for range 2 {
		if err := a.AllowRemote(home); err != nil {
			t.Fatal(err)
		}
	}
	tuned := remote("webdav", "url", "https://nas.example.net", "user", "x", "pass", "secret:nas_password", "pacer_min_sleep", "1s")
	if err := a.AllowRemote(tuned); err != nil || len(asked) != 2 {
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
		if err := a.AllowRemote(changed); !errors.Is(err, errNo) || len(asked) != 1 ||
			!strings.Contains(asked[0].Question, "the remote nas now goes to "+changed.Type) || !strings.Contains(asked[0].Question, "before: webdav") {
			t.Errorf("another %s: %v, asked %v", name, err, asked)
		}
	}
}

// TestS06ThePlanNamesWhereRemotesGo until it is confirmed, and again when it changes.
func TestS06ThePlanNamesWhereRemotesGo(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.confirmAll()
	c.push(map[string]string{
		lockfile.Name: `{"schema": 1, "stacks": {"notes": {"host": "alpha", "epoch": 1}}}` + "\n",
		fleet.File: c.config() + "remotes:\n  box: {type: crypt, remote: 'disk:/srv/disk', password: secret:box_password}\n  disk: {type: local}\n" +
			"data: {snapshots: [{name: offsite, remote: box, path: snapshots, every: 15m}]}\n",
	})
	listed := func() string {
		t.Helper()
		var text []string
		for _, g := range c.grants() {
			if strings.HasPrefix(g.Name, "remote/") {
				text = append(text, g.Name+": "+g.Text)
			}
		}
		return strings.Join(text, "\n")
	}
	if got := listed(); !strings.Contains(got, "remote/box: the remote box goes to crypt") || !strings.Contains(got, "the secret \"box_password\"") || !strings.Contains(got, "remote/disk: ") {
		t.Errorf("the plan lists %q", got)
	}
	confirm := func(approve func(Approval) error) error {
		now := c.open(Options{Approve: approve, Grant: func([]grant.Grant) error { return nil }})
		return now.ConfirmGrants(t.Context(), now.checkout.Lock)
	}
	if err := confirm(nil); !errors.Is(err, ErrUnapproved) {
		t.Errorf("confirmed by none: %v", err)
	}
	if err := confirm(func(Approval) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if got := listed(); got != "" {
		t.Errorf("confirmed, and the plan lists %s", got)
	}
	c.push(map[string]string{fleet.File: strings.Replace(c.config(), "secret:box_password", "secret:token", 1)})
	if got := listed(); !strings.Contains(got, "remote/box: the remote box now goes to crypt") || !strings.Contains(got, "the secret \"token\"") || strings.Contains(got, "remote/disk") {
		t.Errorf("the plan lists %q", got)
	}
}
