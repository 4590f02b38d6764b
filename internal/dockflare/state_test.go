package dockflare

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReadState: of the present form and of the early one, with groups as text, list and policy.
func TestReadState(t *testing.T) {
	t.Parallel()
	want := State{Rules: []StateRule{
		{Hostname: "a.example.com", Tunnel: "home", Manual: true, Groups: []string{"family"}},
		{Hostname: "b.example.com", Path: "/x", Manual: true, Groups: []string{"one", "two"}},
		{Hostname: "c.example.com", Overruled: true, Groups: []string{"authenticated-default"}},
		{Hostname: "d.example.com", Manual: true, OfZone: true},
		{Hostname: "e.example.com", Manual: true, Groups: []string{"bypass"}},
	}}
	const rules = `{
		"a.example.com": {"status": "active", "source": "manual", "tunnel_name": "home", "access_group_id": "family", "access_policy_type": "group"},
		"b.example.com|/x": {"status": "active", "source": "manual", "access_group_id": ["one", "two"], "delete_at": null},
		"c.example.com|": {"hostname": "c.example.com", "path": null, "status": "active", "source": "docker", "access_policy_ui_override": true, "access_policy_type": "authenticate", "access_group_id": null},
		"d.example.com": {"status": "active", "source": "manual", "access_policy_type": "default_tld", "access_group_id": ""},
		"e.example.com": {"status": "active", "source": "manual", "access_policy_type": "bypass"},
		"gone.example.com": {"status": "pending_deletion", "source": "manual"}}`
	for _, content := range []string{rules, `{"managed_rules": ` + rules + `, "agents": {"x": {"api_key": "hunter2"}}}`} {
		got, err := ReadState([]byte(content))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
		if got.tunnel() != "home" {
			t.Errorf("the tunnel %q", got.tunnel())
		}
	}
	if r, is := want.of("B.example.com", "x/"); !is || r.Path != "/x" {
		t.Errorf("%+v", r)
	}
	for _, bad := range []string{"", "[]", `{"a": 1}`, `{"managed_rules": []}`} {
		if _, err := ReadState([]byte(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

// FuzzState: whatever a file says, it is read or refused, and each rule has a place in it.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"managed_rules": {"a.b|/x": {"status": "active", "access_group_id": ["x"]}}}`))
	f.Add([]byte(`{"a.b": {"status": "active", "source": "manual", "access_group_id": "x"}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := ReadState(content)
		if err != nil && len(s.Rules) > 0 {
			t.Errorf("%+v with %v", s, err)
		}
		for _, r := range s.Rules {
			if _, is := s.of(r.Hostname, r.Path); !is {
				t.Errorf("%+v is not found", r)
			}
		}
	})
}
