package local

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"salvor/internal/machine"
)

// quiet is how long an output stream may stay open and silent after the
// program's end: a daemon that it started holds it.
const quiet = 2 * time.Second

// process is one run of a program, with its streams. The streams are copied here and
// not by os/exec, which would wait for what the program left behind before anyone
// could end it, and for the end of an interactive stdin.
type process struct {
	cmd            *exec.Cmd
	stdin          io.Reader
	stdout, stderr io.Writer
	fail           func(error) // ends the program with a cause

	ours   []*os.File // this side of the streams
	theirs []*os.File // the program's side, closed once it has started
	flows  []*machine.Flow
	done   chan struct{}
}

// run starts the program and returns when it and its process group have ended.
func (p *process) run(tty *machine.TTY) error {
	p.done = make(chan struct{})
	defer close(p.done)
	defer func() { closeAll(p.ours) }()
	connect := p.pipes
	if tty != nil {
		connect = func() error { return p.terminal(tty) }
	}
	err := connect()
	closeAll(p.theirs)
	if err != nil {
		return err
	}
	err = p.cmd.Wait()
	if killErr := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); killErr != nil && !errors.Is(killErr, syscall.ESRCH) {
		return errors.Join(err, killErr)
	}
	for _, f := range p.flows {
		if !f.Drain(quiet) {
			closeAll(p.ours)
			f.Drain(quiet)
		}
	}
	return err
}

func (p *process) pipes() error {
	if p.stdin != nil {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		p.cmd.Stdin, p.theirs, p.ours = r, append(p.theirs, r), append(p.ours, w)
	}
	var readers []*os.File
	for range 2 {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		readers, p.theirs, p.ours = append(readers, r), append(p.theirs, w), append(p.ours, r)
	}
	outputs := p.theirs[len(p.theirs)-2:]
	p.cmd.Stdout, p.cmd.Stderr = outputs[0], outputs[1]
	if err := p.cmd.Start(); err != nil {
		return err
	}
	if p.stdin != nil {
		go p.feed(p.ours[0], func(w *os.File) { w.Close() })
	}
	p.flows = []*machine.Flow{machine.Copy(p.stdout, readers[0], p.fail), machine.Copy(p.stderr, readers[1], p.fail)}
	return nil
}

// feed copies stdin to the program and says when it ends. An input that breaks off must not look
// complete to the program, so it ends the program before the stream is closed.
func (p *process) feed(w *os.File, end func(*os.File)) {
	buf := make([]byte, 32<<10)
	for {
		n, err := p.stdin.Read(buf)
		if _, writeErr := w.Write(buf[:n]); writeErr != nil {
			return // the program wants no more
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			end(w)
			return
		default:
			p.fail(err)
			return
		}
	}
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
