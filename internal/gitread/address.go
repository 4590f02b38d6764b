package gitread

import (
	"cmp"

	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
)

// SSHAddress returns the server that a repository's URL names, when it is reached
// over SSH: ssh://[user@]host[:port]/path or [user@]host:path.
func SSHAddress(url string) (host string, port int, isSSH bool) {
	endpoint, err := transport.NewEndpoint(url)
	if err != nil || endpoint.Protocol != "ssh" || endpoint.Host == "" {
		return "", 0, false
	}
	return endpoint.Host, cmp.Or(endpoint.Port, gitssh.DefaultPort), true
}
