package ssh

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"salvor/internal/machine"
)

// session is one SSH session channel (RFC 4254, 6).
type session struct {
	channel ssh.Channel
	ended   chan struct{} // closed when the host said how it ended, or went away
	closed  chan struct{} // closed when both sides have closed the channel

	// set before ended is closed
	said   bool // the host said how it ended
	code   int
	signal string
}

// refusedAgain is how often a refused session is asked for: sshd still counts
// one that has just ended.
const refusedAgain = 50

// open opens a session.
func (m *Machine) open(ctx context.Context) (*session, error) {
	for try := 0; ; try++ {
		s, err := m.openOnce(ctx)
		var refused *ssh.OpenChannelError
		if err == nil || !errors.As(err, &refused) || try == refusedAgain {
			return s, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (m *Machine) openOnce(ctx context.Context) (*session, error) {
	type result struct {
		s   *session
		err error
	}
	got := make(chan result, 1)
	go func() {
		channel, requests, err := m.client.OpenChannel("session", nil)
		if err != nil {
			got <- result{err: err}
			return
		}
		s := &session{channel: channel, ended: make(chan struct{}), closed: make(chan struct{})}
		go s.listen(requests)
		got <- result{s: s}
	}()
	var refused *ssh.OpenChannelError
	select {
	case r := <-got:
		switch {
		case errors.As(r.err, &refused):
			return nil, fmt.Errorf("%s: open a session: %w", m.name, r.err)
		case r.err != nil:
			return nil, m.lost(r.err)
		}
		return r.s, nil
	case <-ctx.Done():
		go func() {
			if r := <-got; r.err == nil {
				r.s.channel.Close()
			}
		}()
		return nil, fmt.Errorf("%s: %w", m.name, context.Cause(ctx))
	}
}

// exec starts a command line without waiting for the host's yes, which would
// cost a round trip: a no closes the channel.
func (s *session) exec(line string) error {
	_, err := s.channel.SendRequest("exec", false, ssh.Marshal(struct{ Command string }{line}))
	return err
}

// listen waits for the exit status and ends with the channel.
func (s *session) listen(requests <-chan *ssh.Request) {
	for r := range requests {
		switch {
		case r.Type == "exit-status" && !s.said:
			var status struct{ Code uint32 }
			if ssh.Unmarshal(r.Payload, &status) == nil {
				s.end(int(status.Code), "")
			}
		case r.Type == "exit-signal" && !s.said:
			var status struct {
				Signal     string
				CoreDumped bool
				Error      string
				Lang       string
			}
			if ssh.Unmarshal(r.Payload, &status) == nil {
				s.end(-1, status.Signal)
			}
		case r.WantReply:
			_ = r.Reply(false, nil) // as RFC 4254 5.4 wants; a lost connection is noticed elsewhere
		}
	}
	if !s.said {
		close(s.ended)
	}
	close(s.closed)
}

func (s *session) end(code int, signal string) {
	s.said, s.code, s.signal = true, code, signal
	close(s.ended)
}

// terminal asks for a pseudo-terminal before exec.
func (s *session) terminal(t *machine.TTY, term string) error {
	ok, err := s.channel.SendRequest("pty-req", true, ssh.Marshal(struct {
		Term                            string
		Columns, Rows, PixelsX, PixelsY uint32
		Modes                           string
	}{Term: term, Columns: uint32(t.Width), Rows: uint32(t.Height), Modes: "\x00"}))
	if err == nil && !ok {
		err = errors.New("the host does not provide a terminal")
	}
	return err
}

// resize passes changes of the terminal's size on until the session ends.
func (s *session) resize(sizes <-chan [2]int) {
	for {
		select {
		case <-s.ended:
			return
		case size, ok := <-sizes:
			if !ok {
				return
			}
			_, err := s.channel.SendRequest("window-change", false, ssh.Marshal(struct {
				Columns, Rows, PixelsX, PixelsY uint32
			}{Columns: uint32(size[0]), Rows: uint32(size[1])}))
			if err != nil {
				return
			}
		}
	}
}

// feed sends stdin in frames (see launch.go), or as it is to a terminal. An
// error of the reader goes to failed and leaves the frames unfinished.
func (s *session) feed(stdin io.Reader, framed bool, failed func(error)) {
	buf := make([]byte, 256<<10)
	for {
		n, err := stdin.Read(buf)
		if n > 0 && framed {
			if _, err := fmt.Fprintf(s.channel, "%d\n", n); err != nil {
				return // the session is over
			}
		}
		if _, err := s.channel.Write(buf[:n]); err != nil {
			return
		}
		switch {
		case err == nil:
			continue
		case !errors.Is(err, io.EOF):
			failed(err)
		case framed:
			_, _ = io.WriteString(s.channel, "0\n") // a session that is over needs no end
		default:
			_ = s.channel.CloseWrite()
		}
		return
	}
}

// announcement is the launcher's line and nothing like it: what a login shell
// prints comes before. A terminal ends it with a carriage return.
var announcement = regexp.MustCompile(`^salvor-run ([0-9]+) ([0-9]+)\r?\n$`)

// announced reads stdout from after the launcher's line, which says the process
// group and the program's process: "salvor-run GROUP PROGRAM".
type announced struct {
	from    *bufio.Reader
	group   string
	program string
	once    sync.Once
	known   chan struct{} // closed when group and program are, or never will be
}

func newAnnounced(r io.Reader) *announced {
	return &announced{from: bufio.NewReaderSize(r, 32<<10), known: make(chan struct{})}
}

// Read implements io.Reader.
func (a *announced) Read(p []byte) (int, error) {
	for a.group == "" {
		line, err := a.from.ReadString('\n')
		if err != nil {
			a.once.Do(func() { close(a.known) })
			return 0, err
		}
		if said := announcement.FindStringSubmatch(line); said != nil {
			a.group, a.program = said[1], said[2]
			a.once.Do(func() { close(a.known) })
		}
	}
	return a.from.Read(p)
}
