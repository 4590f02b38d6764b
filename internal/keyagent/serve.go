package keyagent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"filippo.io/age"

	"salvor/internal/runlock"
	"salvor/internal/secret/agekey"
)

const (
	// usualLook is how often an agent looks whether the computer has slept past the end,
	// and whether its socket is still there: the system removes it at logout.
	usualLook = 5 * time.Second
	// patience is what one connection may take.
	patience = 5 * time.Second
	// maxStart is more than the first line has.
	maxStart = 16 << 10
	// listening is what an agent says once it can be asked.
	listening = "listening"
)

// An agent serves one key.
type agent struct {
	user    int           // who may ask
	look    time.Duration // how often it looks, see usualLook
	path    string
	vault   *vault
	opened  time.Time // when the passphrase was typed
	changed chan struct{}
	ended   chan struct{}
	endOnce sync.Once

	recipients []string

	mu    sync.Mutex // guards lease
	lease lease
}

// Serve is the agent's process: it reads a key from in, as Start sends it, and holds it
// until its time is over, it is asked to lock, its socket is removed or ctx ends. It
// writes one line once it listens. What it held is wiped when it returns.
func Serve(ctx context.Context, in io.Reader, ready io.Writer) error {
	stayInMemory()
	s, a, err := receive(in)
	if err != nil {
		return err
	}
	return a.run(ctx, s, ready)
}

// run is Serve once the key is there.
func (a *agent) run(ctx context.Context, s start, ready io.Writer) error {
	defer a.vault.wipe()
	if err := s.Folder.check(); err != nil {
		return err
	}
	lock, err := runlock.Acquire(string(s.Folder), s.Name, runlock.Holder{Message: "holds a key"})
	if err != nil {
		return err
	}
	defer lock.Release()
	socket := s.Folder.socket(s.Name)
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) { // of an agent that was killed
		return err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	defer listener.Close()
	err = os.Chmod(socket, 0o600)
	mine, failed := os.Lstat(socket)
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	go a.accept(listener)
	if _, err := io.WriteString(ready, listening+"\n"); err != nil {
		return err // no one learns that the key is open
	}
	a.wait(ctx, socket, mine)
	return nil
}

// receive reads what Start sends.
func receive(in io.Reader) (start, *agent, error) {
	var s start
	line, err := firstLine(in, maxStart)
	if err == nil {
		err = json.Unmarshal(line, &s)
	}
	if err != nil {
		return s, nil, fmt.Errorf("the key agent is started by salvor key unlock: %w", err)
	}
	v, err := newVault(in, s.Size)
	if err != nil {
		return s, nil, err
	}
	a := &agent{user: os.Geteuid(), look: usualLook, path: s.Path, vault: v, opened: time.Now(), changed: make(chan struct{}, 1), ended: make(chan struct{})}
	a.extend(s.Lasts)
	err = a.with(func(ids []age.Identity) error {
		for _, id := range ids {
			if recipient, named := agekey.RecipientOf(id); named {
				a.recipients = append(a.recipients, recipient)
			}
		}
		return nil
	})
	if err != nil {
		v.wipe()
	}
	return s, a, err
}

// firstLine reads a line byte for byte: what follows it is not to be in any buffer.
func firstLine(in io.Reader, most int) ([]byte, error) {
	var line []byte
	for one := make([]byte, 1); len(line) < most; {
		if _, err := io.ReadFull(in, one); err != nil {
			return nil, err
		}
		if one[0] == '\n' {
			return line, nil
		}
		line = append(line, one[0])
	}
	return nil, errors.New("the first line is too long")
}

// with calls use with the keys, which exist for that moment only.
func (a *agent) with(use func([]age.Identity) error) error {
	return a.vault.read(func(text []byte) error {
		ids, err := agekey.ParseIdentities(a.path, text, nil)
		if err != nil {
			return err
		}
		return use(ids)
	})
}

// wait returns when the key is to be closed.
func (a *agent) wait(ctx context.Context, socket string, mine fs.FileInfo) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.ended:
			return
		case <-a.changed:
		case <-time.After(min(a.look, a.now().left(time.Now()))):
			there, err := os.Lstat(socket)
			if err != nil || !os.SameFile(there, mine) || a.now().over(time.Now()) {
				return
			}
		}
	}
}

func (a *agent) now() lease {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lease
}

// extend has the key open from now on for a time, at most until Longest is over.
func (a *agent) extend(lasts time.Duration) {
	now := time.Now()
	a.mu.Lock()
	a.lease = lease{from: now, lasts: min(lasts, lease{a.opened, Longest}.left(now))}
	a.mu.Unlock()
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

func (a *agent) accept(listener *net.UnixListener) {
	for {
		conn, err := listener.AcceptUnix()
		if err != nil {
			return // it was closed: the key is, too
		}
		go a.serve(conn)
	}
}

// serve answers one request of this user's; others get no answer.
func (a *agent) serve(conn *net.UnixConn) {
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(patience)) != nil || mustBe(a.user, conn) != nil {
		return
	}
	w, locked := a.read(conn)
	_, _ = conn.Write(w) // someone who went away needs no answer
	clear(w)
	if locked {
		a.endOnce.Do(func() { close(a.ended) })
	}
}

// read reads a request and returns the line to answer, none to what is not a request, and
// whether it was to lock.
func (a *agent) read(r io.Reader) (line []byte, locked bool) {
	var q request
	if err := json.NewDecoder(io.LimitReader(r, maxMessage)).Decode(&q); err != nil {
		return nil, false
	}
	w, held := a.answer(q)
	content, err := json.Marshal(w)
	if !held || err != nil {
		return nil, false // the same as an agent that has ended
	}
	return append(content, '\n'), q.Verb == verbLock
}

// answer returns what is asked for; held is false when the key is not open any more.
func (a *agent) answer(q request) (w answer, held bool) {
	if a.now().over(time.Now()) {
		return w, false
	}
	switch {
	case q.Verb == verbUnwrap:
		return a.unwrap(q.Stanzas)
	case q.Verb == verbExtend && q.Lasts > 0:
		a.extend(q.Lasts)
	case q.Verb == verbLock:
		a.vault.wipe()
	case q.Verb != verbHeld:
		return answer{Error: "the key agent is of another version: salvor key lock, then salvor key unlock"}, true
	}
	return answer{Held: &Held{Path: a.path, Recipients: a.recipients, Until: a.now().until()}}, true
}

// unwrap returns the key of the one file that the stanzas belong to.
func (a *agent) unwrap(stanzas []stanza) (w answer, held bool) {
	var header []*age.Stanza
	for _, s := range stanzas {
		header = append(header, &age.Stanza{Type: s.Type, Args: s.Args, Body: bytes.Clone(s.Body)})
	}
	err := a.with(func(ids []age.Identity) error {
		for _, id := range ids {
			key, err := id.Unwrap(header)
			if err == nil {
				w.FileKey = key
				return nil
			}
			if !errors.Is(err, age.ErrIncorrectIdentity) {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, ErrNone) {
		return answer{}, false
	}
	if err != nil {
		w.Error = err.Error()
	}
	return w, true
}
