package gitread

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
)

const connectTimeout = 15 * time.Second

// tokenUser is what Git hosts expect with a token; GitHub, GitLab and Gitea take any
// name.
const tokenUser = "x-access-token"

func (s Source) auth() (transport.AuthMethod, error) {
	endpoint, err := transport.NewEndpoint(s.URL)
	if err != nil {
		return nil, err
	}
	switch endpoint.Protocol {
	case "ssh":
		return s.sshAuth(endpoint)
	case "https", "http":
		if s.Token.IsZero() {
			return nil, nil
		}
		if endpoint.Protocol == "http" && !loopback(endpoint.Host) {
			return nil, errors.New("a token is not sent over http: use https")
		}
		return &http.BasicAuth{Username: tokenUser, Password: string(s.Token.Reveal())}, nil
	case "file":
		return nil, nil
	}
	return nil, fmt.Errorf("protocol %q is not supported", endpoint.Protocol)
}

func loopback(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }

// sshLogin is go-git's key login with a limit on the time to connect.
type sshLogin struct{ *gitssh.PublicKeys }

// ClientConfig implements go-git's ssh.AuthMethod.
func (l *sshLogin) ClientConfig() (*ssh.ClientConfig, error) {
	c, err := l.PublicKeys.ClientConfig()
	if err != nil {
		return nil, err
	}
	c.Timeout = connectTimeout
	return c, nil
}

func (s Source) sshAuth(endpoint *transport.Endpoint) (transport.AuthMethod, error) {
	user := endpoint.User
	if user == "" {
		user = gitssh.DefaultUsername
	}
	keys, err := gitssh.NewPublicKeysFromFile(user, s.KeyFile, "")
	if err != nil {
		return nil, fmt.Errorf("read SSH key %s: %w", s.KeyFile, err)
	}
	port := endpoint.Port
	if port == 0 {
		port = gitssh.DefaultPort
	}
	if err := pin(keys, s.KnownHosts, fmt.Sprintf("%s:%d", endpoint.Host, port)); err != nil {
		return nil, err
	}
	return &sshLogin{keys}, nil
}

// pin makes the login accept the host keys of these known_hosts lines alone, and
// ask the server for a key of the pinned kinds. The parser only takes files.
func pin(login *gitssh.PublicKeys, lines []byte, address string) (err error) {
	f, err := os.CreateTemp("", "known_hosts")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.Write(lines)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	db, err := gitssh.NewKnownHostsDb(f.Name())
	if err != nil {
		return fmt.Errorf("read pinned host keys: %w", err)
	}
	kinds := db.HostKeyAlgorithms(address)
	if len(kinds) == 0 {
		return fmt.Errorf("no host key is pinned for %s", address)
	}
	login.HostKeyCallback, login.HostKeyAlgorithms = db.HostKeyCallback(), kinds
	return nil
}
