package sshtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"salvor/internal/machine"
)

// A shell is one command on its way.
type shell struct {
	ssh.Channel
	f    *Fake
	tty  bool
	root bool
}

// session runs what is asked for in one channel.
func (f *Fake) session(ctx context.Context, channel ssh.Channel, requests <-chan *ssh.Request) {
	s := &shell{Channel: channel, f: f, root: f.now().User == "root"}
	for r := range requests {
		known := r.Type == "pty-req" || r.Type == "exec"
		if r.WantReply {
			_ = r.Reply(known, nil) // a lost connection ends the requests
		}
		s.tty = s.tty || r.Type == "pty-req"
		var line struct{ Text string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &line) != nil {
			continue
		}
		go func() {
			defer channel.Close()
			code := s.run(ctx, line.Text)
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(code)}))
		}()
	}
}

func (s *shell) complain(code int, text string) int {
	fmt.Fprintln(s.Stderr(), text)
	return code
}

func (s *shell) run(ctx context.Context, line string) int {
	s.f.mu.Lock()
	s.f.lines = append(s.f.lines, line)
	s.f.mu.Unlock()
	if s.f.now().Expired {
		if !s.tty {
			return s.complain(1, "WARNING: Your password has expired.\nPassword change required but no TTY available.")
		}
		return s.passwd()
	}
	return s.program(ctx, words(strings.TrimPrefix(line, "exec ")))
}

// passwd is what sshd runs on a terminal in place of anything else.
func (s *shell) passwd() int {
	in := bufio.NewReader(s)
	ask := func(question string) string {
		fmt.Fprint(s, strings.ReplaceAll(question, "\n", "\r\n"))
		line, _ := in.ReadString('\n')
		fmt.Fprint(s, "\r\n")
		return strings.TrimSuffix(line, "\n")
	}
	if !s.f.renew(ask, "WARNING: Your password has expired.\nYou must change your password now and login again!\nChanging password for "+s.f.now().User+".\n") {
		fmt.Fprint(s, "passwd: Authentication token manipulation error\r\npasswd: password unchanged\r\n")
		return 10
	}
	fmt.Fprint(s, "passwd: password updated successfully\r\n")
	return 0
}

// words splits a command line of quoted arguments.
func words(line string) []string {
	var all []string
	var word strings.Builder
	quoted, any := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\'':
			quoted, any = !quoted, true
		case quoted:
			word.WriteByte(c)
		case c == '\\' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
		case c == ' ':
			if any {
				all = append(all, word.String())
			}
			word.Reset()
			any = false
		default:
			word.WriteByte(c)
			any = true
		}
	}
	if any {
		all = append(all, word.String())
	}
	return all
}

func (s *shell) program(ctx context.Context, argv []string) int {
	if argv[0] == "env" {
		for argv = argv[1:]; strings.Contains(argv[0], "="); argv = argv[1:] {
		}
	}
	switch {
	case argv[0] == "sudo":
		return s.sudo(ctx, argv[1:])
	case len(argv) > 2 && argv[2] == "sudo -n true":
		return s.sudo(ctx, []string{"-n", "--", "/bin/sh", "-c", ":"})
	case len(argv) < 3 || argv[0] != "/bin/sh":
		return s.complain(127, argv[0]+": not found")
	}
	script := argv[2]
	switch {
	case s.root && strings.Contains(script, "salvor-ready"):
		return s.warden()
	case s.root && strings.Contains(script, "salvor-run"):
		return s.launch(ctx, argv[4:])
	}
	return s.really(ctx, argv)
}

// sudo knows -n, and -S with -k.
func (s *shell) sudo(ctx context.Context, argv []string) int {
	now, inner := s.f.now(), argv
	for i, arg := range argv {
		if arg == "--" {
			inner = argv[i+1:]
			break
		}
	}
	granted, _ := os.ReadFile(filepath.Join(s.f.Sudoers, "salvor"))
	free := now.Sudo == SudoFree || strings.Contains(string(granted), now.User+" ALL=(ALL:ALL) NOPASSWD: ALL\n")
	switch {
	case now.Sudo == SudoMissing:
		return s.complain(127, "sudo: not found")
	case free:
	case argv[0] == "-n":
		return s.complain(1, "sudo: a password is required")
	default:
		line, _ := bufio.NewReader(s).ReadString('\n')
		if line != now.Password+"\n" {
			return s.complain(1, "Sorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt")
		}
		if now.Sudo == SudoRefuses {
			return s.complain(1, now.User+" is not in the sudoers file.")
		}
	}
	s.root = true
	return s.program(ctx, inner)
}

// visudo is what stands for it: it takes lines of the form that Salvor writes.
const visudo = `visudo() { ! grep -vqxE '[A-Za-z_][A-Za-z0-9_.-]* ALL=\(ALL:ALL\) NOPASSWD: ALL' "$3"; }
`

// systemctl reloads sshd: what a script that ended left in its folder counts.
const systemctl = `systemctl() { [ "$1" = reload ]; }
`

// really runs a script on this machine: the user's in the user's home, root's with a
// folder of its own for sudoers.
func (s *shell) really(ctx context.Context, argv []string) int {
	script := argv[2]
	if s.root {
		script = visudo + systemctl + strings.NewReplacer("/etc/sudoers.d", s.f.Sudoers, "/etc/ssh", s.f.SSH).Replace(script)
	}
	if s.f.now().Full {
		script = "sync() { echo 'sync: No space left on device' >&2; return 1; }\n" + script
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", script}, argv[3:]...)...)
	cmd.Env = []string{"PATH=" + machine.Path, "LC_ALL=C", "HOME=" + s.f.Home}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s, s, s.Stderr()
	err := cmd.Run()
	s.f.reload()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		return s.complain(126, err.Error())
	}
	return 0
}

// warden is there as long as the other side is, and ends commands on request.
func (s *shell) warden() int {
	fmt.Fprintln(s, "salvor-ready")
	in := bufio.NewScanner(s)
	for in.Scan() {
		if message := strings.Fields(in.Text()); len(message) == 3 && message[0] == "stop" {
			s.f.mu.Lock()
			if stop := s.f.running[message[2]]; stop != nil {
				stop()
			}
			s.f.mu.Unlock()
		}
	}
	return 0
}

// launch hands a program to the machine.
func (s *shell) launch(ctx context.Context, args []string) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.f.mu.Lock()
	number := strconv.Itoa(len(s.f.lines) + 100)
	s.f.running[number] = cancel
	s.f.mu.Unlock()
	fmt.Fprintf(s, "salvor-run %s %s\n", number, number)
	c := machine.Cmd{Stdout: s, Stderr: s.Stderr()}
	if args[1] == "frames" {
		c.Stdin = unframed(s)
	}
	for c.Argv = args[3:]; ; c.Argv = c.Argv[1:] {
		if c.Argv[0] == "-C" {
			c.Dir, c.Argv = c.Argv[1], c.Argv[1:]
		} else if !strings.Contains(c.Argv[0], "=") {
			break
		}
	}
	return s.handed(ctx, c)
}

func (s *shell) handed(ctx context.Context, c machine.Cmd) int {
	root := s.f.now().Root
	script := ""
	if c.Argv[0] == "sh" && len(c.Argv) > 4 {
		script = c.Argv[2]
	}
	var err error
	switch {
	case strings.Contains(script, `.salvor-$unique.tmp`):
		mode, _ := strconv.ParseUint(c.Argv[5], 8, 32)
		if s.f.now().Full {
			return s.complain(1, "cat: write error: No space left on device")
		}
		err = root.WriteFile(ctx, c.Argv[4], c.Stdin, os.FileMode(mode))
	case strings.Contains(script, `exec cat -- "$1"`):
		var content []byte
		if content, err = root.ReadFile(ctx, c.Argv[4]); err != nil {
			return 66
		}
		_, err = s.Write(content)
	default:
		var out machine.Output
		out, err = root.Run(ctx, c)
		_, _ = s.Write(out.Stdout) // a machine that keeps it although it got a writer
	}
	var exit *machine.ExitError
	switch {
	case errors.As(err, &exit):
		return s.complain(exit.Code, string(exit.Stderr))
	case err != nil:
		return s.complain(1, err.Error())
	}
	return 0
}

// unframed reads standard input as machine/ssh sends it: each frame behind a line with its
// length, and an empty one at the end.
func unframed(from io.Reader) io.Reader {
	read, write := io.Pipe()
	go func() {
		in := bufio.NewReader(from)
		for {
			line, err := in.ReadString('\n')
			n, _ := strconv.Atoi(strings.TrimSpace(line))
			if err == nil && n > 0 {
				_, err = io.CopyN(write, in, int64(n))
			}
			if err != nil || n == 0 {
				_ = write.CloseWithError(err)
				return
			}
		}
	}()
	return read
}
