package githubtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// serveHTTP serves Git over HTTP, to who has a token for a password.
func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("owner") + "/" + strings.TrimSuffix(r.PathValue("repository"), ".git")
	_, password, given := r.BasicAuth()
	service := "upload-pack"
	if strings.Contains(r.URL.Path+"?"+r.URL.RawQuery, "git-receive-pack") {
		service = "receive-pack"
	}
	s.mu.Lock()
	t, known := s.tokens[password]
	may := nothing
	if repo := s.find(name); repo != nil {
		may = min(s.of(t.Account, repo), t.contents())
		if !repo.Private {
			may = max(may, reads)
		}
	}
	if r.Method == http.MethodPost {
		s.calls = append(s.calls, fmt.Sprintf("git %s %s by %s over http", service, name, t.Account))
	}
	s.mu.Unlock()
	switch {
	case !given && (may == nothing || service == "receive-pack"), given && !known:
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		http.Error(w, "Invalid username or token. Password authentication is not supported for Git operations.", http.StatusUnauthorized)
	case may == nothing:
		http.Error(w, "Repository not found.", http.StatusNotFound)
	case service == "receive-pack" && may < writes:
		http.Error(w, "Write access to repository not granted.", http.StatusForbidden)
	default:
		s.backend(w, r, name, t.Account)
	}
}

// contents is what a token lets its account do with files.
func (t Token) contents() access {
	switch {
	case slices.Contains(t.Scopes, "repo"), t.Permissions["contents"] == "write":
		return writes
	case t.Permissions["contents"] == "read":
		return reads
	}
	return nothing
}

// backend hands a request to Git's own program. It reads no chunks.
func (s *Server) backend(w http.ResponseWriter, r *http.Request, name, account string) {
	programs, err := exec.CommandContext(r.Context(), "git", "--exec-path").Output()
	var body []byte
	if err == nil {
		body, err = io.ReadAll(r.Body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	prefix := "/" + r.PathValue("owner") + "/" + r.PathValue("repository")
	back := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(programs)), "git-http-backend"), Root: prefix, Dir: s.dir, Stderr: io.Discard,
		Env: []string{"GIT_PROJECT_ROOT=" + s.folder(name), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=" + account, "GIT_CONFIG_NOSYSTEM=1", "HOME=" + s.dir},
	}
	back.ServeHTTP(w, r)
}

// serveSSH serves Git over SSH.
func (s *Server) serveSSH(ctx context.Context) {
	for {
		conn, err := s.git.Accept()
		if err != nil {
			return // closed
		}
		go s.talk(ctx, conn)
	}
}

func (s *Server) talk(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	config := &ssh.ServerConfig{PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
		s.mu.Lock()
		defer s.mu.Unlock()
		if meta.User() != "git" || !s.inUse(line) {
			return nil, errors.New("unknown key")
		}
		return &ssh.Permissions{Extensions: map[string]string{"key": line}}, nil
	}}
	config.AddHostKey(s.signer)
	login, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return // it was denied, or hung up
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		if c.ChannelType() != "session" {
			_ = c.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		if channel, requests, err := c.Accept(); err == nil {
			go s.session(ctx, channel, requests, login.Permissions.Extensions["key"])
		}
	}
}

func (s *Server) session(ctx context.Context, channel ssh.Channel, requests <-chan *ssh.Request, key string) {
	for r := range requests {
		var line struct{ Text string }
		run := r.Type == "exec" && ssh.Unmarshal(r.Payload, &line) == nil
		if r.WantReply {
			_ = r.Reply(run, nil) // a lost connection ends the requests
		}
		if !run {
			continue
		}
		go func() {
			defer channel.Close()
			code := uint32(s.program(ctx, channel, line.Text, key))
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
		}()
	}
}

// program runs what Git's client asks for: git-upload-pack 'OWNER/NAME.git'.
func (s *Server) program(ctx context.Context, channel ssh.Channel, line, key string) int {
	service, path, _ := strings.Cut(line, " ")
	name := strings.TrimSuffix(strings.Trim(path, "'/"), ".git")
	service = strings.TrimPrefix(service, "git-")
	complain := func(text string) int {
		_, _ = io.WriteString(channel.Stderr(), "ERROR: "+text+"\n") // the client hung up
		return 1
	}
	s.mu.Lock()
	by, may := s.byKey(key, name)
	s.calls = append(s.calls, fmt.Sprintf("git %s %s by %s", service, name, by))
	folder := s.folder(name)
	s.mu.Unlock()
	switch {
	case service != "upload-pack" && service != "receive-pack":
		return complain("Invalid command: " + line)
	case may == nothing:
		return complain("Repository not found.")
	case service == "receive-pack" && may < writes:
		return complain("The key you are authenticating with has been marked as read only.")
	}
	cmd := exec.CommandContext(ctx, "git", service, folder)
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return complain(err.Error())
	}
	go func() {
		_, _ = io.Copy(in, channel) // until either side has had enough
		_ = in.Close()
	}()
	if err := cmd.Wait(); err != nil {
		return 1
	}
	return 0
}

// byKey returns whose a key is, and what it may do with a repository.
func (s *Server) byKey(key, name string) (by string, may access) {
	repo := s.find(name)
	for account, keys := range s.accounts {
		if slices.Contains(keys, key) {
			if repo == nil {
				return account, nothing
			}
			return account, s.of(account, repo)
		}
	}
	if repo != nil {
		for _, k := range repo.Keys {
			if k.Key == key && k.ReadOnly {
				return k.Title, reads
			} else if k.Key == key {
				return k.Title, writes
			}
		}
	}
	return "a deploy key", nothing
}
