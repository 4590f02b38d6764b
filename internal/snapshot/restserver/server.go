// Package restserver lets the restic program work on a blob.Store: it speaks
// restic's REST backend protocol (https://restic.readthedocs.io/en/stable/REST_backend.html,
// versions 1 and 2) on loopback, and keeps three promises that restic's own
// backends do not: uploads made while a stack is paused wait in a spool,
// snapshot files are only written when the caller commits them, and every
// object written has a proof.
package restserver

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"salvor/internal/blob"
	"salvor/internal/secret"
)

// Mode says what restic may change.
type Mode int

// The modes. A host that is fenced reads; one that takes snapshots appends;
// only the holder of the claim prunes.
const (
	ReadOnly   Mode = iota
	AppendOnly      // adds objects and removes locks
	Full
)

// ErrMode is wrapped by the error of a request that the mode forbids.
var ErrMode = errors.New("not allowed in this mode")

// ErrHolds is wrapped by the error of a deletion that Options.Holds refused.
var ErrHolds = errors.New("no longer allowed")

// attempts is how often one object may fail before the run is given up: restic itself
// would continue for 15 minutes.
const attempts = 3

// Options configure a Server.
type Options struct {
	Store blob.Store // the repository's folder
	Mode  Mode
	Spool string // an existing folder, 0700, for objects that wait; "" for reading only
	// Holds is asked before each deletion that needs Full whether the caller may
	// still do that; an error refuses it and ends the run. nil is always.
	Holds func(context.Context) error
	// Abort gets, at most once, the reason why restic can no longer succeed. The
	// caller ends restic then. May be nil.
	Abort func(error)
	// Listen opens the server's socket; nil for a free loopback port.
	Listen func(ctx context.Context) (net.Listener, error)
}

// A Pass says how the requests of the next run of restic are handled.
type Pass struct {
	// Spool keeps packs and indexes on this host until Commit.
	Spool bool
	// Ready is called once, when restic holds its lock and is about to read
	// the repository's index and then the files; restic waits for it. May be nil.
	Ready func(context.Context) error
	// Read is called once, when restic has read every file: its snapshot has
	// arrived. May be nil.
	Read func()
}

// A Written is an object that is on the remote, with its proof.
type Written struct {
	Path  string
	Proof blob.Proof
}

// A Server serves one repository to one run of restic at a time. Methods are
// safe for concurrent use.
type Server struct {
	opts     Options
	http     *http.Server
	listener net.Listener
	password string
	served   chan error

	mu       sync.Mutex // guards everything below
	pass     Pass
	locked   bool                        // this pass has created its lock
	snapshot string                      // id of the one this pass has made
	listings map[string]map[string]int64 // kind to names, once listed
	held     map[file]spooled
	written  []Written
	failures map[file]int
	broken   map[file]bool // uploads of this run that failed, of which something may be there
	aborted  bool
}

func loopback(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", "127.0.0.1:0")
}

// Start serves the repository on a free loopback port until Close. ctx bounds
// every request.
func Start(ctx context.Context, opts Options) (*Server, error) {
	if opts.Listen == nil {
		opts.Listen = loopback
	}
	listener, err := opts.Listen(ctx)
	if err != nil {
		return nil, fmt.Errorf("serve repository: %w", err)
	}
	password := make([]byte, 32)
	if _, err := rand.Read(password); err != nil {
		return nil, err
	}
	s := &Server{
		opts: opts, listener: listener, password: hex.EncodeToString(password), served: make(chan error, 1),
		listings: map[string]map[string]int64{}, held: map[file]spooled{}, failures: map[file]int{},
		broken: map[file]bool{},
	}
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() { s.served <- s.http.Serve(listener) }()
	return s, nil
}

// URL is the repository's location for restic. It holds the password of this
// server, so it travels like a secret.
func (s *Server) URL() secret.Value {
	return secret.NewString(fmt.Sprintf("rest:http://salvor:%s@%s/", s.password, s.listener.Addr()))
}

// Close stops serving and removes what still waits in the spool.
func (s *Server) Close() error {
	err := s.http.Close()
	if served := <-s.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for f, h := range s.held {
		err = errors.Join(err, os.Remove(h.path))
		delete(s.held, f)
	}
	return err
}

// Begin sets how the next run of restic is handled.
func (s *Server) Begin(p Pass) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pass, s.locked, s.snapshot = p, false, ""
}

// Snapshot returns the full id of the snapshot that the run since Begin has
// made, "" for none. It counts only once committed.
func (s *Server) Snapshot() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot
}

// Written returns the objects written so far, in order.
func (s *Server) Written() []Written {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Written(nil), s.written...)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	_, password, _ := r.BasicAuth()
	if subtle.ConstantTimeCompare([]byte(password), []byte(s.password)) != 1 {
		http.Error(w, "wrong password", http.StatusUnauthorized)
		return
	}
	if r.URL.Path == "/" && r.Method == http.MethodPost { // ?create=true: folders come with their files
		s.answer(w, file{}, s.allow(AppendOnly))
		return
	}
	f, err := parsePath(r.URL.Path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if f.name == "" {
		s.list(w, r, f.kind)
		return
	}
	switch r.Method {
	case http.MethodHead:
		s.head(w, r, f)
	case http.MethodGet:
		s.get(w, r, f)
	case http.MethodPost:
		s.answer(w, f, s.post(r, f))
	case http.MethodDelete:
		s.answer(w, f, s.remove(r, f))
	default:
		http.Error(w, "unknown method", http.StatusMethodNotAllowed)
	}
}

func (s *Server) allow(needed Mode) error {
	if s.opts.Mode < needed {
		return ErrMode
	}
	return nil
}

// answer ends a request that has no content, and counts its failure.
func (s *Server) answer(w http.ResponseWriter, f file, err error) {
	switch {
	case err == nil:
		w.WriteHeader(http.StatusOK)
	case errors.Is(err, ErrMode), errors.Is(err, ErrHolds):
		http.Error(w, err.Error(), http.StatusForbidden)
		s.abort(fmt.Errorf("%s: %w", f, err))
	case errors.Is(err, blob.ErrNotExist):
		http.Error(w, err.Error(), http.StatusNotFound)
		s.failed(f, err)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
		s.failed(f, err)
	}
}

func (s *Server) failed(f file, err error) {
	s.mu.Lock()
	s.failures[f]++
	over := s.failures[f] >= attempts
	s.mu.Unlock()
	if over {
		s.abort(err)
	}
}

func (s *Server) abort(err error) {
	s.mu.Lock()
	first := !s.aborted
	s.aborted = true
	s.mu.Unlock()
	if first && s.opts.Abort != nil {
		s.opts.Abort(err)
	}
}
