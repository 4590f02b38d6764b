package controlrepo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/fleet"
)

// ingressOf loads a fleet with these lines under ingress:.
func ingressOf(t *testing.T, lines string) (*Repository, error) {
	t.Helper()
	dir := t.TempDir()
	content := "schema: 1\nfleet: home\nhosts:\n  alpha: {address: 192.0.2.10}\ningress:\n  provider: cloudflare\n" + lines
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
