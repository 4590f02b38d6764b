package github

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

func TestFind(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"git@github.com:you/fleet.git":               "you/fleet",
		"github.com:you/fleet":                       "you/fleet",
		"git@github.com:/you/fleet.git":              "you/fleet",
		"ssh://git@github.com/you/fleet.git":         "you/fleet",
		"ssh://git@ssh.github.com:443/you/fleet.git": "you/fleet",
		"https://github.com/you/fleet.git":           "you/fleet",
		"https://GitHub.com/you/fleet/":              "you/fleet",
		"git@gitlab.com:you/fleet.git":               "",
		"https://github.com.example.net/you/fleet":   "",
		"https://github.com/you":                     "",
		"https://github.com/you/..":                  "",
		"https://github.com/you/fleet/tree/main":     "",
		"file:///srv/github.com/you/fleet.git":       "",
		"ext::sh -c github.com:you/fleet":            "",
		"/srv/fleet.git":                             "",
		"":                                           "",
	} {
		got, is := Public().Find(address)
		if is != (want != "") || is && got.String() != want {
			t.Errorf("%q: %v, %t", address, got, is)
		}
	}
}

func TestParseName(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]bool{
		"you/fleet": true, "You-2/my.fleet_1": true, "you": false, "you/": false, "/fleet": false, "you/fleet/x": false, "you/fleet.git": false,
		"you/.": false, "you/..": false, "-you/fleet": false, "you/fl eet": false, "you/fleet?x=1": false, "../fleet": false, "you/%2e": false,
	} {
		if n, err := ParseName(text); (err == nil) != good || good && n.String() != text {
			t.Errorf("%q: %v, %v", text, n, err)
		}
	}
}

// FuzzFind: what is found can be put into a path of the API.
func FuzzFind(f *testing.F) {
	for _, seed := range []string{"git@github.com:you/fleet.git", "https://github.com/you/fleet", "ssh://git@ssh.github.com:443/a/b.git"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		n, is := Public().Find(address)
		if !is {
			return
		}
		again, err := ParseName(n.String())
		if err != nil || again != n || strings.Count(n.String(), "/") != 1 || strings.ContainsAny(n.String(), "?#%\\ \n") {
			t.Errorf("%q: %q, %v", address, n, err)
		}
	})
}

// TestPublishedHostKeys are those whose fingerprints are on the same page of GitHub's.
func TestPublishedHostKeys(t *testing.T) {
	t.Parallel()
	var prints []string
	for _, key := range Public().HostKeys {
		parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		prints = append(prints, parsed.Type()+" "+ssh.FingerprintSHA256(parsed))
		if !Public().Presents("GitHub.com", key) || Public().Presents("github.example.net", key) || (Site{}).Presents("github.com", key) {
			t.Errorf("who presents %s", key)
		}
	}
	want := []string{
		"ssh-ed25519 SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU", "ecdsa-sha2-nistp256 SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM",
		"ssh-rsa SHA256:uNiVztksCsDhcc0u9e8BujQXVUpKZIDTMczCvj3tD2s",
	}
	if diff := cmp.Diff(want, prints); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
