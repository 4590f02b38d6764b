// Package githubtest is GitHub as far as a fleet uses it: a server with state that checks
// requests of its REST API as the real one does, and serves its repositories by real Git,
// over SSH and HTTP, to those who may. It can be slow, refuse and fail.
package githubtest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"salvor/internal/github"
)

// A Token is what an account uses in place of its password: a classic one has scopes, a
// fine-grained one permissions.
type Token struct {
	Account     string
	Scopes      []string          // "repo", "gist"; nil for a fine-grained token
	Permissions map[string]string // "administration": "write"; of all repositories of the account
}

// A Repository is one, with its deploy keys.
type Repository struct {
	Name    string // "OWNER/NAME"
	Private bool
	Keys    []Key
}

// A Key is a deploy key.
type Key struct {
	ID       int64  `json:"id"`
	Key      string `json:"key"`
	Title    string `json:"title"`
	ReadOnly bool   `json:"read_only"`
}

// A Fault is what one request of the API ends with in place of its answer.
type Fault struct {
	On     string        // how "METHOD PATH" of the request begins, "" for any
	Status int           // 0 hangs up
	Header http.Header   // added to the answer
	Done   bool          // the request has its effect before it fails
	Before func()        // runs first
	Slow   time.Duration // it takes that long
}

// A Server is GitHub. Its API is at http://ADDRESS/api/v3, its repositories are at
// http://ADDRESS/OWNER/NAME.git, and over SSH at the SSH address.
type Server struct {
	HostKey string // of SSH: "ssh-ed25519 AAAA…"

	dir      string
	web, git net.Listener
	http     *http.Server
	end      context.CancelFunc
	signer   ssh.Signer

	mu       sync.Mutex // guards what follows
	tokens   map[string]Token
	admins   map[string][]string // of organizations, by name
	accounts map[string][]string // SSH keys by account
	repos    []*Repository
	faults   []Fault
	calls    []string
	last     int64 // number that was given to a key
}

// WithFleet starts one that has the private repository you/fleet, which the account "you" may do everything with by
// token. It ends with the test.
func WithFleet(t testing.TB, token string) *Server {
	t.Helper()
	s, err := Start(t.Context(), t.TempDir())
	if err == nil {
		t.Cleanup(s.Close)
		err = s.Make(t.Context(), "you/fleet", true)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.AddToken(token, Token{Account: "you", Scopes: []string{"repo"}})
	return s
}

// Start starts one that keeps its repositories below dir. Close ends it, and so does the
// context.
func Start(ctx context.Context, dir string) (*Server, error) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, tokens: map[string]Token{}, admins: map[string][]string{}, accounts: map[string][]string{}}
	if s.signer, err = ssh.NewSignerFromKey(private); err != nil {
		return nil, err
	}
	s.HostKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.signer.PublicKey())))
	ctx, s.end = context.WithCancel(ctx)
	var webErr, gitErr error
	s.web, webErr = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	s.git, gitErr = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err := errors.Join(webErr, gitErr, os.MkdirAll(dir, 0o700)); err != nil {
		return nil, err
	}
	s.http = &http.Server{Handler: s.handler(), ReadHeaderTimeout: time.Minute, BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() { _ = s.http.Serve(s.web) }() // until Close
	go s.serveSSH(ctx)
	return s, nil
}

// Close ends it: nothing answers any more.
func (s *Server) Close() {
	s.end()
	_, _ = s.http.Close(), s.git.Close() // nothing was written
}

// Site is how a client reaches it.
func (s *Server) Site() github.Site {
	return github.Site{API: "http://" + s.web.Addr().String() + "/api/v3", Hosts: []string{"127.0.0.1"}, HostKeys: []string{s.HostKey}}
}

// SSHAddress is "127.0.0.1:PORT".
func (s *Server) SSHAddress() string { return s.git.Addr().String() }

// AddToken makes a token.
func (s *Server) AddToken(value string, t Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[value] = t
}

// RevokeToken ends one.
func (s *Server) RevokeToken(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, value)
}

// AddOrganization makes one, whose admins may do all with its repositories.
func (s *Server) AddOrganization(name string, admins ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admins[name] = admins
}

// AddSSHKey lets the holder of a key do what an account may, over SSH.
func (s *Server) AddSSHKey(account, key string) error {
	parsed, err := normal(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[account] = append(s.accounts[account], parsed)
	return err
}

// Make makes a repository.
func (s *Server) Make(ctx context.Context, name string, private bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.make(ctx, name, private)
	return err
}

func (s *Server) make(ctx context.Context, name string, private bool) (*Repository, error) {
	out, err := exec.CommandContext(ctx, "git", "init", "--quiet", "--bare", "--initial-branch=main", s.folder(name)).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("git init: %w: %s", err, out)
	}
	r := &Repository{Name: name, Private: private}
	s.repos = append(s.repos, r)
	return r, nil
}

// Change changes a repository, as its owner does in the browser.
func (s *Server) Change(name string, change func(*Repository)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.find(name); r != nil {
		change(r)
	}
}

// Repository returns a repository as it is, the zero one where there is none.
func (s *Server) Repository(name string) Repository {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.find(name)
	if r == nil {
		return Repository{}
	}
	is := *r
	is.Keys = slices.Clone(r.Keys)
	return is
}

// Folder is where a repository is: a bare one.
func (s *Server) Folder(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.folder(name)
}

func (s *Server) folder(name string) string {
	return filepath.Join(s.dir, strings.ToLower(name)+".git")
}

// find finds a repository: GitHub does not tell upper case from lower case.
func (s *Server) find(name string) *Repository {
	for _, r := range s.repos {
		if strings.EqualFold(r.Name, name) {
			return r
		}
	}
	return nil
}

// Fail has the next requests of the API that these are about end so, one each.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Calls returns the requests of the API so far, "METHOD PATH", and those of Git, "git
// upload-pack OWNER/NAME by WHOM".
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// access is what someone may do with a repository.
type access int

const (
	nothing access = iota
	reads
	writes
)

// of returns what an account may do.
func (s *Server) of(account string, r *Repository) access {
	owner, _, _ := strings.Cut(r.Name, "/")
	switch {
	case account != "" && (strings.EqualFold(account, owner) || slices.Contains(s.admins[owner], account)):
		return writes
	case !r.Private:
		return reads
	}
	return nothing
}

// normal is a public key without its comment.
func normal(key string) (string, error) {
	parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(key))
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(parsed))), nil
}
