package twin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"salvor/internal/agent"
	"salvor/internal/agentapi"
	"salvor/internal/gitread"
	"salvor/internal/hostpath"
	"salvor/internal/journal"
	"salvor/internal/lab/twin/docker"
	"salvor/internal/machine/debiantest"
	"salvor/internal/memdir"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
)

// lease is what hosts of a world keep to: looks are rarer than on real hosts, since
// hours pass in a world.
func lease() agentapi.Lease {
	return agentapi.Lease{Every: 15 * time.Second, Within: 10 * time.Second, Grace: 5 * time.Second, Git: time.Minute}
}

// A host is one machine with its disk, its engine and the processes that run on it.
type host struct {
	w      *world
	name   string
	root   string // its disk: a folder in memory
	debian *debiantest.Host
	engine *docker.Engine
	files  *files

	mu        sync.Mutex // guards what follows
	on        bool
	boots     int
	calls     int // of its processes, since it was powered on
	cutAt     int // the call at which its power is cut, 0 for none
	running   map[*process]bool
	daemon    *process
	listeners map[string]*listener
	ports     int
	able      time.Time // since when it could stop what it has lost: it runs and reaches Git or the remote; zero while it can't
}

func newHost(w *world, name string) *host {
	h := &host{
		w: w, name: name, root: filepath.Join(w.dir, name), debian: debiantest.New(), files: newFiles(),
		running: map[*process]bool{}, listeners: map[string]*listener{},
	}
	for _, p := range []string{"ca-certificates", "restic", "docker-cli", "docker-compose"} {
		h.debian.Available[p] = debiantest.Package{Version: "1.0"}
	}
	h.debian.Available["docker.io"] = debiantest.Package{Version: "26.1", Unit: "docker.service"}
	h.debian.Available["systemd-timesyncd"] = debiantest.Package{Version: "257", Unit: "systemd-timesyncd.service"}
	h.debian.Put(hostpath.Salvord, "program", 0o755)
	h.engine = &docker.Engine{Files: h.files, Volumes: h.paths().Volumes, Starts: func(c docker.Container) { w.started(h, c) }}
	return h
}

func (h *host) paths() hostpath.Layout {
	return hostpath.Layout{Config: h.root + "/etc", State: h.root + "/lib", Run: h.root + "/run", Shared: h.root + "/mnt", Volumes: h.root + "/volumes"}
}

// agent returns the host's program as one of its processes runs it, and what ends it.
func (h *host) agent(p *process) (*agent.Host, func()) {
	paths, m := h.paths(), working{h: h, p: p}
	a := &agent.Host{
		Machine: prepared{h.debian, p}, Stacks: stack.New(m),
		Snapshots: snapshot.Engine{
			Host: m, Helper: []string{helperName}, Guardian: []string{guardName}, Restic: resticPath, Progress: progress.Discard(), Listen: h.listen,
			Dirs: paths,
		},
		Journal: journal.Journal{Dir: paths.State + "/journal"}, Paths: paths, Lease: lease(),
		Edges: agent.Edges{
			Folders: h.w.folders(p),
			Copies: func(string, gitread.Source) (agent.ControlCopy, error) {
				return h.w.git.Copy(func(ctx context.Context, op string) error { return h.w.toGit(ctx, p, op) }), nil
			},
			Mount: func(root string) (memdir.Kind, error) { return memdir.Tmpfs, os.MkdirAll(root, 0o700) },
			Free:  func() {},
			// a real socket would keep the bubble's time from going on
			Listen: func(ctx context.Context, _ string) (net.Listener, error) { return h.listen(ctx) },
		},
	}
	return a, a.Stacks.Close
}

// spawn starts a process on the host; work ends with its context. An error says that the
// host is off.
func (h *host) spawn(ctx context.Context, name string, work func(context.Context, *process, *agent.Host)) (*process, error) {
	p, ctx := newProcess(ctx, h.name+" "+name, h)
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.on {
		p.cancel()
		return nil, errors.New("the host is off")
	}
	h.running[p] = true
	a, end := h.agent(p)
	go func() {
		defer close(p.done)
		work(h.w.marked(ctx, p), p, a)
		end()
		p.cancel()
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.running, p)
	}()
	return p, nil
}

func (h *host) powered() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.on
}

// passed counts a call of one of the host's processes, at which its power may be cut.
func (h *host) passed() {
	h.mu.Lock()
	h.calls++
	struck := h.on && h.cutAt > 0 && h.calls >= h.cutAt
	h.mu.Unlock()
	if struck {
		h.powerOff()
	}
}

// powerOff cuts the power: processes and containers are gone, and what is on the disk
// is what was written until now.
func (h *host) powerOff() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.on {
		return
	}
	h.on, h.able, h.daemon = false, time.Time{}, nil
	h.engine.PowerOff()
	if err := os.Rename(h.root, h.root+".off"); err != nil {
		h.w.broken("twin", "%s: %v", h.name, err)
	}
	for p := range h.running {
		p.kill()
	}
	h.w.note("power of %s is cut", h.name)
}

// powerOn has the host boot, once what ran has ended.
func (h *host) powerOn() error {
	h.mu.Lock()
	on, ended := h.on, h.running
	h.mu.Unlock()
	if on {
		return nil
	}
	for p := range ended {
		<-p.done
	}
	if _, err := os.Stat(h.root + ".off"); err == nil {
		if err := errors.Join(os.RemoveAll(h.root), os.Rename(h.root+".off", h.root)); err != nil {
			return err
		}
	}
	paths := h.paths()
	if err := os.RemoveAll(paths.Run); err != nil {
		return err
	}
	for _, dir := range []string{paths.Config, paths.State, paths.Run, paths.Volumes, paths.Run + "/secrets"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	h.files.remove("/run")
	h.mu.Lock()
	h.on, h.calls, h.cutAt, h.boots = true, 0, 0, h.boots+1
	h.mu.Unlock()
	h.engine.Boot()
	return h.startDaemon()
}

// again is after which systemd starts a daemon that ended.
const again = 2 * time.Second

// startDaemon has systemd start the daemon, and again whenever it ends while the host
// is on.
func (h *host) startDaemon() error {
	p, err := h.spawn(h.w.ctx, "agent", func(ctx context.Context, _ *process, a *agent.Host) {
		if err := a.Run(ctx, progress.Discard()); err != nil && ctx.Err() == nil {
			h.w.note("%s: the daemon ended: %v", h.name, err)
		}
	})
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.daemon = p
	h.mu.Unlock()
	h.w.reachChanged()
	go func() {
		<-p.done
		select {
		case <-h.w.ctx.Done():
			return
		case <-time.After(again):
		}
		h.mu.Lock()
		mine := h.on && h.daemon == p
		h.mu.Unlock()
		if mine {
			_ = h.startDaemon() // the host is off by now
		}
	}()
	return nil
}

// killDaemon ends the daemon; systemd starts it again.
func (h *host) killDaemon() {
	h.mu.Lock()
	p := h.daemon
	h.able = time.Time{}
	h.mu.Unlock()
	if p != nil {
		p.kill()
	}
}

// ready makes the disk of a host that was just bought, and powers it on.
func (h *host) ready() error {
	if err := os.MkdirAll(h.root, 0o700); err != nil {
		return err
	}
	if err := h.powerOn(); err != nil {
		return fmt.Errorf("%s: %w", h.name, err)
	}
	return nil
}
