package sshtest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"salvor/internal/machine"
)

// What sudo says to the user of a Fake.
type Sudo string

// The kinds. A user who is asked is not asked any more once a sudoers file says so.
const (
	SudoFree    Sudo = "free"
	SudoAsks    Sudo = "asks"
	SudoRefuses Sudo = "refuses"
	SudoMissing Sudo = "missing" // sudo is not installed
)

// FakeOptions say what a Fake is like.
type FakeOptions struct {
	User, Password string
	Expired        bool // the password must be changed before anything runs
	Interactive    bool // it asks by keyboard-interactive, where a change happens as well
	KeysOnly       bool // it takes no passwords
	Full           bool // nothing can be written
	Sudo           Sudo
	Root           machine.Machine // runs what root runs
	Listen         string          // "" for a free port of 127.0.0.1
	Private        string          // the host key, as OpenSSH writes it; "" for a new one
	Lines          []string        // of the user's authorized_keys
}

// A Fake is a new server in this process that speaks SSH: one user with a password and a
// home folder, in which the user's scripts really run. It needs no privileges. It knows the
// command lines of machine/ssh, and hands what root runs to a machine.
type Fake struct {
	Port    int
	HostKey string // "ssh-ed25519 AAAA…"
	Home    string // of the user
	Sudoers string // what is /etc/sudoers.d elsewhere
	SSH     string // what is /etc/ssh elsewhere

	listener net.Listener
	end      context.CancelFunc

	mu      sync.Mutex // guards what follows
	is      FakeOptions
	signer  ssh.Signer
	lines   []string // command lines that were run
	running map[string]context.CancelFunc
	conns   []net.Conn
}

// StartFake starts one with its folders below dir. Close ends it, and so does the context.
func StartFake(ctx context.Context, dir string, o FakeOptions) (*Fake, error) {
	f := &Fake{Home: filepath.Join(dir, "home"), Sudoers: filepath.Join(dir, "sudoers.d"), SSH: filepath.Join(dir, "ssh"), is: o, running: map[string]context.CancelFunc{}}
	if err := errors.Join(os.MkdirAll(f.Home, 0o755), os.MkdirAll(f.Sudoers, 0o755), os.MkdirAll(f.SSH, 0o755), f.begin(o)); err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(ctx)
	f.end = end
	var err error
	if f.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", cmp.Or(o.Listen, "127.0.0.1:0")); err != nil {
		end()
		return nil, err
	}
	f.Port = f.listener.Addr().(*net.TCPAddr).Port
	go f.serve(ctx)
	return f, nil
}

// begin gives it its host key, and the user the keys that may log in.
func (f *Fake) begin(o FakeOptions) error {
	if len(o.Lines) > 0 {
		dir := filepath.Join(f.Home, ".ssh")
		err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "authorized_keys"), []byte(strings.Join(o.Lines, "\n")+"\n"), 0o600))
		if err != nil {
			return err
		}
	}
	if o.Private == "" {
		return f.Rekey()
	}
	signer, err := ssh.ParsePrivateKey([]byte(o.Private))
	if err != nil {
		return err
	}
	f.use(signer)
	return nil
}

// reload reads the host key that is in the folder of sshd, if there is one.
func (f *Fake) reload() {
	content, err := os.ReadFile(filepath.Join(f.SSH, "ssh_host_ed25519_key"))
	if err != nil {
		return
	}
	if signer, err := ssh.ParsePrivateKey(content); err == nil {
		f.use(signer)
	}
}

func (f *Fake) use(signer ssh.Signer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signer, f.HostKey = signer, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

// Rekey gives it another host key, as a reinstallation does.
func (f *Fake) Rekey() error {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return err
	}
	f.use(signer)
	return nil
}

// Fingerprint is the host key's.
func (f *Fake) Fingerprint() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return ssh.FingerprintSHA256(f.signer.PublicKey())
}

// Change changes what it is like.
func (f *Fake) Change(change func(*FakeOptions)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.is)
}

func (f *Fake) now() FakeOptions {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.is
}

// Lines returns the command lines that were run on it.
func (f *Fake) Lines() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.lines)
}

// Close ends it, and all connections.
func (f *Fake) Close() {
	f.end()
	_ = f.listener.Close() // nothing was written
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		_ = c.Close()
	}
}

func (f *Fake) serve(ctx context.Context) {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return // closed
		}
		f.mu.Lock()
		f.conns = append(f.conns, conn)
		f.mu.Unlock()
		go f.talk(ctx, conn)
	}
}

func (f *Fake) talk(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	f.mu.Lock()
	config := f.config()
	config.AddHostKey(f.signer)
	f.mu.Unlock()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
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
			go f.session(ctx, channel, requests)
		}
	}
}

var errRefused = errors.New("refused")

// config says who may log in.
func (f *Fake) config() *ssh.ServerConfig {
	c := &ssh.ServerConfig{PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if meta.User() == f.now().User && f.accepts(key) {
			return nil, nil
		}
		return nil, errRefused
	}}
	switch {
	case f.is.KeysOnly:
	case f.is.Interactive:
		c.KeyboardInteractiveCallback = f.interrogate
	default:
		c.PasswordCallback = func(meta ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if now := f.now(); meta.User() != now.User || string(password) != now.Password {
				return nil, errRefused
			}
			return nil, nil
		}
	}
	return c
}

// accepts looks into the user's authorized_keys.
func (f *Fake) accepts(key ssh.PublicKey) bool {
	rest, err := os.ReadFile(filepath.Join(f.Home, ".ssh", "authorized_keys"))
	for err == nil && len(rest) > 0 {
		var line ssh.PublicKey
		line, _, _, rest, err = ssh.ParseAuthorizedKey(rest)
		if err == nil && bytes.Equal(line.Marshal(), key.Marshal()) {
			return true
		}
	}
	return false
}

// interrogate asks as PAM does.
func (f *Fake) interrogate(meta ssh.ConnMetadata, client ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	ask := func(question string) string {
		answers, err := client("", "", []string{question}, []bool{false})
		if err != nil || len(answers) != 1 {
			return ""
		}
		return answers[0]
	}
	if now := f.now(); meta.User() != now.User || ask("("+meta.User()+"@fake) Password: ") != now.Password {
		return nil, errRefused
	}
	if !f.now().Expired {
		return nil, nil
	}
	if !f.renew(ask, "You are required to change your password immediately (administrator enforced).\n") {
		return nil, errRefused
	}
	return nil, nil
}

// leastPassword is the length of the shortest password that a Fake takes as a new one.
const leastPassword = 8

// renew has the password changed in a dialogue, and reports whether it was.
func (f *Fake) renew(ask func(question string) string, before string) bool {
	if ask(before+"Current password: ") != f.now().Password {
		return false
	}
	replacement := ask("New password: ")
	if len(replacement) < leastPassword {
		ask("BAD PASSWORD: The password is shorter than 8 characters\nNew password: ")
		return false
	}
	if ask("Retype new password: ") != replacement {
		return false
	}
	f.Change(func(o *FakeOptions) { o.Password, o.Expired = replacement, false })
	return true
}
