package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"salvor/internal/machine"
	"salvor/internal/secret"
)

// A Cloning says what is cloned, and where to.
type Cloning struct {
	Source  string   // a URL, or a bundle of Bundle
	Origin  string   // what the clone's remote is then, "" for none
	Dir     string   // must not exist, or be empty
	Environ []string // as for Open
	Token   []byte   // lent to git where Source is reached over https, as UseLogin does; nil for none
}

// Clone makes a clone. It has the pre-commit hook that Init writes, unless the operator has
// hooks of their own. After an error the folder is as it was.
func Clone(ctx context.Context, m machine.Machine, o Cloning) (*Repository, error) {
	g := &Repository{reader: reader{m: m, dir: "/", env: gitEnv(o.Environ)}}
	c := g.command("clone", "--quiet", "--", o.Source, o.Dir)
	c.Timeout = remoteTimeout
	run := g.run
	if len(o.Token) > 0 {
		run = func(ctx context.Context, c machine.Cmd) (string, error) {
			return g.lend(ctx, o.Source, c, func() (secret.Value, error) { return secret.New(bytes.Clone(o.Token)), nil })
		}
	}
	if _, err := run(ctx, c); err != nil {
		return nil, fmt.Errorf("git clone: %w", err)
	}
	cloned, err := Open(ctx, m, o.Dir, o.Environ)
	switch {
	case err != nil || o.Origin == o.Source:
	case o.Origin == "":
		_, err = cloned.output(ctx, "remote", "remove", "origin")
	default:
		_, err = cloned.output(ctx, "remote", "set-url", "origin", o.Origin)
	}
	if err != nil {
		return nil, err
	}
	hook, err := cloned.freeHook(ctx)
	if errors.Is(err, ErrExists) {
		return cloned, nil // by the operator's own template
	}
	return cloned, errors.Join(err, writeHook(hook))
}
