package controlrepo

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/route"
	"salvor/internal/yamldoc"
)

// ingressOf loads a fleet with these lines under ingress:.
func ingressOf(t *testing.T, lines string) (*Repository, error) {
	t.Helper()
	dir := t.TempDir()
	content := "schema: 1\nfleet: home\nhosts:\n  alpha: {address: 192.0.2.10, formerly: omega}\ningress:\n  provider: cloudflare\n" + lines
	if err := os.WriteFile(filepath.Join(dir, fleet.File), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return Load(dir, "")
}

// TestIngress: defaults, and the connector's network among those that hosts make.
func TestIngress(t *testing.T) {
	t.Parallel()
	repo, err := ingressOf(t, "  access:\n    family: {emails: [ann@example.com], ips: [192.0.2.1, 2001:db8::/32], session: 7d}\n  routes:\n    - {hostname: nas.example.com, service: \"http://10.0.0.5\", host: alpha, access: family}\n")
	if err != nil {
		t.Fatal(err)
	}
	i := repo.Fleet.Ingress
	if i.Network != defaultNetwork || i.Grace != 10*time.Minute || strings.Join(i.Access[0].IPs, " ") != "192.0.2.1/32 2001:db8::/32" || i.Settings().Groups["family"].Session != "168h" || i.Routes[0].Access[0] != "family" {
		t.Errorf("%+v", i)
	}
	if n := repo.Fleet.Networks; len(n) != 1 || n[0].Name != defaultNetwork || n[0].Driver != "bridge" {
		t.Errorf("%+v", n)
	}
}

// TestIngressProblems: what is wrong has its line.
func TestIngressProblems(t *testing.T) {
	t.Parallel()
	for lines, want := range map[string]string{
		"  access: {family: {}}\n":                                                 "fleet.yaml:7:12: ingress.access.family: it lets no one in",
		"  access: {family: {providers: [google]}}\n":                              "providers alone would let everyone in",
		"  access: {family: {bypass: true, emails: [a@b.c]}}\n":                    "bypass asks no one who they are",
		"  access: {bypass: {bypass: true}}\n":                                     "the name stands for everyone",
		"  access: {family: {emails: [ann]}}\n":                                    `"ann" is not an e-mail address`,
		"  access: {family: {emails: [a@b.c], countries: [ch]}}\n":                 `"ch" is not a country's two capitals`,
		"  access: {family: {emails: [a@b.c], ips: [10.0.0.1/8]}}\n":               "has bits beyond its mask",
		"  access: {family: {domains: [\"*.b.c\"]}}\n":                             "is not a domain",
		"  access: {family: {emials: [a@b.c]}}\n":                                  `unknown key "emials", did you mean "emails"?`,
		"  routes: [{hostname: a.b.c, service: \"http://x\", host: alhpa}]\n":      `host "alhpa" is not declared, did you mean "alpha"?`,
		"  routes: [{hostname: a.b.c, host: alpha}]\n":                             `has no "service"`,
		"  routes: [{hostname: a.b.c, service: x, host: alpha, access: []}]\n":     "is empty: name an access group",
		"  routes: [{hostname: a.b.c, service: x, host: alpha, access: {a: b}}]\n": "want a list",
		"  tunnels: {alpha: mine}\n":                                               `"mine" is not the id of a tunnel`,
		"  routes: [{hostname: a.b.c, service: \"http://x\", host: omega}]\n":      `host "omega" is not declared: it is called alpha now`,
		"  tunnels: {alhpa: 00000000-1111-2222-3333-444444444444}\n":               `host "alhpa" is not declared, did you mean "alpha"?`,
		"  token: abc\n":            "written here in plain text",
		"  network: \"a b\"\n":      "is not a name for a Docker network",
		"  label_prefix: \"a b\"\n": "is not a prefix of labels",
		"  routes: [{hostname: a.b.c, service: x, host: alpha, zone: \"b c\"}]\n":    "is not a domain",
		"  routes: [{hostname: a.b.c, service: x, host: alpha, no_tls_verify: x}]\n": "want true or false",
	} {
		if _, err := ingressOf(t, lines); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "fleet.yaml:7:") {
			t.Errorf("%s: %v, want %s", lines, err, want)
		}
	}
}

// TestEditIngress: what an adoption writes is read again as it was meant, and comments stay.
func TestEditIngress(t *testing.T) {
	t.Parallel()
	const lines = "  # ours since May\n  access: {family: {emails: [ann@example.com]}} # all of us\n"
	repo, err := ingressOf(t, lines)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(repo.Dir, fleet.File))
	if err != nil {
		t.Fatal(err)
	}
	const id = "00000000-1111-2222-3333-444444444444"
	routes := []fleet.HostRoute{
		{Host: "alpha", Declared: route.Declared{Hostname: "nas.example.com", Path: "^/a: b", Service: "https://192.168.1.5:5001", Zone: "example.com", Access: []string{"family"}, Origin: route.Origin{NoTLSVerify: true, ServerName: "nas", HostHeader: "h"}}},
		{Host: "alpha", Declared: route.Declared{Hostname: "tv.example.com", Service: "http://tv"}},
	}
	edits := []func([]byte) ([]byte, error){
		func(b []byte) ([]byte, error) { return SetTunnel(b, "alpha", id) },
		func(b []byte) ([]byte, error) { return AddRoute(b, routes[0]) },
		func(b []byte) ([]byte, error) { return AddRoute(b, routes[1]) },
	}
	for _, edit := range edits {
		if content, err = edit(content); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(string(content), lines) {
		t.Errorf("comments are lost:\n%s", content)
	}
	if err := os.WriteFile(filepath.Join(repo.Dir, fleet.File), content, 0o644); err != nil {
		t.Fatal(err)
	}
	if repo, err = Load(repo.Dir, ""); err != nil {
		t.Fatalf("%v\n%s", err, content)
	}
	for i := range repo.Fleet.Ingress.Routes {
		repo.Fleet.Ingress.Routes[i].Position = ""
	}
	if diff := cmp.Diff(routes, repo.Fleet.Ingress.Routes); diff != "" || repo.Fleet.Ingress.Tunnels["alpha"] != id {
		t.Errorf("(-want +got)\n%s%v", diff, repo.Fleet.Ingress.Tunnels)
	}
	content, err = RemoveHost(content, "alpha")
	if err != nil || strings.Contains(string(content), id) || !strings.Contains(string(content), lines) {
		t.Errorf("%v\n%s", err, content)
	}
}

// TestAccountAndToken: what can't be an account's id is refused, and a token that is not set,
// and that no command prints, is named.
func TestAccountAndToken(t *testing.T) {
	t.Parallel()
	for _, account := range []string{"home", "ann@example.com", "0A1B2C3D4E5F60718293A4B5C6D7E8F9"} {
		if _, err := ingressOf(t, "  account: "+account+"\n"); err == nil || !strings.Contains(err.Error(), "fleet.yaml:7:12: ") || !strings.Contains(err.Error(), "is not the id of an account at Cloudflare") {
			t.Errorf("%s: %v", account, err)
		}
	}
	const set = "  account: 0a1b2c3d4e5f60718293a4b5c6d7e8f9\n  token: secret:cloudflare\n"
	for lines, want := range map[string][]string{
		set: {`fleet.yaml:8:10: the fleet has no secret "cloudflare" [secret-missing]`},
		set + "secrets: {cloudflare: {command: [pass, cloudflare]}}\n": nil,
	} {
		repo, err := ingressOf(t, lines)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range repo.Findings {
			if f.Code == finding.SecretMissing && f.Severity == finding.Warning {
				got = append(got, f.String())
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", lines, diff)
		}
	}
}

// TestRoutesMove: those of one host alone, where they are written, and comments stay.
func TestRoutesMove(t *testing.T) {
	const before = "ingress:\n  provider: cloudflare\n  routes: # of no container\n    - {hostname: nas.example.com, service: \"http://192.0.2.5\", host: alpha} # the NAS\n    - hostname: router.example.com\n      host: 'alpha' # in the hall\n      service: http://192.0.2.1\n    - {hostname: tv.example.com, service: \"http://192.0.2.6\", host: beta}\n  tunnels:\n    alpha: 00000000-1111-2222-3333-444444444444 # DockFlare's\n"
	got, err := MoveRoutes([]byte(before), "alpha", "gamma")
	want := strings.NewReplacer("host: alpha}", "host: gamma}", "host: 'alpha'", "host: gamma").Replace(before)
	if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if again, err := MoveRoutes(got, "alpha", "beta"); err != nil || string(again) != want {
		t.Errorf("%v\n%s", err, again)
	}
	if none, err := MoveRoutes([]byte("fleet: home\n"), "alpha", "beta"); err != nil || string(none) != "fleet: home\n" {
		t.Errorf("%q, %v", none, err)
	}
	shared := "x: &a {hostname: a.example.com, service: \"http://192.0.2.1\", host: alpha}\ningress: {provider: cloudflare, routes: [*a]}\n"
	if got, err := MoveRoutes([]byte(shared), "alpha", "beta"); !errors.Is(err, yamldoc.ErrByHand) {
		t.Errorf("%q, %v", got, err)
	}
}
