package mirror

import (
	"context"
	"fmt"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/card"
	"salvor/internal/fleet"
	"salvor/internal/sealing"
	"salvor/internal/secret"
	"salvor/internal/sign"
	"salvor/internal/storage"
)

// Card makes the recovery card as of this commit.
func (c *Copies) Card(ctx context.Context) (card.Card, error) {
	made := card.Card{Fleet: c.checkout.Fleet.Name, Made: time.Now().UTC(), Commit: string(c.checkout.Commit)}
	var err error
	if made.Recovery, err = c.keys.Recovery(); err != nil {
		return made, err
	}
	source, err := c.gitHost.Source(ctx)
	if err != nil {
		return made, err
	}
	made.GitURL, made.Mirrored = source.URL, c.checkout.Fleet.Record.Remote != ""
	if made.Signers, err = c.confirmed.Trusted(); err != nil {
		return made, err
	}
	access, err := c.cardAccess(ctx, source, made.Signers)
	if err == nil {
		made.Sealed, err = access.Seal(made.Recovery)
	}
	return made, err
}

func (c *Copies) cardAccess(ctx context.Context, source agentapi.Git, signers sign.Keys) (card.Access, error) {
	f := &c.checkout.Fleet
	access := card.Access{Fleet: f.Name, GitURL: source.URL, KnownHosts: source.KnownHosts, Signers: signers, Record: f.Record, Remotes: map[string]agentapi.SealedRemote{}}
	for _, reads := range []struct {
		name    string
		setting secret.Setting
		place   *[]byte
	}{{"git.key", f.Git.Key, &access.GitKey}, {"git.read_token", f.Git.ReadToken, &access.GitToken}} {
		ref, ok := reads.setting.Secret()
		if !ok {
			continue
		}
		value, err := c.identity.Store.Resolve(ctx, ref)
		if err != nil {
			return access, fmt.Errorf("%s: %w", reads.name, err)
		}
		*reads.place = value.Reveal()
	}
	for _, r := range storage.WithWrapped(f, remotesWithData(f)) {
		var err error
		if access.Remotes[r.Name], err = sealing.New(c.checkout, c.needs, c.confirmed, c.keys, nil).Remote(ctx, r); err != nil {
			return access, err
		}
	}
	return access, nil
}

// remotesWithData are those by which a fleet is read when nothing else is left: of the
// record, of snapshots, of shared volumes.
func remotesWithData(f *fleet.Fleet) []string {
	names := []string{f.Record.Remote, f.Shared.Remote}
	for _, t := range f.Snapshots {
		names = append(names, t.Where.Remote)
	}
	return names
}
