// Package app is the composition root of salvor: the only place where
// implementations are chosen and domains are joined for the operator's
// workflows.
package app

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"salvor/internal/ack"
	"salvor/internal/adopt"
	"salvor/internal/audit"
	"salvor/internal/checkout"
	"salvor/internal/cloud"
	"salvor/internal/confirmation"
	"salvor/internal/envimport"
	"salvor/internal/exposed"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/fleetkeys"
	"salvor/internal/githost"
	"salvor/internal/github"
	"salvor/internal/grant"
	"salvor/internal/hosts"
	"salvor/internal/identity"
	"salvor/internal/keyagent"
	"salvor/internal/keys"
	"salvor/internal/machine"
	"salvor/internal/mirror"
	"salvor/internal/needs"
	"salvor/internal/progress"
	"salvor/internal/prove"
	"salvor/internal/reach"
	"salvor/internal/recording"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/command"
	"salvor/internal/secretchange"
	"salvor/internal/storage"
)

// Options say which fleet, who the operator is and where progress goes.
type Options struct {
	Dir        string                                             // the control repository or a folder in it
	Identity   string                                             // the operator's identity file, "" for the usual place
	SSHKey     string                                             // private key for hosts, "" for the agent and the usual files
	Passphrase func(file string, wrong int) (secret.Value, error) // of SSH keys, see ssh.Auth
	Agents     keyagent.Folder                                    // of the operator's key agents, "" for none
	Computer   storage.Computer                                   // shared by this operator's commands
	Unlock     func(path string, wrong int) (secret.Value, error) // gives the passphrase of the identity, see agekey.FileOptions
	Work       agekey.WorkFactor                                  // of the passphrases of new identities
	Say        func(format string, v ...any)                      // shows what an age plugin says; nil refuses plugins
	Sink       progress.Sink
	Confirm    func(question string) error                                // asked what can be answered by --yes, too
	Approve    func(confirmation.Approval) error                          // asked before this computer does what the repository says; nil refuses
	Grant      func([]grant.Grant) error                                  // has the operator confirm grants of one name; nil refuses all
	Trust      func(question string) error                                // asks at the terminal whether a key is whose it seems to be; nil trusts none
	Ask        func(ask func())                                           // gives what it runs the terminal to itself, nil for no need
	Terminal   *os.File                                                   // what programs that print secrets may ask at, nil for nothing
	Prompts    io.Writer                                                  // gets what those programs write to standard error, nil for no one
	Printed    *command.Memory                                            // of what those programs printed in this run; nil for a new one
	Connect    func(context.Context, fleet.Host) (machine.Machine, error) // reaches a host, nil for SSH
	GitHub     github.Site                                                // where fleets may be, and tokens are sent
	Cloud      cloud.Site                                                 // how servers are that a cloud makes
	Cloudflare string                                                     // where its API is, "" for the public one
	Files      checkout.Files                                             // which files are the fleet's
	News       bool                                                       // the Git host is asked for newer commits meanwhile, see checkout.OpenWithNews
}

// App is one fleet at one commit, opened for one command: what works on it, each with
// what it needs of the others.
type App struct {
	Checkout  *checkout.Checkout
	Identity  *identity.Identity
	Reach     *reach.Dialer
	Needs     *needs.Needs
	Confirmed *confirmation.Confirmed
	FleetKeys *fleetkeys.Keys
	GitHost   *githost.Host
	Record    *recording.Recorder
	Mirrors   *mirror.Copies
	Journals  *audit.Journals
	Exposed   *exposed.Secrets
	Hosts     *hosts.Changes
	Servers   *hosts.Servers
	Import    *envimport.Importer
	Secrets   *secretchange.Changes
	Keys      *keys.Changes
	Acks      *ack.Notes
	Adopt     *adopt.Adopter

	opts     Options
	findings []finding.Finding
}

// Open opens the control repository as o.Files says: the newest commit, so that
// uncommitted changes are not looked at, or what a commit would hold.
func Open(ctx context.Context, o Options) (_ *App, err error) {
	if o.Ask == nil {
		o.Ask = func(ask func()) { ask() }
	}
	a, open := &App{opts: o}, checkout.Open
	if o.News {
		open = checkout.OpenWithNews
	}
	if a.Checkout, err = open(ctx, o.Dir, o.Files); err != nil {
		return nil, err
	}
	defer func() { //nolint:contextcheck // connections are closed also after an interruption
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	return a, a.load(ctx)
}

// noticeKeys adds the findings about keys and secrets: never tried, exposed, too
// old, not pinned, in a file that others may read.
func (a *App) noticeKeys(ctx context.Context, now time.Time) error {
	unproven, err := prove.Due(a.Checkout.Repository, a.Checkout.File, now)
	exposed, exposedErr := a.Exposed.Findings()
	late, lateErr := a.Secrets.Findings(ctx, now)
	unpinned, gitErr := a.GitHost.Findings(ctx)
	unsigned, signErr := a.Confirmed.Findings()
	a.findings = slices.Concat(a.findings, unproven, exposed, late, unpinned, unsigned, a.Identity.Findings())
	finding.Sort(a.findings)
	return errors.Join(err, exposedErr, lateErr, gitErr, signErr)
}

// Close ends connections and removes the exported commit. It may be called
// twice.
func (a *App) Close() error {
	var err error
	if a.Reach != nil {
		err = a.Reach.Close()
	}
	if a.Record != nil {
		err = errors.Join(err, a.Record.Close(context.Background())) // also after an interruption
	}
	return errors.Join(err, a.Checkout.Close())
}

// Fleet returns what the commit declares.
func (a *App) Fleet() *fleet.Fleet { return &a.Checkout.Fleet }

// Lock returns the placements.
func (a *App) Lock() fleet.Lock { return a.Checkout.Lock }

// Named returns the name by which a stack goes, for that name or what it is called
// since it was renamed.
func (a *App) Named(stack string) string { return a.Checkout.Named(stack) }

// Services returns the services of a stack that this commit declares or salvor.lock knows,
// sorted; none where neither can be read.
func (a *App) Services(stack string) []string {
	names := slices.Collect(maps.Keys(a.Checkout.Lock.Stacks[stack].Images))
	for _, s := range a.Needs.Rendered()[stack].Project.Services {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Commit returns the commit that was loaded.
func (a *App) Commit() string { return string(a.Checkout.Commit) }

// Findings returns what is worth knowing without asking a host, worst first.
func (a *App) Findings() []finding.Finding { return a.findings }
