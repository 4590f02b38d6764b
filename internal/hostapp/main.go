package hostapp

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"salvor/internal/agent"
	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/hostpath"
	"salvor/internal/journal"
	"salvor/internal/machine/local"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/nsexec"
	"salvor/internal/stack"
	"salvor/internal/terminal"
	"salvor/internal/version"
)

// Verbs that salvord starts itself with.
const (
	verbNamespace = "ns-exec"
	verbGuard     = "guard"
	verbMount     = "mount" // by salvord-mount@.service
	verbUndo      = "undo"  // by salvor-undo.service
)

// softMemory is the heap above which salvord collects garbage more eagerly: it
// shares small servers with what it protects.
const softMemory = 128 << 20

// umask is salvord's own, and that of what it runs: by root's, which may be 077,
// containers that are not root could not read what is made for them. Files that no
// one else needs are made with their own mode.
const umask = 0o022

// Main runs `salvord VERB` and returns the exit code.
func Main(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	if len(args) == 0 {
		terminal.Printf(errOut, "usage: salvord agent | resume | version | converge | VERB, where salvor speaks the verbs\n")
		return fault.Usage
	}
	unix.Umask(umask)
	if args[0] == "version" {
		terminal.Printf(out, "%s\n", version.String())
		return fault.OK
	}
	if err := local.NoCoreDumps(); err != nil {
		return end(errOut, err)
	}
	if args[0] == verbNamespace {
		return end(errOut, nsexec.Main(in))
	}
	debug.SetMemoryLimit(softMemory)
	h := newHost()
	defer h.Stacks.Close()
	switch args[0] {
	case "agent":
		return end(errOut, h.Run(ctx, logSink{errOut}))
	case "resume":
		return end(errOut, h.Resume(ctx))
	case verbMount:
		return end(errOut, mountStack(ctx, (*here.Host)(h), args[1:], errOut))
	case verbUndo:
		return end(errOut, undo(ctx, h, errOut))
	case agentapi.VerbConverge:
		return convergeHost(ctx, h, args[1:], in, out, errOut)
	case verbGuard:
		return end(errOut, guard(ctx, h, args[1:], in, out))
	}
	return Serve(ctx, h, args[0], in, out, errOut)
}

// Serve answers one request to a host and returns the exit code.
func Serve(ctx context.Context, h *agent.Host, verb string, in io.Reader, out, errOut io.Writer) int {
	run, known := verbs(h)[verb]
	if !known {
		terminal.Printf(errOut, "salvord: unknown verb %q\n", verb)
		return fault.Usage
	}
	return serve(ctx, run, in, out)
}

func end(errOut io.Writer, err error) int {
	if err != nil {
		terminal.Printf(errOut, "salvord: %s\n", terminal.Text(err.Error()))
		return fault.General
	}
	return fault.OK
}

// newHost picks the implementations for a real host.
func newHost() *agent.Host {
	m := local.Machine{}
	paths := hostpath.Default()
	return &agent.Host{
		Machine: m,
		Stacks:  stack.New(m),
		Snapshots: snapshot.Engine{
			Host: m, Helper: []string{hostpath.Salvord, verbNamespace}, Guardian: []string{hostpath.Salvord, verbGuard},
			Restic: "/usr/bin/restic", Dirs: hostpath.Default(), Progress: progress.Discard(),
		},
		Journal: journal.Journal{Dir: paths.State + "/journal"},
		Paths:   paths,
		Lease:   agentapi.DefaultLease(),
	}
}

func verbs(h *agent.Host) map[string]verb {
	return map[string]verb{
		agentapi.VerbObserve:   decode(h.Observe),
		agentapi.VerbApply:     decode(h.Apply),
		agentapi.VerbSnapshot:  decode(h.TakeSnapshot),
		agentapi.VerbSnapshots: decode(h.ListSnapshots),
		agentapi.VerbBringBack: decode(agent.BringBack(h)),
		agentapi.VerbRelease:   decode(h.Release),
		agentapi.VerbStatus:    decode(h.Status),
		agentapi.VerbEnrol:     decode(h.Enrol),

		agentapi.VerbDeliveries: decode(h.Deliveries),
		agentapi.VerbPrepare:    decode(h.Prepare),
		agentapi.VerbFence:      decode(h.Fence),
		agentapi.VerbStandBy:    decode(h.StandBy),
		agentapi.VerbKeys:       decode(h.Keys),
		agentapi.VerbServices:   decode(h.Services),
		agentapi.VerbControl:    decode(h.Control),
		agentapi.VerbNewest:     decode(h.Newest),
		agentapi.VerbInventory:  decode(agent.Inventory(h)),
		agentapi.VerbRoutes:     decode(agent.Routes(h)),

		agentapi.VerbWayIn:        decode((*agent.WayIn)(h).Change),
		agentapi.VerbWayInConfirm: decode((*agent.WayIn)(h).Confirm),
		agentapi.VerbWayInUndo:    decode((*agent.WayIn)(h).Undo),

		agentapi.VerbHandBackPlan: decode(agent.Leaving(h).HandBackPlan),
		agentapi.VerbHandBack:     decode(agent.Leaving(h).HandBack),
		agentapi.VerbLeave:        decode(agent.Leaving(h).Leave),
	}
}

// undo says in systemd's journal what it took back, and why.
func undo(ctx context.Context, h *agent.Host, errOut io.Writer) error {
	said, err := (*agent.WayIn)(h).Expire(ctx)
	if said != "" {
		terminal.Printf(errOut, "salvord: %s\n", said)
	}
	return err
}

func guard(ctx context.Context, h *agent.Host, args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("guard needs a stack")
	}
	return snapshot.Guard(ctx, h.Snapshots.Dirs, args[0], h.Quiescer(args[0]), in, out)
}

// logSink writes the daemon's steps where systemd's journal has them.
type logSink struct{ w io.Writer }

// Emit implements progress.Sink.
func (l logSink) Emit(e progress.Event) {
	if e.State == progress.Running || e.State == progress.Started {
		return
	}
	terminal.Printf(l.w, "%s %s: %s %s\n", e.Stack, e.Step, e.State, e.Text)
}
