package gitread

import "testing"

func TestSSHAddress(t *testing.T) {
	for url, want := range map[string]struct {
		host string
		port int
	}{
		"git@github.com:you/fleet.git":             {"github.com", 22},
		"ssh://git@git.example.net:2222/fleet.git": {"git.example.net", 2222},
		"ssh://192.0.2.3/srv/git/fleet.git":        {"192.0.2.3", 22},
		"https://github.com/you/fleet.git":         {},
		"/srv/git/fleet.git":                       {},
		"file:///srv/git/fleet.git":                {},
		"http://localhost:3000/you/fleet.git":      {},
	} {
		host, port, isSSH := SSHAddress(url)
		if host != want.host || port != want.port || isSSH != (want.host != "") {
			t.Errorf("%s: %q port %d, %v", url, host, port, isSSH)
		}
	}
}
