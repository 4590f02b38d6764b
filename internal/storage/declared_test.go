package storage_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/storage"
)

// settings reads pairs of an option and its value.
func settings(pairs ...string) map[string]secret.Setting {
	all := map[string]secret.Setting{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = secret.ParseSetting(pairs[i+1])
	}
	return all
}

// texts are options as fleet.yaml has them.
func texts(options map[string]secret.Setting) map[string]string {
	all := map[string]string{}
	for name, setting := range options {
		all[name] = setting.String()
	}
	return all
}

// TestForHost takes the most narrow credential, with which no secret of the remote's own
// is given.
func TestForHost(t *testing.T) {
	t.Parallel()
	r := fleet.Remote{
		Name: "nas", Type: "webdav", Options: settings("url", "https://nas.example", "user", "ann", "pass", "secret:nas"),
		Hosts:  map[string]fleet.Credential{"alpha": settings("bearer_token", "secret:alpha")},
		Stacks: map[string]fleet.Credential{"notes": settings("user", "notes", "pass", "secret:notes")},
	}
	for name, test := range map[string]struct {
		host, stack string
		want        map[string]string
	}{
		"the operators'": {"beta", "web", map[string]string{"url": "https://nas.example", "user": "ann", "pass": "secret:nas"}},
		"the host's":     {"alpha", "web", map[string]string{"url": "https://nas.example", "user": "ann", "bearer_token": "secret:alpha"}},
		"the stack's":    {"alpha", "notes", map[string]string{"url": "https://nas.example", "user": "notes", "pass": "secret:notes"}},
	} {
		got := storage.ForHost(r, test.host, test.stack)
		if diff := cmp.Diff(test.want, texts(got.Options)); diff != "" || got.Hosts != nil || got.Stacks != nil {
			t.Errorf("%s: %s, others' %v %v", name, diff, got.Hosts, got.Stacks)
		}
	}
	if diff := cmp.Diff(map[string]string{"url": "https://nas.example", "user": "ann", "pass": "secret:nas"}, texts(r.Options)); diff != "" {
		t.Errorf("the declared remote changed: %s", diff)
	}
	var to []string
	for _, c := range storage.HostCredentials(r) {
		to = append(to, c.To)
	}
	if diff := cmp.Diff([]string{"host alpha", "stack notes"}, to); diff != "" {
		t.Error(diff)
	}
}

// TestWithWrapped follows crypt remotes to those that they wrap, each once.
func TestWithWrapped(t *testing.T) {
	t.Parallel()
	f := &fleet.Fleet{Remotes: []fleet.Remote{
		{Name: "box", Type: "crypt", Options: settings("remote", "disk:below")},
		{Name: "disk", Type: "local"},
		{Name: "other", Type: "local", Options: settings("remote", "nas")},
		{Name: "nas", Type: "webdav"},
	}}
	var names []string
	for _, r := range storage.WithWrapped(f, []string{"box", "disk", "other", "gone"}) {
		names = append(names, r.Name)
	}
	if diff := cmp.Diff([]string{"box", "disk", "other"}, names); diff != "" {
		t.Error(diff)
	}
}

// TestUnresolved shows the references, and opens nothing.
func TestUnresolved(t *testing.T) {
	t.Parallel()
	got := storage.Unresolved(fleet.Remote{Type: "webdav", Options: settings("pass", "secret:nas")})
	if pass := got.Options["pass"]; got.Type != "webdav" || string(pass.Reveal()) != "secret:nas" {
		t.Errorf("%s %s", got.Type, pass.Reveal())
	}
}
