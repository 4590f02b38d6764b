package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// Options say how a lab is started.
type Options struct {
	Name string // part of the run id, for people; default "lab"
	Keep bool   // outlive this process: only Down, Remove or End end it
	// Log receives one line for each slow step. Nil drops them.
	Log func(format string, args ...any)
}

// A Lab is one run: a network of its own and everything on it. Its methods are
// safe for concurrent use.
type Lab struct {
	ID string // unique, prefix of every name on the engine

	options Options
	owner   string
	subnet  netip.Prefix
	folder  string // keys and served files of this run
	signals chan os.Signal
	done    chan struct{} // closed by Down

	creating sync.RWMutex // held while a container is created; Down takes it whole
	isDown   bool         // guarded by creating

	mu       sync.Mutex
	taken    int // highest address handed out, within the subnet
	hosts    map[string]*Host
	apt      *aptServer
	internet *internet // nil: none was started
}

// Start makes a lab: it sweeps what dead runs left, creates the network, the
// operator's SSH key and the package cache. A signal to end (interrupt, termination, the
// loss of its terminal) takes the lab down before it ends the process.
func Start(ctx context.Context, o Options) (*Lab, error) {
	if err := Available(ctx); err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = "lab"
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	l := &Lab{
		ID: newID(o.Name), options: o, owner: kept, taken: 1,
		hosts: map[string]*Host{}, signals: make(chan os.Signal, 1), done: make(chan struct{}),
	}
	if _, err := Sweep(ctx); err != nil {
		o.Log("sweep dead labs: %v", err) // another run may be at it; this one does not need their names
	}
	if !o.Keep {
		var err error
		if l.owner, err = owner(); err != nil {
			return nil, err
		}
		signal.Notify(l.signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		go l.endOnSignal(context.WithoutCancel(ctx))
	}
	if err := l.start(ctx); err != nil {
		return nil, errors.Join(err, l.Down(context.WithoutCancel(ctx)))
	}
	return l, nil
}

func (l *Lab) start(ctx context.Context) error {
	var err error
	if l.folder, err = newFolder(l.ID, l.owner); err != nil {
		return err
	}
	keygen := []string{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "operator@" + l.ID, "-f", l.Key()}
	if _, err := (process{argv: keygen}).run(ctx); err != nil {
		return err
	}
	if err := l.createNetwork(ctx, rand.Uint32()); err != nil {
		return err
	}
	return l.startApt(ctx)
}

// Available says why no lab can run here, or nil.
func Available(ctx context.Context) error {
	for _, program := range []string{"docker", "debootstrap", "ssh-keygen"} {
		if _, err := (process{argv: []string{"which", program}}).run(ctx); err != nil {
			return fmt.Errorf("%s is not installed; scripts/setup installs it on Debian and Ubuntu", program)
		}
	}
	if os.Geteuid() != 0 {
		return errors.New("the lab needs root")
	}
	if _, err := docker(ctx, "version", "--format", "{{.Server.Version}}"); err != nil {
		return fmt.Errorf("no Docker engine answers; scripts/setup starts one: %w", err)
	}
	return nil
}

// Key is the path of the operator's private SSH key, which every host accepts for
// root; the public half is next to it with .pub.
func (l *Lab) Key() string { return filepath.Join(l.folder, "operator") }

func (l *Lab) publicKey() (string, error) {
	key, err := os.ReadFile(l.Key() + ".pub")
	return strings.TrimSpace(string(key)), err
}

// Folder is a place for files of this run. Down removes it.
func (l *Lab) Folder() string { return l.folder }

// Hosts returns the hosts that were started and not removed, by name.
func (l *Lab) Hosts() map[string]*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]*Host, len(l.hosts))
	for name, h := range l.hosts {
		all[name] = h
	}
	return all
}

// Down removes everything the lab started: containers, volumes, network, files.
// It may be called twice.
func (l *Lab) Down(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, endLimit)
	defer cancel()
	l.creating.Lock()
	defer l.creating.Unlock()
	if !l.isDown {
		l.isDown = true
		signal.Stop(l.signals)
		close(l.done)
	}
	return Remove(ctx, l.ID)
}

// endOnSignal takes the lab down when the process gets a signal to end, and then lets
// the signal do what it does.
func (l *Lab) endOnSignal(ctx context.Context) {
	var sig os.Signal
	select {
	case sig = <-l.signals:
	case <-l.done:
		return
	}
	if err := l.Down(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "lab %s: %v\n", l.ID, err)
	}
	signal.Reset(sig)
	if err := syscall.Kill(os.Getpid(), sig.(syscall.Signal)); err != nil {
		fmt.Fprintf(os.Stderr, "lab %s: %v\n", l.ID, err)
	}
}

func (l *Lab) labels() []string {
	return []string{"--label", labelRun + "=" + l.ID, "--label", labelOwner + "=" + l.owner}
}
