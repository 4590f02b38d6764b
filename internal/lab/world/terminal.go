package world

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/creack/pty"
)

// furnish gives the operator what a person has before the fleet is made: a name,
// an SSH key that servers accept, another one for backups, and no server pinned.
// OpenSSH looks for its files in the home of the user's entry, hence the -F.
func (w *World) furnish() error {
	ssh := filepath.Join(w.home, ".ssh")
	if err := os.MkdirAll(ssh, 0o700); err != nil {
		return err
	}
	key, err := os.ReadFile(w.Lab.Key())
	if err != nil {
		return err
	}
	files := map[string]string{
		".gitconfig": gitConfig, ".ssh/id_ed25519": string(key), ".ssh/backup_ed25519": string(key),
		".ssh/config": fmt.Sprintf("IdentityFile %s/id_ed25519\nUserKnownHostsFile %s/known_hosts\n", ssh, ssh),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(w.home, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// A Terminal is a shell in the operator's home on a terminal of its own, at which
// a person types. Nothing is preset that a person would have to know.
type Terminal struct {
	log    io.Writer
	person *os.File
	shell  *exec.Cmd

	mu    sync.Mutex
	shown []byte
	over  error // why nothing more comes
}

// An Answer is what a person types when the screen ends with a question.
type Answer struct {
	Question *regexp.Regexp // fits the last line, spaces behind it left out
	Reply    string
}

// prompt is what the shell says when it waits for a command.
const prompt = "[ended with $?] olga$ "

// Terminal opens one. It is closed when ctx ends.
func (w *World) Terminal(ctx context.Context) (*Terminal, error) {
	cmd := exec.CommandContext(ctx, "bash", "--noprofile", "--norc", "--noediting", "-i")
	cmd.Dir = w.home
	cmd.Env = []string{
		"HOME=" + w.home, "PATH=" + filepath.Dir(w.salvor) + ":" + os.Getenv("PATH"), "PS1=" + prompt, "TERM=xterm", "LANG=C.UTF-8",
		"GIT_SSH_COMMAND=ssh -F " + filepath.Join(w.home, ".ssh", "config"),
	}
	person, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 200})
	if err != nil {
		return nil, err
	}
	t := &Terminal{log: w.Log, person: person, shell: cmd}
	go t.watch()
	context.AfterFunc(ctx, func() {
		person.Close()
		_ = cmd.Wait() // it ends with its terminal
	})
	_, _, err = t.until(ctx, 0, nil)
	return t, err
}

// watch keeps what the screen shows.
func (t *Terminal) watch() {
	buffer := make([]byte, 4096)
	for {
		n, err := t.person.Read(buffer)
		t.mu.Lock()
		t.shown = append(t.shown, buffer[:n]...)
		t.over = err
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// commandLimit is how long a command may take.
const commandLimit = 5 * time.Minute

// Run types a command line and answers what is asked until the shell waits for
// the next one. It returns what the screen showed, without colours and cursor
// movements; a command that ends badly, or asks what has no answer, is an error
// that holds the end of that.
func (t *Terminal) Run(ctx context.Context, line string, answers ...Answer) (string, error) {
	t.mu.Lock()
	from := len(t.shown)
	t.mu.Unlock()
	if _, err := io.WriteString(t.person, line+"\n"); err != nil {
		return "", err
	}
	began := time.Now()
	shown, code, err := t.until(ctx, from, answers)
	if t.log != nil {
		fmt.Fprintf(t.log, "%s(%s)\n", shown, time.Since(began).Round(time.Millisecond))
	}
	if err == nil && code != 0 {
		err = fmt.Errorf("it ended with %d", code)
	}
	if err != nil {
		return shown, fmt.Errorf("%s: %w; the screen shows:\n%s", line, err, shown[max(0, len(shown)-2000):])
	}
	return shown, nil
}

var ended = regexp.MustCompile(`\[ended with (\d+)\] olga\$ $`)

// until answers questions until the shell's prompt is the last thing on screen.
func (t *Terminal) until(ctx context.Context, from int, answers []Answer) (shown string, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for answered := from; ; {
		t.mu.Lock()
		all, over := plain(t.shown[from:]), t.over
		unanswered := plain(t.shown[answered:])
		size := len(t.shown)
		t.mu.Unlock()
		if m := ended.FindStringSubmatch(all); m != nil {
			code, err := strconv.Atoi(m[1])
			return all, code, err
		}
		if reply, asked := replyTo(unanswered, answers); asked {
			if _, err := io.WriteString(t.person, reply+"\n"); err != nil {
				return all, 0, err
			}
			answered = size
		}
		if over != nil {
			return all, 0, over
		}
		select {
		case <-ctx.Done():
			return all, 0, fmt.Errorf("the shell does not come back: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// replyTo finds the question with which the screen ends.
func replyTo(shown string, answers []Answer) (string, bool) {
	last := strings.TrimRight(shown[strings.LastIndex(shown, "\n")+1:], " ")
	for _, a := range answers {
		if a.Question.MatchString(last) {
			return a.Reply, true
		}
	}
	return "", false
}

var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

// plain is text without escape sequences and carriage returns.
func plain(shown []byte) string {
	return strings.ReplaceAll(escapes.ReplaceAllString(string(shown), ""), "\r", "")
}
