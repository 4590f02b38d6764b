package git

import (
	"context"
	"errors"
	"fmt"

	"salvor/internal/machine"
)

// Clone makes dir, which must not exist or be empty, a clone of source: a URL, or
// a bundle of Bundle. origin is what the clone's remote is then, "" for none. It has
// the pre-commit hook that Init writes, unless the operator has hooks of their own.
// environ is as for Open. After an error dir is as it was.
func Clone(ctx context.Context, m machine.Machine, source, origin, dir string, environ []string) (*Repository, error) {
	g := &Repository{reader: reader{m: m, dir: "/", env: gitEnv(environ)}}
	c := g.command("clone", "--quiet", "--", source, dir)
	c.Timeout = remoteTimeout
	if _, err := g.m.Run(ctx, c); err != nil {
		return nil, fmt.Errorf("git clone: %w", err)
	}
	cloned, err := Open(ctx, m, dir, environ)
	switch {
	case err != nil || origin == source:
	case origin == "":
		_, err = cloned.output(ctx, "remote", "remove", "origin")
	default:
		_, err = cloned.output(ctx, "remote", "set-url", "origin", origin)
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
