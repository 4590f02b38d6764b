package deploy

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/hostspec"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/sign"
)

// A Session works on one commit of one control repository. Its methods are
// called one after another: Observe, MakePlan, Apply.
type Session struct {
	Fleet       *fleet.Fleet
	Lock        fleet.Lock
	Commit      string
	Stacks      map[string]project.Rendered // by name, every stack of the fleet
	Git         agentapi.Git                // how hosts read the repository
	LetIn       []string                    // lines of authorized_keys that every host has
	Signers     sign.Keys                   // the fleet's, which every host trusts
	Owner       string                      // "alice@laptop"
	Keys        map[string]string           // by host, its recipient: which machine it is
	HostSigners map[string]sign.Public      // by host, the key that it signs with, "" for none
	Lease       time.Duration               // the time that a host which can't be asked to stop has to stop on its own

	Unrecorded bool // the next commit has more than it is made for: new names of hosts or stacks, signatures of hosts/

	Consent map[string]project.Consent // by stack, what the operator said about its data in this run

	AcceptLoss bool   // newest snapshots that the remote has lost are given up for those that are there
	From       string // the only target that restores take from, "" for all

	// Granted makes sure, before anything is done for it, that the operator confirmed
	// what the commit lets others do under next; nil when there is nothing to ask.
	Granted func(ctx context.Context, next fleet.Lock) error

	Around Around // what runs around each host's part of an apply; nil for nothing

	Repo   Repo
	Sealer Sealer
	Record Record
	Hosts  Dialer
	// Fresh reaches a host over a connection of its own, which the caller closes by its Machine.
	Fresh func(ctx context.Context, h fleet.Host) (*hostlink.Link, error)
	Sink  progress.Sink // of the session's steps, and of those that hosts report

	Tailnet Tailnet // nil for a fleet without one

	held   map[string]bool // stacks that are left as they run, see Hold and Leave
	left   map[string]bool // those of them that the run is not about, see Leave
	asking sync.Mutex      // held while the operator is asked in the midst of an apply
}

// Repo commits and pushes; the fast-forward push is the compare-and-swap of
// placements.
type Repo interface {
	// Commit commits exactly these files (nil content removes one) on top of
	// the newest commit and returns its id.
	Commit(ctx context.Context, files map[string][]byte, message string) (string, error)
	// Push publishes the newest commit; without a Git remote it does nothing.
	// git.ErrGitAway means that the Git host did not answer, git.ErrDiverged that
	// someone else was faster: then what Commit made since the last push is off the
	// branch again.
	Push(ctx context.Context) error
	// Published reports whether the newest commit is known to be at the Git
	// remote, without asking it.
	Published(ctx context.Context) (bool, error)
	// Behind returns git.ErrDiverged when someone else was faster, and git.ErrGitAway
	// when the Git host did not answer. Nothing is published.
	Behind(ctx context.Context) error
	// Uncommit takes what Commit made since the last push off the branch again. It
	// reports whether there was anything.
	Uncommit(ctx context.Context) (bool, error)
}

// Sealer keeps sealed/ in step with placements.
type Sealer interface {
	// Stale returns the placed stacks whose seal is missing, was made from other
	// inputs or is not signed by the fleet's key, with the reason, without opening a
	// secret.
	Stale(ctx context.Context, lock fleet.Lock) (map[string]string, error)
	// Seal returns the files that make the seals of these stacks current, and
	// the lock with the repositories they need. consent fresh gives a stack new
	// repositories.
	Seal(ctx context.Context, lock fleet.Lock, stacks []string, consent map[string]project.Consent) (map[string][]byte, fleet.Lock, error)
	// Current returns a stack's seal for a host, the zero Seal when there is none.
	Current(host, stack string) (hostspec.Seal, error)
}

// Record is the record remote as placements need it.
type Record interface {
	// Owners returns who has stacks by the claims, as hosts see it.
	Owners(ctx context.Context, stacks []string) (map[string]Owner, error)
	// Claim appends a claim and returns when it is visible. ErrOutrun means that
	// another host has the stack. Host "" says that no host has it from then on.
	Claim(ctx context.Context, stack string, epoch int, host, commit string) error
	// Epoch returns the highest epoch that was ever claimed for a stack's name.
	Epoch(ctx context.Context, stack string) (int, error)
	// Used returns the repositories with snapshots that are under a stack's name on
	// any target.
	Used(ctx context.Context, stack string) ([]string, error)
	// Facts returns what hosts found out about placed stacks, by stack and in order, as
	// far as it could be read, and files there that do not count.
	Facts(ctx context.Context, lock fleet.Lock) (map[string][]placement.Learned, []finding.Finding, error)
	// Proven returns how far the snapshots of placed stacks have come by the record,
	// by stack and repository, and files there that do not count.
	Proven(ctx context.Context, lock fleet.Lock) (map[string]map[string]fleet.Proven, []finding.Finding, error)
	// Sizes returns how many bytes the newest proven snapshots of placed stacks have, by
	// stack; 0 where that is not known.
	Sizes(ctx context.Context, lock fleet.Lock) (map[string]int64, error)
	// Mirror brings the repository's encrypted mirror up to the newest commit.
	Mirror(ctx context.Context) error
}

// Dialer reaches hosts.
type Dialer interface {
	Dial(ctx context.Context, h fleet.Host) (*hostlink.Link, error)
}

// dial reaches a host, which reports to the session's sink.
func (s *Session) dial(ctx context.Context, h fleet.Host) (*hostlink.Link, error) {
	link, err := s.Hosts.Dial(ctx, h)
	if err != nil {
		return nil, err
	}
	return link.Reporting(s.Sink), nil
}

// spec is what host is asked to be under lock.
func (s *Session) spec(host fleet.Host, lock fleet.Lock, commit string) (agentapi.Host, error) {
	c := hostspec.Commit{ID: commit, Fleet: s.Fleet, Stacks: s.Stacks, Git: s.Git, LetIn: s.LetIn, Signers: s.Signers, Seal: s.Sealer.Current}
	return c.Host(host, lock, hostspec.Said{Consent: s.Consent, AcceptLoss: s.AcceptLoss, From: s.From})
}

// New looks at the names of stacks that are placed for the first time. One whose
// repository has snapshots already is refused, unless the operator said what to
// do. It returns the epochs that were claimed for such names in the past, from
// which they are counted on.
func (s *Session) New(ctx context.Context) (map[string]int, error) {
	past := map[string]int{}
	for _, st := range s.Fleet.Stacks {
		if _, placed := s.Lock.Placement(st.Name); placed || st.Host == "" || s.left[st.Name] {
			continue
		}
		if err := s.refuseUsed(ctx, st.Name, s.Consent[st.Name]); err != nil {
			return nil, err
		}
		epoch, err := s.Record.Epoch(ctx, st.Name)
		if err != nil {
			return nil, err
		}
		past[st.Name] = epoch
	}
	return past, nil
}

func (s *Session) refuseUsed(ctx context.Context, stack string, said project.Consent) error {
	if said != "" || !protects(s.Stacks[stack]) {
		return nil
	}
	used, err := s.Record.Used(ctx, stack)
	if err != nil || len(used) == 0 {
		return err
	}
	return fault.WithHint(fmt.Errorf("stack %s is new, but there are snapshots under its name: %s", stack, used[0]),
		fmt.Sprintf("salvor apply --restore %s uses them; --fresh %s starts empty and keeps them", stack, stack))
}

func protects(r project.Rendered) bool {
	return slices.ContainsFunc(r.Volumes, func(v project.Volume) bool { return v.Protect == fleet.Snapshot })
}
