package github

import (
	"strings"
	"testing"
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
