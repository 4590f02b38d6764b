package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/claims"
	"salvor/internal/controlrepo"
	"salvor/internal/deploy"
	"salvor/internal/exposed"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/handback"
	"salvor/internal/hosts"
	"salvor/internal/identity"
	"salvor/internal/machine"
	"salvor/internal/machine/ssh"
	"salvor/internal/mirror"
	"salvor/internal/move"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/prove"
	"salvor/internal/prune"
	"salvor/internal/recording"
	"salvor/internal/recordmove"
	"salvor/internal/recovery"
	"salvor/internal/rollback"
	"salvor/internal/seal"
	"salvor/internal/secretchange"
	"salvor/internal/storage"
)

// What the workflows need of the opened fleet: App has most of it.

// Session returns the workflow on this commit. Its progress goes to sink.
func (a *App) Session(ctx context.Context, sink progress.Sink) (*deploy.Session, error) {
	git, err := a.GitHost.Source(ctx)
	if err != nil {
		return nil, err
	}
	trusted, err := a.Confirmed.Trusted()
	if err != nil {
		return nil, err
	}
	unsigned, err := a.Confirmed.Unsigned()
	if err != nil {
		return nil, err
	}
	s := &deploy.Session{
		Fleet: &a.Checkout.Fleet, Lock: a.Checkout.Lock, Commit: string(a.Checkout.Commit), Stacks: a.Needs.Rendered(), Git: git, LetIn: a.Checkout.LetIn, Signers: trusted, Owner: identity.Owner(),
		Keys: a.Checkout.Recipients, HostSigners: a.Checkout.HostSigners, Lease: agentapi.DefaultLease().On(storage.Metered(&a.Checkout.Fleet)).Length(),
		Unrecorded: len(a.Checkout.Renaming)+len(unsigned) > 0, Granted: a.Confirmed.ConfirmGrants,
		Sealer: a.sealer(), Record: struct {
			*recording.Recorder
			*mirror.Copies
		}{a.Record, a.Mirrors}, Hosts: a.Reach, Fresh: a.Reach.Fresh, Tailnet: a.tailnet(), Repo: a.Checkout.Committer(true), Sink: sink,
	}
	s.Around, err = around(a, s)
	return s, err
}

// ForRecovery is the opened fleet as a recovery needs it.
func (a *App) ForRecovery() recovery.Fleet { return recoverer{a} }

type recoverer struct{ *App }

// AddHost implements recovery.Fleet.
func (r recoverer) AddHost(ctx context.Context, h fleet.Host, key ssh.PublicKey, replaces bool) (recovery.Target, error) {
	add, err := r.Hosts.Add(ctx, h, key, replaces)
	return target(add), err
}

// Enrol implements recovery.Fleet.
func (r recoverer) Enrol(ctx context.Context, h fleet.Host) (recovery.Target, error) {
	add, err := r.Hosts.Enrol(ctx, h)
	return target(add), err
}

func target(add hosts.Addition) recovery.Target {
	return recovery.Target{Files: add.Files, GitKey: add.GitKey, Replaced: add.Replaced}
}

// PinGitHost implements recovery.Fleet.
func (r recoverer) PinGitHost(ctx context.Context) error { return r.GitHost.Pin(ctx) }

// LetRead implements recovery.Fleet.
func (r recoverer) LetRead(ctx context.Context, keys map[string]string) (bool, error) {
	kept, err := r.GitHost.KeepKeys(ctx, keys)
	return kept.Keeper != "", err
}

// Forget implements recovery.Fleet.
func (r recoverer) Forget(host string, files map[string][]byte) error {
	content, given := files[fleet.DeployKeysFile]
	if !given {
		var err error
		if content, err = r.Checkout.File(fleet.DeployKeysFile); errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
	}
	files[fleet.DeployKeysFile] = controlrepo.SetDeployKey(content, host, "")
	return nil
}

// MoveRoutes implements recovery.Fleet.
func (r recoverer) MoveRoutes(from, to string, files map[string][]byte) error {
	ingress := &r.Checkout.Fleet.Ingress
	if from == to && ingress.Tunnels[from] == "" || from != to && len(ingress.At(from)) == 0 {
		return nil
	}
	content, given := files[fleet.File]
	if !given {
		var err error
		if content, err = r.Checkout.File(fleet.File); err != nil {
			return err
		}
	}
	edited, err := controlrepo.MoveRoutes(content, from, to)
	if from == to {
		edited, err = controlrepo.RemoveTunnel(content, from)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", fleet.File, err)
	}
	files[fleet.File] = edited
	ingress.Routes, ingress.Tunnels = slices.Clone(ingress.Routes), maps.Clone(ingress.Tunnels)
	if from == to {
		delete(ingress.Tunnels, from)
	}
	for i := range ingress.Routes {
		if ingress.Routes[i].Host == from {
			ingress.Routes[i].Host = to
		}
	}
	return nil
}

// NoteStolen implements recovery.Fleet.
func (r recoverer) NoteStolen(ctx context.Context, host string, files map[string][]byte) error {
	_, err := r.App.Exposed.NoteHost(ctx, host, files)
	return err
}

// Reach implements recovery.Fleet.
func (r recoverer) Reach(h fleet.Host) (func(context.Context) (machine.Machine, error), error) {
	return r.App.Reach.To(h)
}

// Exposed implements recovery.Fleet.
func (r recoverer) Exposed(ctx context.Context, host string) (exposed.Host, error) {
	return r.App.Exposed.ByHost(ctx, host)
}

// ForMove is the opened fleet as a move needs it.
func (a *App) ForMove() move.Fleet { return mover{recoverer{a}} }

type mover struct{ recoverer }

// EnrolCommitted implements move.Fleet.
func (m mover) EnrolCommitted(ctx context.Context, h fleet.Host) error {
	add, err := m.Hosts.Enrol(ctx, h)
	if err != nil {
		return err
	}
	return m.Checkout.CommitFiles(ctx, add.Files, "move: host "+h.Name+" enrolled")
}

// Rehost returns the Compose files of stacks with another host: in x-salvor.
func (a *App) Rehost(stacks []string, host string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range stacks {
		st, declared := a.Checkout.Fleet.Stack(name)
		if !declared {
			continue
		}
		path := st.Dir + "/" + st.File
		content, err := a.Checkout.File(path)
		if err != nil {
			return nil, err
		}
		edited, err := controlrepo.SetStackHost(content, host)
		if err != nil && a.Broken(name) != nil {
			continue // it stays where the lock has it until its files load
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if string(edited) != string(content) {
			files[path] = edited
		}
		for i := range a.Checkout.Fleet.Stacks {
			if a.Checkout.Fleet.Stacks[i].Name == name {
				a.Checkout.Fleet.Stacks[i].Host = host
			}
		}
	}
	return files, nil
}

// ForHandBack is the opened fleet as the release of a host needs it; remove takes the host out
// of the newest commit later on.
func (a *App) ForHandBack(remove func(context.Context, string) (exposed.Host, error)) handback.Fleet {
	return givingBack{a, remove}
}

type givingBack struct {
	*App
	remove func(context.Context, string) (exposed.Host, error)
}

// RemoveHost implements handback.Fleet.
func (g givingBack) RemoveHost(ctx context.Context, host string) (exposed.Host, error) {
	return g.remove(ctx, host)
}

// RemovalWaits implements handback.Fleet.
func (g givingBack) RemovalWaits(ctx context.Context, host string) (bool, error) {
	return g.Hosts.RemovalWaits(ctx, host)
}

// Unplaced implements handback.Fleet.
func (g givingBack) Unplaced(stacks []string, host string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range stacks {
		seals, err := fs.Glob(os.DirFS(g.Checkout.Export), fleet.SealedFile(host, name)+"*")
		if err != nil {
			return nil, err
		}
		for _, file := range seals {
			files[file] = nil
		}
		st, declared := g.Checkout.Fleet.Stack(name)
		if !declared || st.Host != host {
			continue // a wish for another host stays
		}
		path := st.Dir + "/" + st.File
		content, err := g.Checkout.File(path)
		if err == nil {
			files[path], err = controlrepo.UnsetStackHost(content)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return files, nil
}

// ForRollback is the opened fleet as a rollback needs it; reopen opens the newest commit
// later on.
func (a *App) ForRollback(reopen func(context.Context, progress.Sink) (*deploy.Session, error)) *rollback.Fleet {
	session := func(ctx context.Context) (*deploy.Session, error) { return a.Session(ctx, a.opts.Sink) }
	return &rollback.Fleet{
		Declared: &a.Checkout.Fleet, Lock: a.Checkout.Lock, Git: a.Checkout.Git, ProjectAt: a.projectAt,
		CommitFiles: a.Checkout.CommitFiles, Session: session, Reopen: reopen,
	}
}

// ForClaims is the fleet's record as its claims need it.
func (a *App) ForClaims() claims.Record {
	return claims.Record{With: a.Record.With, OnBranch: a.Record.OnBranch}
}

// ForPrune is the opened fleet as the pruning of snapshots needs it.
func (a *App) ForPrune() *prune.Fleet {
	return &prune.Fleet{
		Archives: *a.Archives(),
		StandBy: func(ctx context.Context, sink progress.Sink) (prune.StandBy, error) {
			s, err := a.Session(ctx, sink)
			if err != nil {
				return nil, err
			}
			return s.StandBy, nil
		},
	}
}

// Archives are the fleet's snapshot repositories.
func (a *App) Archives() *recording.Archives {
	return &recording.Archives{
		Declared: &a.Checkout.Fleet, Lock: a.Checkout.Lock, Stacks: a.withRepositories, Recovery: a.sealer().Recovery,
		Open: a.Record.Folder, With: a.Record.With, Epoch: a.Record.Epoch,
	}
}

// ForProve is the opened fleet as the trial of a key needs it.
func (a *App) ForProve() *prove.Fleet {
	return &prove.Fleet{
		Declared: &a.Checkout.Fleet, Lock: a.Checkout.Lock, File: a.Checkout.File,
		Recipients: func() ([]string, error) {
			ids, err := a.Identity.Ring.Identities()
			return identity.RecipientsOf(ids), err
		},
		Secrets: a.Identity.Store.List, Secret: a.Identity.Secret, Recovery: a.sealer().Recovery,
		Open: a.Record.Folder, Mirror: a.Mirrors.Newest, About: a.Checkout.Git.About, CommitFiles: a.Checkout.CommitFiles,
	}
}

// withRepositories are the stacks that ever had a snapshot repository.
func (a *App) withRepositories() (stacks []string, err error) {
	err = a.Needs.EachRecovery(func(stack string, _ seal.Signed) error {
		stacks = append(stacks, stack)
		return nil
	})
	return stacks, err
}

// ForRecordMove is the opened fleet as a move of its record needs it.
func (a *App) ForRecordMove() *recordmove.Fleet {
	return &recordmove.Fleet{
		Declared: &a.Checkout.Fleet, Lock: a.Checkout.Lock, File: a.Checkout.File, Behind: a.Checkout.Behind,
		Open: a.Record.Folder, Trust: a.Record.Trust(), Session: a.Session,
	}
}

// projectAt renders a stack as a commit declared it.
func (a *App) projectAt(ctx context.Context, st fleet.Stack, c git.Commit) (project.Project, error) {
	_, rendered, err := a.stackAt(ctx, st.Name, c, a.Checkout.Fleet.Vars)
	return rendered.Project, err
}

// ForRotation is the opened fleet as the rotation of a secret needs it.
func (a *App) ForRotation() Rotating { return Rotating{a.Secrets, a} }

// Rotating implements rotation.Secrets and rotation.Reopened.
type Rotating struct {
	*secretchange.Changes
	app *App
}

// Session implements rotation.Reopened.
func (r Rotating) Session(ctx context.Context, sink progress.Sink) (*deploy.Session, error) {
	return r.app.Session(ctx, sink)
}
