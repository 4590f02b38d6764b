package rendering

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/controlrepo"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/route"
)

// published renders stacks of a fleet with an ingress.
func published(t *testing.T, ingress string, stacks map[string]string) (map[string]project.Rendered, []finding.Finding, *controlrepo.Repository) {
	t.Helper()
	files := map[string]string{}
	for name, content := range stacks {
		files["stacks/"+name+"/compose.yaml"] = content
	}
	s := source(t, files)
	content, err := os.ReadFile(filepath.Join(s.Dir, fleet.File))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, fleet.File), append(content, ingress...), 0o644); err != nil {
		t.Fatal(err)
	}
	if s.Repository, err = controlrepo.Load(s.Dir, ""); err != nil {
		t.Fatal(err)
	}
	rendered, found, err := Stacks(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return rendered, found, s.Repository
}

const withFamily = `ingress:
  provider: cloudflare
  access:
    family: {emails: [ann@example.com]}
  routes:
    - {hostname: nas.example.com, service: "https://192.168.1.5:5001", host: alpha, access: family, no_tls_verify: true}
`

// TestRoutesOfCompose: labels, as a mapping and as a list, and x-salvor.routes become routes
// with their places; what is wrong is a finding and stops no deploy.
func TestRoutesOfCompose(t *testing.T) {
	t.Parallel()
	rendered, found, repo := published(t, withFamily, map[string]string{"notes": `x-salvor:
  host: alpha
  routes:
    - {service: api, port: 8080, hostname: API.example.com, access: [family]}
    - {service: api, hostname: other.example.com}
    - {service: wbe, port: 80, hostname: third.example.com}
services:
  api: {image: "nginx:1"}
  off: {image: "nginx:1", profiles: [off], labels: {dockflare.enable: "true", dockflare.hostname: off.example.com}}
  raw: {image: "nginx:1", network_mode: host}
  web:
    image: nginx:1
    labels:
      - dockflare.enable=true
      - dockflare.hostname=notes.example.com
      - dockflare.service=http://web:80
      - dockflare.acess.group=family
      - dockflare.0.hostname=public.example.com
      - dockflare.0.access.policy=bypass
`})
	stack, is := rendered["notes"]
	if !is {
		t.Fatalf("it does not load: %+v", found)
	}
	got := map[string]string{}
	for _, r := range stack.Project.Routes {
		got[r.Hostname] = r.Service + " of " + r.Of + " at " + r.Position + " " + r.Closed
	}
	want := map[string]string{
		"api.example.com":    "http://api.notes.salvor:8080 of api at stacks/notes/compose.yaml:4:44 ",
		"notes.example.com":  "http://web:80 of web at stacks/notes/compose.yaml:15:9 dockflare.acess.group asks for protection, and nothing says who may in: add an access group or access.policy",
		"public.example.com": "http://web:80 of web at stacks/notes/compose.yaml:18:9 ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var texts []string
	for _, f := range found {
		if f.Severity == finding.Fatal {
			t.Errorf("%s", f)
		}
		texts = append(texts, f.String())
	}
	all := strings.Join(texts, "\n")
	for _, part := range []string{
		"stacks/notes/compose.yaml:5:32: other.example.com is not published: it has no port",
		`third.example.com is not published: no service "wbe" starts, did you mean "web"?`,
		"stacks/notes/compose.yaml:17:9: dockflare.acess.group: the label is not known [label-ignored]",
	} {
		if !strings.Contains(all, part) {
			t.Errorf("no finding says %s:\n%s", part, all)
		}
	}
	if len(stack.Unused) == 0 || stack.Unused[0].Place != "stacks/notes/compose.yaml:9:53" {
		t.Errorf("%+v", stack.Unused)
	}
	compose := string(stack.Project.Compose)
	for _, part := range []string{"api.notes.salvor", "cloudflare-net:", "default:"} {
		if !strings.Contains(compose, part) {
			t.Errorf("the project lacks %s:\n%s", part, compose)
		}
	}
	if r := repo.Fleet.Ingress.RoutesOf("alpha").Routes; len(r) != 1 || !r[0].Origin.NoTLSVerify || !r[0].Access.Protects() || r[0].Position != "fleet.yaml:10:18" {
		t.Errorf("%+v", r)
	}
}

// TestRoutesThatLeadNowhere: a service that labels lead to by its own name has to be in the
// connector's network, and localhost is the connector's.
func TestRoutesThatLeadNowhere(t *testing.T) {
	t.Parallel()
	const labels = "labels: {dockflare.enable: \"1\", dockflare.hostname: a.example.com, dockflare.service: \"http://%s:80\"}"
	for name, c := range map[string]struct{ service, leads, want string }{
		"outside":         {"", "web", "a.example.com leads to web, which is not in the network cloudflare-net, where connectors reach services [route-unreached]"},
		"by another name": {"container_name: Site, ", "site", "a.example.com leads to web, which is not in the network cloudflare-net, where connectors reach services [route-unreached]"},
		"the host's":      {"network_mode: host, ", "web", "a.example.com leads to web, which is not in the network cloudflare-net, where connectors reach services [route-unreached]"},
		"localhost":       {"network_mode: host, ", "localhost", "a.example.com leads to localhost, which is the connector's own container [route-unreached]"},
		"inside":          {"networks: [edge], ", "web", ""},
		"by declaration":  {"", "web", ""},
		"the host":        {"network_mode: host, ", "host.docker.internal", ""},
		"another's name":  {"", "proxy", ""},
	} {
		compose := "x-salvor:\n  host: alpha\n"
		if name == "by declaration" {
			compose += "  routes: [{service: web, port: 80, hostname: b.example.com}]\n"
		}
		compose += "services:\n  web: {image: \"nginx:1\", " + c.service + fmt.Sprintf(labels, c.leads) + "}\nnetworks: {edge: {name: cloudflare-net, external: true}}\n"
		_, found, _ := published(t, "ingress: {provider: cloudflare}\n", map[string]string{"notes": compose})
		var got []string
		for _, f := range found {
			if f.Code == finding.RouteUnreached {
				got = append(got, strings.TrimPrefix(f.String(), "stacks/notes/compose.yaml:"))
			}
		}
		if text := strings.Join(got, "; "); !strings.HasSuffix(text, c.want) || (text == "") != (c.want == "") {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// TestRoutesBelongToOneStack: a second claimant is named, also one on another host.
func TestRoutesBelongToOneStack(t *testing.T) {
	t.Parallel()
	labelled := func(hostname string) string {
		return "x-salvor: {host: alpha}\nservices:\n  web: {image: \"nginx:1\", labels: {dockflare.enable: \"1\", dockflare.service: \"http://web:80\", dockflare.hostname: " + hostname + "}}\n"
	}
	rendered, found, _ := published(t, withFamily, map[string]string{"a": labelled("x.example.com"), "b": labelled("X.example.com"), "c": labelled("nas.example.com")})
	var taken []string
	for _, f := range found {
		if f.Code == finding.RouteTaken {
			taken = append(taken, f.Subject+": "+f.Text)
		}
	}
	want := []string{
		"stacks/b/compose.yaml:3:95: x.example.com is declared by a, too (stacks/a/compose.yaml:3:95): the one that has it keeps it, else a gets it",
		"stacks/c/compose.yaml:3:95: nas.example.com is declared by host.alpha, too (fleet.yaml:10:18): the one that has it keeps it, else host.alpha gets it",
	}
	if diff := cmp.Diff(want, taken); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for stack, claimants := range map[string][]string{"a": {"a", "b"}, "b": {"a", "b"}, "c": {"host.alpha", "c"}} {
		if diff := cmp.Diff(claimants, rendered[stack].Project.Routes[0].Claimants); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", stack, diff)
		}
	}
}

// TestLabelsStayLabels where no one, or DockFlare, publishes routes.
func TestLabelsStayLabels(t *testing.T) {
	t.Parallel()
	for _, ingress := range []string{"", "ingress: {provider: dockflare}\n", "ingress: {provider: none}\n"} {
		rendered, found, _ := published(t, ingress, map[string]string{"a": "x-salvor: {host: alpha}\nservices:\n  web: {image: \"nginx:1\", labels: {dockflare.enable: \"1\", dockflare.hostnam: a.example.com}}\n"})
		if len(rendered["a"].Project.Routes) > 0 || len(rendered["a"].Unused) > 0 || len(found) > 0 {
			t.Errorf("%q: %+v, %+v", ingress, rendered["a"], found)
		}
	}
}

// TestARouteIsNotOfTheProjectsHash: another access group changes no project.
func TestARouteIsNotOfTheProjectsHash(t *testing.T) {
	t.Parallel()
	stack := map[string]string{"a": "x-salvor: {host: alpha}\nservices:\n  web: {image: \"nginx:1\", labels: {dockflare.enable: \"1\", dockflare.service: \"http://web:80\", dockflare.hostname: a.example.com, dockflare.access.group: family}}\n"}
	one, _, _ := published(t, withFamily, stack)
	other, _, _ := published(t, strings.ReplaceAll(withFamily, "ann@", "bob@"), stack)
	if one["a"].Project.Hash != other["a"].Project.Hash {
		t.Error("the hashes differ")
	}
	email := func(r map[string]project.Rendered) route.Match {
		return r["a"].Project.Routes[0].Access.Policies[0].Include[0]
	}
	if email(one) == email(other) {
		t.Error("the routes are the same")
	}
}

// TestRenderedStacksPublish: the fleet has which of its stacks have routes.
func TestRenderedStacksPublish(t *testing.T) {
	t.Parallel()
	_, _, repo := published(t, withFamily, map[string]string{
		"plain":  "services:\n  web: {image: \"nginx:1\"}\n",
		"routes": "services:\n  web: {image: \"nginx:1\", labels: {dockflare.enable: \"1\", dockflare.service: \"http://web:80\", dockflare.hostname: a.example.com}}\n",
	})
	for _, st := range repo.Fleet.Stacks {
		if st.Publishes != (st.Name == "routes") {
			t.Errorf("%s publishes: %v", st.Name, st.Publishes)
		}
	}
}
