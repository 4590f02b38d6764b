package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/remotes"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

// onTerminal is a command's globals on a terminal, and that terminal's other end.
func onTerminal(t *testing.T) (g *globals, screen *screen, interrupt func()) {
	t.Helper()
	person, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close(); program.Close() })
	ctx, interrupt := context.WithCancel(t.Context())
	g = &globals{prompts: prompts{output: output{Console: Console{In: program, Out: program, Err: program, Term: program}}, interrupted: ctx.Done()}}
	screen = watch(person)
	return g, screen, interrupt
}

// screen collects what a terminal shows.
type screen struct {
	person *os.File
	mu     sync.Mutex
	shown  strings.Builder
}

func watch(person *os.File) *screen {
	s := &screen{person: person}
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := person.Read(buffer)
			s.mu.Lock()
			s.shown.Write(buffer[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.String()
}

// await waits until the terminal shows something.
func (s *screen) await(t *testing.T, what string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(s.text(), what) {
		select {
		case <-deadline:
			t.Fatalf("%q is not on the screen: %q", what, s.text())
		case <-tick.C:
		}
	}
}

func (s *screen) send(t *testing.T, keys string) {
	t.Helper()
	if _, err := io.WriteString(s.person, keys); err != nil {
		t.Fatal(err)
	}
}

// TestARemotesOptionsAreAsked, and its secret is not shown; where nothing is typed for an
// SFTP server's password, a key is made.
func TestARemotesOptionsAreAsked(t *testing.T) {
	for password, option := range map[string]string{"hunter2-canary": "pass", "": "key_pem"} {
		g, screen, _ := onTerminal(t)
		d, err := remotes.NewDraft("nas", "sftp")
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan error)
		go func() { asked <- askOptions(g, d) }()
		for _, answer := range [][2]string{{"host of the remote nas: ", "nas.example.net"}, {"user of the remote nas: ", "backup"}, {"an SSH key is made): ", password}} {
			screen.await(t, answer[0])
			screen.send(t, answer[1]+"\n")
		}
		if err := <-asked; err != nil {
			t.Fatal(err)
		}
		if d.Remote.Options["host"].String() != "nas.example.net" || d.Remote.Options[option].IsZero() || len(d.Secrets()) != 1 {
			t.Errorf("%v", d.Remote.Options)
		}
		if strings.Contains(screen.text(), "canary") {
			t.Error("the password is on the screen")
		}
		if password == "" {
			screen.await(t, "ssh-ed25519 ")
		}
	}
}

// TestPromptsAreSeenBesideProgress is fault D11: a passphrase that is asked for in
// the midst of live progress was erased by the next frame.
func TestPromptsAreSeenBesideProgress(t *testing.T) {
	g, screen, _ := onTerminal(t)
	bar := g.progress()
	end := progress.Scope{Sink: bar, Host: "alpha"}.Step("claim", "")
	screen.await(t, "claim")
	typed := make(chan secret.Value)
	go func() {
		value, err := g.passphrase("Passphrase of me: ")
		if err != nil {
			t.Error(err)
		}
		typed <- value
	}()
	screen.await(t, "Passphrase of me: ")
	progress.Scope{Sink: bar, Host: "alpha"}.Note("something ended meanwhile")
	for i := range 50 { // what would be drawn is held back
		progress.Scope{Sink: bar, Host: "alpha"}.Bytes("claim", int64(i), 50)
	}
	_, after, _ := strings.Cut(screen.text(), "Passphrase of me: ")
	if after != "" {
		t.Errorf("the question is followed by %q", after)
	}
	screen.send(t, "correct horse\n")
	if value := <-typed; string(value.Reveal()) != "correct horse" {
		t.Errorf("typed %q", value.Reveal())
	}
	screen.await(t, "something ended meanwhile")
	end(nil, "done")
	bar.Close()
	screen.await(t, "✔")
}

// A question is what a command asks at the terminal.
type question struct {
	ask   func(*globals) error
	shows string
}

func everyPrompt() map[string]question {
	return map[string]question{
		"yes or no":      {func(g *globals) error { return g.confirm("Apply to home?") }, "[y/N] "},
		"a host's key":   {func(g *globals) error { return g.askYes("Is this the key of alpha?") }, "[y/N] "},
		"a name":         {func(g *globals) error { return g.confirmName("This loses data", "home") }, "to continue: "},
		"passphrase":     {func(g *globals) error { _, err := g.passphrase("Passphrase: "); return err }, "Passphrase: "},
		"new passphrase": {func(g *globals) error { _, err := g.newPassphrase(); return err }, "your key: "},
		"a secret":       {func(g *globals) error { _, err := g.readSecret("token"); return err }, "Value of token: "},
	}
}

// TestCtrlCEndsEveryPrompt is fault D13. The terminal then shows again what is typed.
func TestCtrlCEndsEveryPrompt(t *testing.T) {
	t.Parallel()
	for name, p := range everyPrompt() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, screen, interrupt := onTerminal(t)
			ended := make(chan error)
			go func() { ended <- p.ask(g) }()
			screen.await(t, p.shows)
			interrupt()
			if err := <-ended; !errors.Is(err, errInterrupted) {
				t.Errorf("ended with %v", err)
			}
			state, err := unix.IoctlGetTermios(int(g.Term.Fd()), getTermios)
			if err != nil || state.Lflag&unix.ECHO == 0 {
				t.Errorf("afterwards the terminal shows nothing: %v", err)
			}
			if err := p.ask(g); !errors.Is(err, errInterrupted) || strings.Count(screen.text(), p.shows) != 1 {
				t.Errorf("the next question is asked: %v, %q", err, screen.text())
			}
		})
	}
}

// TestCtrlDSaysWhatItWas is the other half of fault D13: it was "salvor: EOF".
func TestCtrlDSaysWhatItWas(t *testing.T) {
	t.Parallel()
	for name, p := range everyPrompt() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, screen, _ := onTerminal(t)
			ended := make(chan error, 1)
			go func() { ended <- p.ask(g) }()
			screen.await(t, p.shows)
			screen.send(t, "\x04")
			if err := <-ended; err == nil || !strings.HasPrefix(err.Error(), "nothing was typed") {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// TestAPersonHasThreeTries at the passphrase; a file has one.
func TestAPersonHasThreeTries(t *testing.T) {
	t.Parallel()
	g, screen, _ := onTerminal(t)
	ended := make(chan error, 1)
	go func() {
		for wrong := range tries + 1 {
			if _, err := unlock(g, "me.age", wrong); err != nil {
				ended <- err
				return
			}
		}
	}()
	for _, question := range []string{"Passphrase of me.age (once an hour: salvor key unlock): ", "That is not it. Passphrase of me.age (try 2 of 3): ", "(try 3 of 3): "} {
		screen.await(t, question)
		screen.send(t, "wrong\n")
	}
	if err := <-ended; !errors.Is(err, agekey.ErrNoOther) {
		t.Errorf("after three tries: %v", err)
	}
	g.passphraseFile = "/dev/null"
	if _, err := unlock(g, "me.age", 1); !errors.Is(err, agekey.ErrNoOther) {
		t.Errorf("a second try with the same file: %v", err)
	}
}

// TestAnSSHKeyIsTriedWithWhatIsGiven first, and then with what a person types.
func TestAnSSHKeyIsTriedWithWhatIsGiven(t *testing.T) {
	t.Parallel()
	g, screen, _ := onTerminal(t)
	g.passphraseCommand = "printf given"
	if v, err := unlockSSH(g, "id", 0); err != nil || string(v.Reveal()) != "given" {
		t.Errorf("%q, %v", v.Reveal(), err)
	}
	for wrong, shows := range []string{"(try 1 of 3): ", "(try 2 of 3): ", "(try 3 of 3): "} {
		got := make(chan secret.Value, 1)
		go func() {
			v, _ := unlockSSH(g, "id", wrong+1)
			got <- v
		}()
		screen.await(t, shows)
		screen.send(t, "typed\n")
		if v := <-got; string(v.Reveal()) != "typed" {
			t.Errorf("%q", v.Reveal())
		}
	}
	if _, err := unlockSSH(g, "id", 4); err == nil || err.Error() != "id: wrong passphrase" {
		t.Error(err)
	}
	g.Term = nil
	if _, err := unlockSSH(g, "id", 1); err == nil || err.Error() != "id: wrong passphrase" {
		t.Error(err)
	}
}

// TestWhatIsTypedAheadAnswersTheNextQuestion: a question takes its own line and no more.
func TestWhatIsTypedAheadAnswersTheNextQuestion(t *testing.T) {
	t.Parallel()
	g, screen, _ := onTerminal(t)
	screen.send(t, "y\nhome\n")
	screen.await(t, "home")
	if err := errors.Join(g.confirm("Apply to home?"), g.confirmName("This loses data", "home")); err != nil {
		t.Error(err)
	}
}

// TestOnlyThePromptsRead: a question that something else asks could be erased by the
// progress, or not heed Ctrl-C.
func TestOnlyThePromptsRead(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	reads := regexp.MustCompile(`bufio\.NewReader|ReadPassword|\.ReadString|Term\.Read|In\.Read|\bline\(|fmt\.Scan`)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if found := reads.Find(content); found != nil && file != "confirm.go" && !strings.HasSuffix(file, "_test.go") {
			t.Errorf("%s reads with %s; prompts.ask and hidden ask", file, found)
		}
	}
}

// TestAPassphraseComesFromACommand that runs without a shell; what it prints is shown to
// no one.
func TestAPassphraseComesFromACommand(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		`printf '%s\n' 'correct horse'`: "",
		`printf %s $HOME`:               "",
		`false`:                         "--passphrase-command: false ended with 1",
		`no-such-program`:               "--passphrase-command: there is no program no-such-program on this computer",
		`true`:                          "--passphrase-command: true printed nothing",
		`pass show salvor | head -n1`:   "--passphrase-command: not the words of one command",
		`sh -c 'echo hunter2; echo why >&2; exit 3'`: "--passphrase-command: sh ended with 3: why",
	} {
		g := &globals{prompts: prompts{output: output{Console: Console{Err: io.Discard}}, passphraseCommand: command}}
		value, err := g.passphrase("Passphrase: ")
		if want == "" {
			expected := map[bool]string{true: "$HOME", false: "correct horse"}[strings.Contains(command, "HOME")]
			if err != nil || string(value.Reveal()) != expected {
				t.Errorf("%s: %q, %v", command, value.Reveal(), err)
			}
			continue
		}
		code, _ := fault.Code(err)
		if err == nil || !strings.HasPrefix(err.Error(), want) || fault.Hint(err) == "" || code != fault.SecretsShut && code != fault.Usage || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, hint %q, code %d", command, err, fault.Hint(err), code)
		}
	}
}

// prompted is a terminal that notes whether it shows what is typed when a question appears.
type prompted struct {
	tty    *os.File
	echoes []bool
}

func (p *prompted) Write(text []byte) (int, error) {
	state, err := unix.IoctlGetTermios(int(p.tty.Fd()), getTermios)
	if err == nil && strings.Contains(string(text), "Passphrase") {
		p.echoes = append(p.echoes, state.Lflag&unix.ECHO != 0)
	}
	return p.tty.Write(text)
}

// TestAPassphraseIsHiddenBeforeItIsAskedFor: a password manager types at once, and the
// terminal showed what it typed until the echo was off.
func TestAPassphraseIsHiddenBeforeItIsAskedFor(t *testing.T) {
	t.Parallel()
	g, screen, _ := onTerminal(t)
	tty := &prompted{tty: g.Term}
	g.Err = tty
	got := make(chan secret.Value, 1)
	go func() {
		value, _ := g.passphrase("Passphrase: ")
		got <- value
	}()
	screen.await(t, "Passphrase: ")
	screen.send(t, "horse\n")
	if value := <-got; string(value.Reveal()) != "horse" || len(tty.echoes) != 1 || tty.echoes[0] {
		t.Errorf("read %d letters, with echo %v", len(value.Reveal()), tty.echoes)
	}
	state, err := unix.IoctlGetTermios(int(g.Term.Fd()), getTermios)
	if err != nil || state.Lflag&unix.ECHO == 0 {
		t.Errorf("afterwards the terminal shows nothing: %v", err)
	}
}

// TestAHostnameThatLosesItsProtectionIsTyped: neither --yes nor a wrong answer confirms it.
func TestAHostnameThatLosesItsProtectionIsTyped(t *testing.T) {
	for typed, want := range map[string]error{"app.example.com": nil, "y": errNotConfirmed} {
		g, screen, _ := onTerminal(t)
		g.yes = true
		asked := make(chan error)
		go func() { asked <- g.confirmOpen("app.example.com", []string{"b.example.com"}) }()
		screen.await(t, "everyone will reach app.example.com, which asked for protection until now")
		screen.await(t, "Type app.example.com to continue: ")
		screen.send(t, typed+"\n")
		if err := <-asked; !errors.Is(err, want) {
			t.Errorf("%s: %v", typed, err)
		}
	}
	g := &globals{prompts: prompts{yes: true}}
	if err := g.confirmOpen("app.example.com", []string{"app.example.com"}); err != nil {
		t.Error(err)
	}
	if code, _ := fault.Code(g.confirmOpen("app.example.com", nil)); code != fault.Usage {
		t.Errorf("without a terminal: %d", code)
	}
}
