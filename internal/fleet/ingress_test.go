package fleet

import (
	"slices"
	"testing"

	"salvor/internal/secret"
)

// TestWhoPublishes: a host with a route of its own or of a stack that is placed there, once
// account and token are declared.
func TestWhoPublishes(t *testing.T) {
	t.Parallel()
	token := secret.ParseSetting("secret:cloudflare")
	f := Fleet{
		Hosts:   []Host{{Name: "alpha"}, {Name: "beta"}, {Name: "delta"}, {Name: "gamma"}},
		Ingress: Ingress{Provider: IngressCloudflare, Account: "a", Token: token, Routes: []HostRoute{{Host: "gamma"}}},
		Stacks:  []Stack{{Name: "blog"}, {Name: "notes", Publishes: true}, {Name: "torn", Broken: true}},
	}
	at := func(host string) Placement { return Placement{Host: host, Epoch: 1} }
	lock := Lock{Stacks: map[string]Placement{"blog": at("beta"), "notes": at("alpha"), "torn": at("delta")}}
	if got := f.Publishing(lock); !slices.Equal(got, []string{"alpha", "gamma"}) {
		t.Errorf("%v publish", got)
	}
	lock.Stacks["notes"] = at("beta")
	if got := f.Publishing(lock); !slices.Equal(got, []string{"beta", "gamma"}) {
		t.Errorf("after a move %v publish", got)
	}
	for _, stack := range []string{"torn", "gone"} {
		lock := Lock{Stacks: map[string]Placement{stack: at("delta")}}
		if f.Publishes(lock, "delta") {
			t.Errorf("a host that never published does, with %s", stack)
		}
		lock.Hosts = map[string]Placement{"delta": {Host: "delta", Images: map[string]string{"cloudflared": "c@sha256:a"}}}
		if !f.Publishes(lock, "delta") {
			t.Errorf("a host stops to publish because of %s", stack)
		}
	}
	for name, i := range map[string]Ingress{
		"no account":       {Provider: IngressCloudflare, Token: token},
		"no token":         {Provider: IngressCloudflare, Account: "a"},
		"another provider": {Provider: IngressDockFlare, Account: "a", Token: token},
	} {
		g := f
		g.Ingress = i
		if got := g.Publishing(lock); got != nil {
			t.Errorf("%s: %v publish", name, got)
		}
	}
	if !f.HasOwn(lock, f.Hosts[1]) || f.HasOwn(lock, f.Hosts[0]) {
		t.Error("a seal of its own is not that of a host that publishes")
	}
}
