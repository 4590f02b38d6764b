package check

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/project"
	"salvor/internal/route"
)

// TestDockFlaresTokenShows, which no setting of it changes.
func TestDockFlaresTokenShows(t *testing.T) {
	t.Parallel()
	repo := declaring(t, map[string]string{"fleet.yaml": "schema: 1\nfleet: home\ningress:\n  provider: dockflare\n"})
	want := []string{"warning secret-exposed fleet.yaml:4:13: DockFlare starts cloudflared with the tunnel's token as an argument: docker inspect and ps show it on its host " +
		"(have Salvor publish, whose connector reads it from a file: salvor route adopt; or take those who must not have it out of the group docker there)"}
	if diff := cmp.Diff(want, lines(Findings(repo, kept{}, nil))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	routed := declaring(t, map[string]string{
		"fleet.yaml":                "schema: 1\nfleet: home\nhosts: {alpha: {address: 192.0.2.1}}\ningress:\n  provider: dockflare\n  routes:\n    - {hostname: nas.example.com, service: \"http://nas\", host: alpha}\n",
		"stacks/notes/compose.yaml": "x-salvor:\n  routes:\n    - {service: web, port: 80, hostname: a.example.com}\nservices: {web: {image: nginx}}\n",
	})
	want = append(want[:0], "warning route-closed fleet.yaml:7:18: nas.example.com is not published: DockFlare reads labels alone (make it in DockFlare, as a rule by hand)",
		"warning route-closed stacks/notes/compose.yaml:3:42: a.example.com is not published: DockFlare reads labels alone (declare it with labels of web)")
	if diff := cmp.Diff(want, lines(Findings(routed, kept{}, nil))[1:]); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	none := declaring(t, map[string]string{"fleet.yaml": "schema: 1\nfleet: home\ningress: {provider: none}\n"})
	if found := lines(Findings(none, kept{}, nil)); found != nil {
		t.Errorf("%q", found)
	}
}

// TestHostnamesThatNothingPublishes: until fleet.yaml has the account and a token.
func TestHostnamesThatNothingPublishes(t *testing.T) {
	t.Parallel()
	const nas = "  routes: [{hostname: nas.example.com, service: \"http://192.0.2.5\", host: alpha}]\n"
	stacks := map[string]project.Rendered{"notes": {Project: project.Project{Routes: []route.Route{{Hostname: "app.example.com"}}}}}
	for name, c := range map[string]struct {
		ingress string
		stacks  map[string]project.Rendered
		missing string
	}{
		"neither":            {nas, nil, "no ingress.account and no ingress.token"},
		"of a stack":         {"  token: secret:cloudflare\n", stacks, "no ingress.account"},
		"no token":           {"  account: 0a1b2c3d4e5f60718293a4b5c6d7e8f9\n" + nas, nil, "no ingress.token"},
		"both":               {"  account: 0a1b2c3d4e5f60718293a4b5c6d7e8f9\n  token: secret:cloudflare\n" + nas, stacks, ""},
		"nothing to publish": {"", nil, ""},
	} {
		repo := declaring(t, map[string]string{"fleet.yaml": "schema: 1\nfleet: home\nhosts: {alpha: {address: 192.0.2.1}}\ningress:\n  provider: cloudflare\n" + c.ingress})
		var want []string
		if c.missing != "" {
			want = []string{"warning ingress-unset fleet.yaml:5:13: hostnames are declared and not published: it has " + c.missing + " (salvor secret set cloudflare, then ingress: {account: ID, token: secret:cloudflare})"}
		}
		if diff := cmp.Diff(want, lines(Findings(repo, kept{}, c.stacks))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}
