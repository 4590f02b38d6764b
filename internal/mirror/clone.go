package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/card"
	"salvor/internal/confirmation"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/machine/local"
	"salvor/internal/machine/ssh"
	"salvor/internal/record"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
	"salvor/internal/storage"
)

// A Clone says where a control repository was cloned from.
type Clone struct {
	From  string
	Notes []string // what the operator should know before anything is done with it
}

// CloneByCard clones the control repository into dir, which must not exist or be
// empty: from its Git URL, or else from the newest mirror on the record remote that a
// signing key on the card has signed. The clone trusts these keys.
func CloneByCard(ctx context.Context, c card.Card, dir string) (clone Clone, err error) {
	access, err := c.Access()
	if err != nil {
		return clone, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return clone, err
	}
	gitErr := errors.New("the card does not have a Git URL")
	var made *git.Repository
	if access.GitURL != "" {
		made, gitErr = cloneGit(ctx, access, dir)
	}
	if gitErr == nil {
		clone.From = access.GitURL
	} else {
		if access.GitURL != "" {
			gitErr = fmt.Errorf("%s: %w", access.GitURL, gitErr)
		}
		if made, err = cloneMirror(ctx, c.Recovery, access, dir, &clone); err != nil {
			return clone, fault.WithHint(fmt.Errorf("cannot get the repository, neither from Git nor from its mirror: %w; %w", gitErr, err),
				"run git clone with any other copy of the repository; the card's key opens it: --identity FILE")
		}
	}
	if err := confirmation.Pin(made, c.Fleet, access.Signers); err != nil {
		return clone, err
	}
	return clone, clone.name(ctx, made, c)
}

// name says which commit the clone is at, whose it is, and whether that is older than
// the card.
func (clone *Clone) name(ctx context.Context, g *git.Repository, c card.Card) error {
	head, err := g.Head(ctx)
	if err != nil {
		return err
	}
	about, err := g.About(ctx, head)
	if err != nil {
		return err
	}
	clone.From += fmt.Sprintf(", commit %s of %s", head.Short(), about)
	made, err := git.ParseCommit(c.Commit)
	if err != nil {
		return nil //nolint:nilerr // a card of a repository without commits names none
	}
	if has, err := g.IsAncestor(ctx, made, head); err != nil || !has {
		clone.Notes = append(clone.Notes, fmt.Sprintf("it lacks commit %s, from which the card was made: newer commits "+
			"were removed there or never arrived; look for a newer copy before you recover anything", made.Short()))
	}
	return nil
}

// cloneGit clones from the Git host. git gets the card's token when it has one, ssh is
// offered the card's key, and knows the host by the card unless the operator has a way of
// their own.
func cloneGit(ctx context.Context, access card.Access, dir string) (*git.Repository, error) {
	environ := os.Environ()
	if len(access.GitKey) > 0 {
		agent, stop, err := ssh.ServeKey(ctx, access.GitKey)
		if err != nil {
			return nil, fmt.Errorf("the card's Git key: %w", err)
		}
		defer stop()
		environ = append(environ, "SSH_AUTH_SOCK="+agent)
	}
	if os.Getenv("GIT_SSH_COMMAND") == "" && len(access.KnownHosts) > 0 {
		dir, err := os.MkdirTemp("", "salvor-known-hosts-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // public keys in the temporary folder
		known := filepath.Join(dir, "known_hosts")
		if err := atomicfile.Write(known, strings.NewReader(strings.Join(access.KnownHosts, "\n")+"\n"), 0o600); err != nil {
			return nil, err
		}
		environ = append(environ, fmt.Sprintf("GIT_SSH_COMMAND=ssh -o BatchMode=yes -o ConnectTimeout=15 -o StrictHostKeyChecking=yes -o UserKnownHostsFile='%s'", known))
	}
	return git.Clone(ctx, local.Machine{}, git.Cloning{Source: access.GitURL, Origin: access.GitURL, Dir: dir, Environ: environ, Token: access.GitToken})
}

// cloneMirror clones from the newest mirror that the fleet has signed. What else looks
// like one is named in the clone's notes.
func cloneMirror(ctx context.Context, key agekey.Key, access card.Access, dir string, clone *Clone) (_ *git.Repository, err error) {
	if access.Record.Remote == "" {
		return nil, errors.New("the card does not have a remote")
	}
	newest, bundle, unread, err := Fetch(ctx, key, access)
	if err == nil && newest.Commit == "" {
		err = errors.New("there is none")
	}
	if err != nil {
		return nil, fmt.Errorf("the mirror on %s: %w", access.Record.Remote, err)
	}
	for _, u := range unread {
		clone.Notes = append(clone.Notes, u.Finding(finding.MirrorUntrusted).String())
	}
	tmp, err := os.MkdirTemp("", "salvor-mirror-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	file := filepath.Join(tmp, "mirror.bundle")
	if err := atomicfile.Write(file, bytes.NewReader(bundle.Reveal()), 0o600); err != nil {
		return nil, err
	}
	clone.From = "the mirror on " + access.Record.Remote
	return git.Clone(ctx, local.Machine{}, git.Cloning{Source: file, Origin: access.GitURL, Dir: dir, Environ: os.Environ()})
}

// Fetch returns the newest mirror that one of the card's signing keys has signed and the key
// opens, with its bundle, see Open.
func Fetch(ctx context.Context, key agekey.Key, access card.Access) (m record.Mirror, bundle secret.Value, unread []record.Unread, err error) {
	trust := record.Trust{Keys: func() (sign.Keys, error) { return access.Signers, nil }}
	site, err := record.Follow(ctx, access.Record, func(ctx context.Context, where fleet.Location) (record.Folder, error) {
		return storage.Open(ctx, storage.Unsealed(access.Remotes), where)
	}, trust)
	if err != nil {
		return m, bundle, nil, err
	}
	defer func() { err = errors.Join(err, site.Close(context.WithoutCancel(ctx))) }()
	return Open(ctx, site.Record(trust), access.Signers, key)
}
