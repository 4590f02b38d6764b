package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/card"
	"salvor/internal/checkout"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/machine"
	"salvor/internal/reach"
	"salvor/internal/secret/agekey"
	"salvor/internal/terminal"
)

// Within bounds how long one host or remote is waited for.
const within = 15 * time.Second

// A Fleet is what is checked of an opened fleet.
type Fleet struct {
	Checkout *checkout.Checkout
	Findings []finding.Finding // all that there are without asking a host
	Identity string            // the file of the operator's key
	HostKey  func(fleet.Host) bool
	Dial     func(context.Context, fleet.Host) (machine.Machine, error)
	Only     string                                       // the host that is looked at in full, "" for all in short
	Remote   func(ctx context.Context, name string) error // tries a remote
}

// Unopened is the check of a fleet that could not be opened.
func Unopened(err error) Check { return failed("repository", err, "salvor check") }

// Checks returns what is ready of a fleet, and what is not.
func (f Fleet) Checks(ctx context.Context) []Check {
	all := []Check{{"repository", Ready, fmt.Sprintf("%s, fleet %s at %s", f.Checkout.Root, f.Checkout.Fleet.Name, f.Checkout.Commit.Short()), ""}}
	all = append(all, f.upstream(ctx)...)
	all = append(all, about("hook", f.Findings, "Git calls salvor before every commit", finding.HookMissing)...)
	all = append(all, f.key()...)
	all = append(all, f.card()...)
	all = append(all, f.remotes(ctx)...)
	all = append(all, f.hosts(ctx)...)
	return append(all, f.rest()...)
}

// upstream checks that commits are kept elsewhere, too.
func (f Fleet) upstream(ctx context.Context) []Check {
	const name = "upstream"
	up, err := f.Checkout.Git.Upstream(ctx)
	if errors.Is(err, git.ErrNoRemote) {
		return []Check{{name, Missing, "there is no Git remote: the repository is on this computer alone", fault.Hint(err)}}
	}
	if err != nil {
		return []Check{failed(name, err, "")}
	}
	at := up.Remote + "/" + up.Branch
	err = f.Checkout.Behind(ctx)
	follows, followErr := f.Checkout.Git.Follows(ctx)
	switch {
	case errors.Is(err, git.ErrDiverged):
		return append([]Check{{name, Missing, at + " has commits that this clone does not have", fault.Hint(err)}}, f.gitHost()...)
	case err != nil || followErr != nil:
		return append([]Check{failed(name, errors.Join(err, followErr), "git ls-remote "+up.Remote)}, f.gitHost()...)
	case !follows:
		return append([]Check{{name, Missing, "git pull and git push do not know from where", "git push --set-upstream " + up.Remote + " HEAD"}}, f.gitHost()...)
	}
	return append([]Check{{name, Ready, at + " answers, and has nothing that is missing here", ""}}, f.gitHost()...)
}

func (f Fleet) gitHost() []Check {
	return about("git host", f.Findings, "", finding.GitUnpinned)
}

// key checks the file of the operator's key.
func (f Fleet) key() []Check {
	if _, err := agekey.Look(f.Identity); err != nil {
		return []Check{failed("key", fmt.Errorf("%s: %w", f.Identity, fault.WithoutPath(err)), "give the file of your key with --identity FILE; salvor key new makes one, and an operator grants it")}
	}
	return about("key", f.Findings, f.Identity+", which only you can read", finding.IdentityExposed, finding.IdentityInClear)
}

// card checks that the recovery card was tried.
func (f Fleet) card() []Check {
	ready := "nothing is deployed that it would be needed for"
	proven, err := card.ReadProven(f.Checkout.File)
	if err != nil {
		return []Check{failed("card", err, "")}
	}
	if at, tried := proven[f.Checkout.Fleet.Recipients.Recovery]; tried {
		ready = "the recovery key opened everything on " + at.Format(time.DateOnly)
	}
	return about("card", f.Findings, ready, finding.KeyUnproven)
}

// remotes tries every remote, one after the other: opening the first may ask for a
// passphrase.
func (f Fleet) remotes(ctx context.Context) []Check {
	declared := f.Checkout.Fleet.Remotes
	if len(declared) == 0 {
		return []Check{{"remote", Missing, "the fleet has no remote, so nothing gets a snapshot", "declare one under remotes: in fleet.yaml; docs/snapshots.md"}}
	}
	wrong := about("remote", f.Findings, "", finding.RemoteInvalid, finding.RecordMissing)
	if len(wrong) > 0 {
		return wrong
	}
	var all []Check
	for _, r := range declared {
		began := time.Now()
		limited, cancel := context.WithTimeout(ctx, within)
		err := f.Remote(limited, r.Name)
		cancel()
		all = append(all, tried("remote "+r.Name, err, "answers in "+terminal.Duration(time.Since(began)), "salvor remote test "+r.Name))
	}
	return all
}

// hosts reaches every host, all at once.
func (f Fleet) hosts(ctx context.Context) []Check {
	declared := f.Checkout.Fleet.Hosts
	if len(declared) == 0 {
		return []Check{{"host", Missing, "the fleet has no host", "salvor host add NAME USER@ADDRESS"}}
	}
	all := make([][]Check, len(declared))
	var group errgroup.Group
	for i, h := range declared {
		group.Go(func() error {
			all[i] = f.host(ctx, h)
			return nil
		})
	}
	_ = group.Wait() // a host that does not answer is a check
	return append(slices.Concat(all...), about("host", f.Findings, "", finding.HostsUntrusted)...)
}

// host reaches a host and looks at it. Of several hosts only what is not ready is said.
func (f Fleet) host(ctx context.Context, h fleet.Host) []Check {
	name, address := "host "+h.Name, h.User+"@"+reach.KnownHostsName(h.Address, h.Port)
	if !f.HostKey(h) {
		return []Check{{name, Broken, "its SSH key is not pinned in " + fleet.KnownHostsFile, "salvor host add " + h.Name + " " + address}}
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	began := time.Now()
	m, err := f.Dial(ctx, h)
	all := []Check{tried(name, err, fmt.Sprintf("%s lets you in, in %s", address, terminal.Duration(time.Since(began))), "ssh "+address)}
	if err != nil {
		return all
	}
	s, err := seen(ctx, m)
	if err != nil {
		return append(all, tried(name, fmt.Errorf("it can't be looked at: %w", err), "", "salvor doctor "+h.Name))
	}
	details := s.details(h)
	if f.Only == "" {
		details = slices.DeleteFunc(details, func(c Check) bool { return c.State == Ready })
	}
	return append(all, details...)
}

// Host returns the checks of one host alone.
func (f Fleet) Host(ctx context.Context, h fleet.Host) []Check { return f.host(ctx, h) }

// rest says whether check has more to say.
func (f Fleet) rest() []Check {
	fatal := 0
	for _, each := range f.Findings {
		if each.Severity == finding.Fatal {
			fatal++
		}
	}
	if fatal == 0 {
		return nil
	}
	return []Check{{"check", Broken, terminal.Count(fatal, "finding") + " that stop a plan", "salvor check"}}
}
