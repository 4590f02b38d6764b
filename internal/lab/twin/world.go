package twin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"salvor/internal/agent"
	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/hold"
	"salvor/internal/hostkey"
	"salvor/internal/lab/twin/branch"
	"salvor/internal/lab/twin/remote"
	"salvor/internal/lab/twin/restic"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/secret"
	"salvor/internal/sign"
	"salvor/internal/storage"
)

const (
	fleetName  = "home"
	remoteName = "drive"
	recordPath = "fleet/record"
	dataPath   = "fleet/snapshots"
)

// A world is a fleet in this process: hosts, a Git host, a remote, operators.
type world struct {
	*workshop
	ctx    context.Context // ends with the world
	dir    string
	hosts  []*host
	stacks []string
	git    *branch.Host
	remote *remote.Remote
	vault  *vault
	racing int // whether two operators do something at once; of the driver alone

	recipients map[string]string
	signers    map[string]sign.Public

	mu    sync.Mutex // guards what follows
	rng   *rand.Rand
	cut   map[string]bool // hosts that reach nothing and that no one reaches
	away  map[string]bool // "git", "remote"
	links map[*link]bool
	truth truth
	log   []string
	tally Tally
	laws  []Broken
}

// newWorld returns a fleet whose hosts are enrolled and declared, with nothing placed.
// It is made within a bubble of package synctest, whose clock is the world's.
func newWorld(ctx context.Context, shop *workshop, seed uint64, dir string) (*world, error) {
	w := &world{
		workshop: shop, ctx: ctx, dir: dir, remote: remote.New(), vault: newVault(), rng: rand.New(rand.NewPCG(seed, 0)),
		cut: map[string]bool{}, away: map[string]bool{}, links: map[*link]bool{}, recipients: map[string]string{}, signers: map[string]sign.Public{},
		truth: newTruth(),
	}
	w.stacks = []string{"notes"}
	if w.chance(2) {
		w.stacks = append(w.stacks, "shop")
	}
	declared := declaration{Stacks: map[string]declaredStack{}}
	for _, name := range w.stacks {
		declared.Stacks[name] = declaredStack{Host: "alpha"}
	}
	all, err := declared.files()
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"alpha", "beta", "gamma"}[:2+w.pick(2)] {
		h := newHost(w, name)
		w.hosts = append(w.hosts, h)
		if err := w.enrol(ctx, h, all); err != nil {
			return nil, err
		}
	}
	w.git = branch.NewHost(all)
	return w, nil
}

// start powers every host on.
func (w *world) start() error {
	for _, h := range w.hosts {
		if err := h.ready(); err != nil {
			return err
		}
	}
	return nil
}

// enrol has a host make its keys, and adds what Git has of them to files.
func (w *world) enrol(ctx context.Context, h *host, files map[string][]byte) error {
	if err := os.MkdirAll(h.paths().State, 0o700); err != nil {
		return err
	}
	p, ctx := newProcess(ctx, h.name+" enrol", h)
	defer p.cancel()
	a, end := h.agent(p)
	defer end()
	e, err := a.Enrol(ctx, agentapi.Enrol{Fleet: fleetName, Host: h.name, Signers: sign.Keys{w.key.Public()}}, progress.Discard())
	if err != nil {
		return err
	}
	w.recipients[h.name], w.signers[h.name] = e.Recipient, e.Signer
	file := hostkey.Path(h.name)
	files[file] = hostkey.Keys{Recipient: e.Recipient, Signer: e.Signer}.File()
	files[hostkey.SignaturePath(file)], err = hostkey.Sign(file, files[file], w.key)
	return err
}

// end stops everything and waits for it.
func (w *world) end() {
	for _, h := range w.hosts {
		h.mu.Lock()
		h.on = false
		var all []*process
		for p := range h.running {
			p.kill()
			all = append(all, p)
		}
		h.mu.Unlock()
		for _, p := range all {
			<-p.done
		}
	}
}

func (w *world) host(name string) *host {
	for _, h := range w.hosts {
		if h.name == name {
			return h
		}
	}
	return nil
}

// note writes down what happens, for who reads of a broken law.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf("%s ", time.Now().Format(time.TimeOnly))+fmt.Sprintf(format, args...))
}

func (w *world) pick(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.pick(n) == 0 }

// marked returns a context in which the steps at which tests hold real hosts are edges.
func (w *world) marked(ctx context.Context, p *process) context.Context {
	return hold.With(ctx, func(step string) { _ = p.edge(ctx, "at "+step) })
}

// reaches reports whether a process gets through to Git or the remote.
func (w *world) reaches(p *process, what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.away[what] && (p.host == nil || !w.cut[p.host.name])
}

var errNoAnswer = errors.New("no answer")

// unanswered is how long it takes to learn that nothing answers.
const unanswered = 3 * time.Second

// toGit is a process's way to the Git host.
func (w *world) toGit(ctx context.Context, p *process, op string) error {
	if err := p.edge(ctx, op); err != nil {
		return err
	}
	if strings.HasPrefix(op, "git commit") || w.reaches(p, "git") {
		return nil
	}
	return w.silence(ctx, errNoAnswer)
}

func (w *world) silence(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(unanswered):
		return err
	}
}

// toRemote is a process's way to the remote.
func (w *world) toRemote(p *process) func(ctx context.Context, op string) error {
	return func(ctx context.Context, op string) error {
		if err := p.edge(ctx, op); err != nil {
			return err
		}
		if w.reaches(p, "remote") {
			return nil
		}
		return w.silence(ctx, storage.ErrUnreachable)
	}
}

// folders opens places on the remote for a process.
func (w *world) folders(p *process) agent.OpenFolder {
	return func(_ context.Context, remotes storage.Remotes, where fleet.Location) (record.Folder, error) {
		if _, declared := remotes[where.Remote]; !declared {
			return nil, fmt.Errorf("remote %q is not declared", where.Remote)
		}
		return w.remote.Open(where.Path, w.toRemote(p)), nil
	}
}

// initRepository makes most repositories before their hosts would, which stretch the
// password longer than a world can afford each time.
func (w *world) initRepository(ctx context.Context, at string, password secret.Value) error {
	if w.chance(100) {
		return nil
	}
	return restic.Init(ctx, w.remote.Open(at, func(context.Context, string) error { return nil }), password)
}

// remotes are what a host is given to reach the remote with.
func (v *vault) remotes() map[string]agentapi.SealedRemote {
	return map[string]agentapi.SealedRemote{remoteName: {Type: "memory", Options: map[string][]byte{"pass": v.token("remote")}}}
}

// A vault has the secrets of a fleet, and the words that must be on no disk.
type vault struct {
	mu    sync.Mutex
	words map[string]secret.Value
}

func newVault() *vault { return &vault{words: map[string]secret.Value{}} }

// set keeps a secret.
func (v *vault) set(name string, value secret.Value) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.words[name] = value
}

// get returns a secret.
func (v *vault) get(name string) (secret.Value, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	value, ok := v.words[name]
	return value, ok
}

// token returns the secret of that name, made at the first call.
func (v *vault) token(name string) []byte {
	if value, ok := v.get(name); ok {
		return value.Reveal()
	}
	v.set(name, secret.NewString("plain-"+name+"-"+randText()))
	value, _ := v.get(name)
	return value.Reveal()
}

// tempDir makes the folder of a world in memory.
func tempDir() (string, error) { return os.MkdirTemp(memory(), "salvor-twin-") }

// memory is a folder that is in memory, where there is one.
func memory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return filepath.Clean(os.TempDir())
}
