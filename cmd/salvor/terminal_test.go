package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"salvor/internal/keychain/keychaintest"
	"salvor/internal/socketdir"
)

// An operator is a person at a terminal with a fleet called home.
type operator struct {
	t   *testing.T
	dir string
	env []string
}

const phrase = "correct horse"

func newOperator(t *testing.T) *operator {
	t.Helper()
	dir, err := socketdir.Make("op")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	o := &operator{t: t, dir: dir, env: []string{
		"HOME=" + dir, "XDG_CONFIG_HOME=" + dir + "/.config", "XDG_RUNTIME_DIR=" + dir, "PATH=" + os.Getenv("PATH"), "TERM=xterm", "EDITOR=true",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.net", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.net",
		"GIT_CONFIG_GLOBAL=/dev/null",
	}}
	o.write("pass", phrase+"\n")
	o.write("value", "hunter2-canary")
	o.must("init", o.dir+"/fleet", "--name", "home", "--passphrase-file", o.dir+"/pass")
	o.write("fleet/stacks/hello/old.env", "GREETING=hello\nDB_PASSWORD=hunter2-canary\n")
	set := o.command("secret", "set", "token")
	set.Stdin = strings.NewReader("hunter2-canary")
	if out, err := set.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return o
}

func (o *operator) write(name, content string) {
	o.t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), []byte(content), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// command is salvor in the fleet: this test, which is salvor under that name.
func (o *operator) command(args ...string) *exec.Cmd {
	o.t.Helper()
	self, err := os.Executable()
	if err != nil {
		o.t.Fatal(err)
	}
	cmd := exec.CommandContext(o.t.Context(), self)
	cmd.Args, cmd.Env, cmd.Dir = append([]string{"salvor"}, args...), o.env, o.dir
	if args[0] != "init" {
		cmd.Dir += "/fleet"
	}
	return cmd
}

func (o *operator) must(args ...string) string {
	o.t.Helper()
	out, err := o.command(args...).CombinedOutput()
	if err != nil {
		o.t.Fatalf("salvor %s: %v: %s", args, err, out)
	}
	return string(out)
}

// A session is a command at a terminal.
type session struct {
	t      *testing.T
	cmd    *exec.Cmd
	person *os.File
	ended  chan struct{} // when the terminal shows nothing more

	mu    sync.Mutex // guards shown
	shown bytes.Buffer
}

func (o *operator) types(args ...string) *session {
	o.t.Helper()
	s := &session{t: o.t, cmd: o.command(args...), ended: make(chan struct{})}
	person, err := pty.Start(s.cmd)
	if err != nil {
		o.t.Fatal(err)
	}
	s.person = person
	o.t.Cleanup(func() { _ = person.Close() })
	go func() {
		defer close(s.ended)
		_, _ = io.Copy(s, person)
	}()
	return s
}

// Write implements io.Writer.
func (s *session) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.Write(p)
}

func (s *session) screen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.String()
}

// await waits until the screen ends in a pattern.
func (s *session) await(pattern string) {
	s.t.Helper()
	want := regexp.MustCompile(pattern + `$`)
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !want.MatchString(s.screen()) {
		select {
		case <-deadline:
			s.t.Fatalf("salvor %s: %q is not on the screen: %q", s.cmd.Args, pattern, s.screen())
		case <-tick.C:
		}
	}
}

func (s *session) send(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.person, keys); err != nil {
		s.t.Fatal(err)
	}
}

// code waits for the end.
func (s *session) code() int {
	s.t.Helper()
	err := s.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return s.cmd.ProcessState.ExitCode()
}

// echoes reports whether the terminal shows what is typed.
func (s *session) echoes() bool {
	s.t.Helper()
	state, err := unix.IoctlGetTermios(int(s.person.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

const (
	asksPassphrase = `Passphrase of \S+/home\.age( \([^)]+\))?: `
	asksYes        = `\[y/N\] `
)

// asking are the commands that ask something in a fleet without hosts, and what they ask
// last: the answers lead there.
func asking() map[string]struct {
	args    []string
	answers []string // a question and its answer, in turn
	last    string
} {
	type row = struct {
		args    []string
		answers []string
		last    string
	}
	return map[string]row{
		"init":                  {[]string{"init", "other", "--name", "other"}, []string{`repository \(nothing: later\): `, "", `FOLDER \(nothing: later\): `, "", `for your key: `, phrase}, `The same again: `},
		"key new":               {[]string{"--identity", "../mine", "key", "new"}, []string{`for your key: `, phrase}, `The same again: `},
		"key unlock":            {[]string{"key", "unlock"}, nil, asksPassphrase},
		"key recovery":          {[]string{"key", "recovery"}, nil, asksPassphrase},
		"key card":              {[]string{"key", "card"}, nil, asksPassphrase},
		"key prove":             {[]string{"key", "prove"}, nil, asksPassphrase},
		"key ssh":               {[]string{"key", "ssh", "--rotate"}, nil, asksPassphrase},
		"key rotate":            {[]string{"key", "rotate"}, []string{asksYes, "y", asksPassphrase, phrase, `for your key: `, phrase}, `The same again: `},
		"key rotate --recovery": {[]string{"key", "rotate", "--recovery"}, []string{asksYes, "y"}, asksPassphrase},
		"secret get":            {[]string{"secret", "get", "token"}, nil, asksPassphrase},
		"secret set":            {[]string{"secret", "set", "token"}, nil, `Value of token: `},
		"secret edit":           {[]string{"secret", "edit", "token"}, nil, asksPassphrase},
		"secret rotate":         {[]string{"secret", "rotate", "token", "--generate"}, nil, asksYes},
		"secret import":         {[]string{"secret", "import", "stacks/hello/old.env"}, []string{asksPassphrase, phrase}, asksYes},
		"remote add":            {[]string{"remote", "add", "drive", "--type", "drive"}, []string{`client_id of the remote drive: `, "id"}, `client_secret of the remote drive: `},
		"secret grant":          {[]string{"secret", "grant", "bob", "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z"}, nil, `.+(: |\[y/N\] )`},
	}
}

// TestCtrlCAtEveryQuestion ends the command at once, as an interruption, with a terminal
// that shows what is typed and without innards; so says fault D13. No live progress is
// drawn over a question or its answer: fault D11.
func TestCtrlCAtEveryQuestion(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	for name, c := range asking() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := *o
			here.t = t
			s := here.types(c.args...)
			for pair := range slices.Chunk(c.answers, 2) {
				s.await(pair[0])
				s.send(pair[1] + "\n")
			}
			s.await(c.last)
			s.send("\x03")
			if code := s.code(); code != 130 {
				t.Errorf("ended with %d", code)
			}
			<-s.ended
			screen := s.screen()
			if !regexp.MustCompile(c.last + `(\^C)?\r\nsalvor: interrupted\r\n$`).MatchString(screen) {
				t.Errorf("the screen is %q", screen)
			}
			if regexp.MustCompile(`EOF|goroutine|context canceled|panic`).MatchString(screen) {
				t.Errorf("innards: %q", screen)
			}
			if found := regexp.MustCompile(`(: |\] )[^\r\n]*\x1b[^\r\n]*`).FindString(screen); found != "" {
				t.Errorf("something is drawn over a question: %q", found)
			}
		})
	}
}

// TestCtrlCAtAProgramsQuestion: --passphrase-command has the terminal to itself, and Ctrl-C
// ends it alone; that is an interruption as well.
func TestCtrlCAtAProgramsQuestion(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	o.env = append(o.env, `SALVOR_PASSPHRASE_COMMAND=sh -c 'printf "PIN: " >&2; read pin; echo "$pin"'`)
	for keys, want := range map[string]int{phrase + "\n": 0, "\x03": 130} {
		s := o.types("secret", "get", "token")
		s.await(`PIN: `)
		s.send(keys)
		if code := s.code(); code != want {
			t.Errorf("ended with %d, want %d: %q", code, want, s.screen())
		}
		<-s.ended
		if want == 130 && !strings.HasSuffix(s.screen(), "salvor: interrupted\r\n") {
			t.Errorf("the screen is %q", s.screen())
		}
	}
}

// TestOnePassphraseAnHour: it is typed once, at the third try here; then commands ask no
// more, until the key is locked. Neither passphrase nor key is in the arguments or the
// environment of any process.
func TestOnePassphraseAnHour(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	s := o.types("key", "unlock", "--for", "10m")
	s.await(asksPassphrase)
	if s.echoes() {
		t.Error("the terminal shows the passphrase")
	}
	s.send("wrong\n")
	s.await(`That is not it\. Passphrase of \S+ \(try 2 of 3\): `)
	s.send("\n")
	s.await(`\(try 3 of 3\): `)
	s.send(phrase + "\n")
	if code := s.code(); code != 0 {
		t.Fatalf("ended with %d: %q", code, s.screen())
	}
	t.Cleanup(func() { _ = o.command("key", "lock").Run() })
	<-s.ended
	if !regexp.MustCompile(`home\.age is open until [0-9-]+ [0-9:]+; salvor key lock closes it\r\n$`).MatchString(s.screen()) || strings.Contains(s.screen(), phrase) {
		t.Errorf("the screen is %q", s.screen())
	}
	agents := processes(t, "salvor\x00key\x00agent\x00", o.dir)
	if len(agents) != 1 {
		t.Errorf("%d agents", len(agents))
	}
	for range 2 {
		get := o.types("secret", "get", "token")
		if code := get.code(); code != 0 {
			t.Errorf("ended with %d", code)
		}
		<-get.ended
		if get.screen() != "hunter2-canary" && strings.TrimSpace(get.screen()) != "hunter2-canary" {
			t.Errorf("the screen is %q", get.screen())
		}
	}
	if said := o.must("key"); !strings.Contains(said, "home.age is open until ") {
		t.Errorf("salvor key does not say what is open: %s", said)
	}
	if said := o.must("key", "lock"); !strings.HasSuffix(said, "home.age is closed\n") {
		t.Errorf("said %q", said)
	}
	get := o.types("secret", "get", "token")
	get.await(`\(once an hour: salvor key unlock\): `)
	get.send("\x04")
	if code := get.code(); code != 12 {
		t.Errorf("ended with %d", code)
	}
	<-get.ended
	if !strings.Contains(get.screen(), "nothing was typed") || strings.Contains(get.screen(), "EOF") {
		t.Errorf("after Ctrl-D: %q", get.screen())
	}
}

// TestTheKeychainHasThePassphrase: it is typed once; then commands take it from there, also
// after the key was locked.
func TestTheKeychainHasThePassphrase(t *testing.T) {
	t.Parallel()
	o, service := newOperator(t), keychaintest.Start(t)
	o.env = append(o.env, "DBUS_SESSION_BUS_ADDRESS="+service.Address)
	s := o.types("key", "unlock", "--keychain")
	s.await(asksPassphrase)
	s.send(phrase + "\n")
	if code := s.code(); code != 0 {
		t.Fatalf("ended with %d: %q", code, s.screen())
	}
	identity := o.dir + "/.config/salvor/home.age"
	if kept := service.Values(); kept[identity] != phrase {
		t.Errorf("the keychain has %q", kept)
	}
	o.must("key", "lock")
	if got := strings.TrimSpace(o.must("secret", "get", "token")); got != "hunter2-canary" {
		t.Errorf("got %q", got)
	}
	o.must("key", "unlock")
	if said := o.must("key", "lock", "--keychain"); !strings.Contains(said, "home.age is closed\n") || !strings.Contains(said, "no longer has the passphrase of") || len(service.Values()) > 0 {
		t.Errorf("said %q, keeps %q", said, service.Values())
	}
	if err := o.command("secret", "get", "token").Run(); err == nil {
		t.Error("a secret opens without a passphrase")
	}
}

// processes returns the numbers of those with these arguments whose home is dir, and
// looks for secrets in the arguments and the environment of all.
func processes(t *testing.T, arguments, dir string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range all {
		cmdline, err := os.ReadFile(process + "/cmdline")
		if err != nil {
			continue // it has ended
		}
		environ, _ := os.ReadFile(process + "/environ") // root reads all
		for _, text := range [][]byte{cmdline, environ} {
			if bytes.Contains(text, []byte(phrase)) || bytes.Contains(bytes.ToUpper(text), []byte("AGE-SECRET-KEY-1")) {
				t.Errorf("a secret is among the arguments or in the environment of %s: %q", process, cmdline)
			}
		}
		if string(cmdline) == arguments && (len(environ) == 0 || bytes.Contains(environ, []byte("HOME="+dir+"\x00"))) {
			found = append(found, filepath.Base(process))
		}
	}
	return found
}
