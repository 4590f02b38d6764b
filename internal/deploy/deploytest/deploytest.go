// Package deploytest has a world for a deploy.Session in memory: a repository, seals, a
// record and hosts that do as they are asked, and note it in one log.
package deploytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/hostpath"
	"salvor/internal/hostspec"
	"salvor/internal/machine"
	"salvor/internal/machine/machinetest"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/project"
)

// A World is everything around a session. Its fields may be set before the session is
// used; the zero World has no host that answers.
type World struct {
	Alive     map[string]bool                  // hosts that answer
	Shut      map[string]error                 // by host, why it lets in no one who comes now
	WayIn     map[string]agentapi.WayInChanged // by host, what a change of its way in is answered with
	Owners    map[string]deploy.Owner
	OwnersErr error
	Outrun    deploy.Owner // who has every stack that is claimed, unless Host is ""
	PushErr   []error      // of the first pushes
	Behind    error        // what the Git host says
	Stale     map[string]string
	Facts     map[string][]placement.Learned
	FactsErr  error
	MirrorErr error
	Snapshots []agentapi.SnapshotRow                               // that every host lists
	Taken     agentapi.SnapshotReceipt                             // what every host answers when it takes a snapshot
	States    map[string]agentapi.HostState                        // by host, what it says when it is observed
	Outcome   func(host string, st agentapi.Stack) *agentapi.Error // of a stack that a host applies, nil for success
	Refuse    map[string]error                                     // by verb, what every host answers
	Committed bool                                                 // the commits were there before: there is nothing to take back
	Born      map[string]map[string]time.Time                      // by stack, the volumes that its host says came to life
	Moved     map[string]int                                       // by host, how often it answers that it changed since its plan
	Sizes     map[string]int64                                     // by stack, of its newest snapshot
	Stacks    map[string]project.Rendered                          // what stacks are that have more than a volume
	Plain     []agentapi.PlainStack                                // what every host answers when it is to give stacks back
	Older     map[string]bool                                      // hosts whose salvord speaks an older protocol
	Used      []string                                             // repositories under the name of a stack that is new
	Routes    *agentapi.RoutesReceipt                              // what each host says of its hostnames
	Nodes     map[string]string                                    // by host, its address in the tailnet after an apply

	mu      sync.Mutex
	log     []string
	commits []Commit
	applied map[string]agentapi.Apply
	stale   []string
	left    map[string]bool // hosts that have no salvord any more
}

// A Commit is one that a run made.
type Commit struct {
	Files   map[string][]byte
	Message string
}

// Session returns a session on a fleet with a record remote, whose stacks have one volume
// each, "data".
func (w *World) Session(f *fleet.Fleet, lock fleet.Lock) *deploy.Session {
	f.Record = fleet.Location{Remote: "nas", Path: "record"}
	lock = placement.WithRecord(lock, f.Record)
	s := &deploy.Session{
		Fleet: f, Lock: lock, Commit: "c1", Stacks: map[string]project.Rendered{}, Keys: map[string]string{}, Owner: "ann@laptop",
		Repo: repo{w}, Sealer: sealer{w}, Record: record{w}, Hosts: w, Fresh: w.Fresh, Sink: progress.Discard(),
	}
	for _, st := range f.Stacks {
		rendered := w.Stacks[st.Name]
		rendered.Volumes = []project.Volume{{Name: "data", Protect: fleet.Snapshot}}
		s.Stacks[st.Name] = rendered
	}
	for _, h := range f.Hosts {
		s.Keys[h.Name] = "age1" + h.Name
	}
	return s
}

// Log returns what was asked of the world, in order.
func (w *World) Log() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.log)
}

// Commits returns the commits that were made, in order.
func (w *World) Commits() []Commit {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.commits)
}

// Applied returns what a host was last asked to be.
func (w *World) Applied(host string) agentapi.Apply {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.applied[host]
}

// AskedStale returns the stacks whose seals were last looked at, sorted.
func (w *World) AskedStale() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stale
}

// Note adds a line to the log.
func (w *World) Note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

// Reach connects to a host, which does not answer unless it is alive.
func (w *World) Reach(_ context.Context, h fleet.Host) (machine.Machine, error) {
	if !w.Alive[h.Name] {
		return nil, fmt.Errorf("%s: %w", h.Name, machine.ErrUnreachable)
	}
	m := machinetest.NewFake()
	m.Handle(func(_ context.Context, p machinetest.Process) int {
		if w.isLeft(h.Name) {
			return notFound
		}
		message := w.answer(h.Name, p.Argv[1], p.Stdin)
		if err := json.NewEncoder(p.Stdout).Encode(message); err != nil {
			return 1
		}
		return 0
	}, hostpath.Salvord)
	return m, nil
}

// notFound is what a shell ends with for a program that is not there.
const notFound = 127

func (w *World) isLeft(host string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.left[host]
}

// Dial implements deploy.Dialer.
func (w *World) Dial(ctx context.Context, h fleet.Host) (*hostlink.Link, error) {
	m, err := w.Reach(ctx, h)
	if err != nil {
		return nil, err
	}
	return &hostlink.Link{Host: h.Name, Machine: m, Carrier: carrier{}, Sink: progress.Discard()}, nil
}

// Fresh reaches a host over a connection of its own. A host in Shut is not reached.
func (w *World) Fresh(ctx context.Context, h fleet.Host) (*hostlink.Link, error) {
	if err := w.Shut[h.Name]; err != nil {
		return nil, err
	}
	return w.Dial(ctx, h)
}

type carrier struct{}

func (carrier) Version() string                    { return "1" }
func (carrier) Open(string) (io.ReadCloser, error) { return nil, errors.New("nothing to install") }

// answer is what a host's salvord answers.
func (w *World) answer(host, verb string, request io.Reader) agentapi.Message {
	var req agentapi.Request
	if err := json.NewDecoder(request).Decode(&req); err != nil {
		return agentapi.Message{Error: &agentapi.Error{Text: err.Error()}}
	}
	if verb == agentapi.VerbApply && w.moves(host) {
		return agentapi.Message{Error: &agentapi.Error{Text: "changed since the plan was made", Code: agentapi.CodeMoved}}
	}
	if w.Older[host] {
		return agentapi.Message{Error: &agentapi.Error{Text: "0.9.0", Code: agentapi.CodeOtherProtocol}}
	}
	if err := w.Refuse[verb]; err != nil {
		return agentapi.Message{Error: &agentapi.Error{Text: err.Error(), Code: 1}}
	}
	result, err := json.Marshal(w.result(host, verb, req.Body))
	if err != nil {
		return agentapi.Message{Error: &agentapi.Error{Text: err.Error()}}
	}
	return agentapi.Message{Result: result}
}

// moves reports whether a host says that it changed, which it does a number of times.
func (w *World) moves(host string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	moved := w.Moved[host] > 0
	if moved {
		w.Moved[host]--
	}
	return moved
}

func (w *World) result(host, verb string, body json.RawMessage) any {
	switch verb {
	case agentapi.VerbObserve:
		return w.States[host]
	case agentapi.VerbSnapshots:
		return agentapi.SnapshotList{Stack: decoded[agentapi.Snapshots](body).Stack, Snapshots: w.Snapshots}
	case agentapi.VerbSnapshot:
		take, how := decoded[agentapi.TakeSnapshot](body), ""
		if take.AcceptShrunk {
			how = ", shrunk or not"
		}
		w.Note("%s takes a snapshot of %s%s", host, take.Stack, how)
		return w.Taken
	case agentapi.VerbRelease:
		r := decoded[agentapi.Release](body)
		w.Note("%s releases %s at %d", host, r.Stack, r.Epoch)
	case agentapi.VerbHandBackPlan:
		w.Note("%s plans to give back %s", host, names(decoded[agentapi.HandBack](body)))
		return agentapi.HandedBack{Stacks: w.Plain}
	case agentapi.VerbHandBack:
		w.Note("%s gives back %s", host, names(decoded[agentapi.HandBack](body)))
		return agentapi.HandedBack{Stacks: w.Plain}
	case agentapi.VerbLeave:
		w.Note("%s is left", host)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.left = map[string]bool{host: true}
	case agentapi.VerbFence:
		w.Note("%s stops %v", host, decoded[agentapi.Fence](body).Stacks)
	case agentapi.VerbWayIn:
		w.Note("%s changes its way in", host)
		return w.WayIn[host]
	case agentapi.VerbWayInConfirm:
		w.Note("%s keeps its way in %s", host, decoded[agentapi.ConfirmWayIn](body).ID)
	case agentapi.VerbWayInUndo:
		undo := decoded[agentapi.UndoWayIn](body)
		w.Note("%s takes back its way in %s: %s", host, undo.ID, undo.Why)
	case agentapi.VerbApply:
		return w.apply(host, decoded[agentapi.Apply](body))
	}
	return struct{}{}
}

func names(req agentapi.HandBack) string {
	var all []string
	for _, st := range req.Stacks {
		all = append(all, st.Name)
	}
	return strings.Join(all, " ")
}

func (w *World) apply(host string, req agentapi.Apply) agentapi.HostReceipt {
	w.Note("%s applies", host)
	w.mu.Lock()
	if w.applied == nil {
		w.applied = map[string]agentapi.Apply{}
	}
	w.applied[host] = req
	w.mu.Unlock()
	r := agentapi.HostReceipt{Host: host, Routes: w.Routes}
	if address, in := w.Nodes[host]; in {
		r.Node = &agentapi.Node{Address: address}
	}
	for _, st := range req.Host.Stacks {
		one := agentapi.StackReceipt{Name: st.Name, Epoch: st.Epoch, Born: w.Born[st.Name]}
		if w.Outcome != nil {
			one.Error = w.Outcome(host, st)
		}
		r.Stacks = append(r.Stacks, one)
	}
	return r
}

func decoded[T any](body json.RawMessage) (v T) {
	if err := json.Unmarshal(body, &v); err != nil {
		panic(err) // of the session's own
	}
	return v
}

type repo struct{ *World }

func (r repo) Commit(_ context.Context, files map[string][]byte, message string) (string, error) {
	subject, _, _ := strings.Cut(message, "\n")
	r.Note("commit %s", subject)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.commits = append(r.commits, Commit{maps.Clone(files), message})
	return fmt.Sprintf("c%d", len(r.commits)+1), nil
}

func (r repo) Push(context.Context) error {
	r.Note("push")
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.PushErr) == 0 {
		return nil
	}
	err := r.PushErr[0]
	r.PushErr = r.PushErr[1:]
	return err
}

func (r repo) Published(context.Context) (bool, error) { return true, nil }
func (r repo) Behind(context.Context) error            { return r.World.Behind }
func (r repo) Uncommit(context.Context) (bool, error)  { r.Note("uncommit"); return !r.Committed, nil }

type sealer struct{ *World }

func (s sealer) Stale(_ context.Context, lock fleet.Lock) (map[string]string, error) {
	s.mu.Lock()
	s.stale = slices.Sorted(maps.Keys(lock.Stacks))
	s.mu.Unlock()
	all := map[string]string{}
	maps.Copy(all, s.World.Stale)
	return all, nil
}

func (s sealer) Seal(_ context.Context, lock fleet.Lock, stacks []string, _ map[string]project.Consent) (map[string][]byte, fleet.Lock, error) {
	s.Note("seal %s", strings.Join(stacks, " "))
	return map[string][]byte{"sealed": []byte(strings.Join(stacks, " "))}, lock, nil
}

func (s sealer) Current(string, string) (hostspec.Seal, error) { return hostspec.Seal{}, nil }

type record struct{ *World }

func (r record) Owners(context.Context, []string) (map[string]deploy.Owner, error) {
	return r.World.Owners, r.OwnersErr
}

func (r record) Claim(_ context.Context, stack string, epoch int, host, _ string) error {
	r.Note("claim %s for %s at %d", stack, host, epoch)
	if r.Outrun.Host != "" {
		return deploy.Outrun(stack, r.Outrun)
	}
	return nil
}

func (r record) Facts(context.Context, fleet.Lock) (map[string][]placement.Learned, []finding.Finding, error) {
	return r.World.Facts, nil, r.FactsErr
}

func (r record) Proven(context.Context, fleet.Lock) (map[string]map[string]fleet.Proven, []finding.Finding, error) {
	return nil, nil, nil
}

func (r record) Sizes(context.Context, fleet.Lock) (map[string]int64, error) {
	return r.World.Sizes, nil
}

func (r record) Epoch(context.Context, string) (int, error)     { return 0, nil }
func (r record) Used(context.Context, string) ([]string, error) { return r.World.Used, nil }
func (r record) Mirror(context.Context) error                   { return r.MirrorErr }
