package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Logged commit is one line of a history.
type Logged struct {
	Commit   Commit
	At       time.Time
	Author   string
	Subject  string
	Trailers []string // "Key: value", of the message's last paragraph
}

// Trailer returns the values of a trailer, in order.
func (l Logged) Trailer(key string) []string {
	var values []string
	for _, t := range l.Trailers {
		if value, is := strings.CutPrefix(t, key+": "); is {
			values = append(values, value)
		}
	}
	return values
}

// Log returns at most limit commits that changed one of the paths, newest first,
// following the branch's own line.
func (g *reader) Log(ctx context.Context, limit int, paths ...string) ([]Logged, error) {
	args := []string{"log", "--first-parent", "--format=%H %ct%x1f%an%x1f%(trailers:only=yes,unfold=yes,separator=%x1f)%x1e%s", "--max-count=" + strconv.Itoa(limit), "--"}
	out, err := g.output(ctx, append(args, paths...)...)
	if err != nil {
		return nil, err
	}
	var all []Logged
	for line := range strings.Lines(out) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		head, subject, _ := strings.Cut(rest, "\x1e")
		at, head, _ := strings.Cut(head, "\x1f")
		author, trailers, _ := strings.Cut(head, "\x1f")
		commit, err := ParseCommit(id)
		if err != nil {
			return nil, err
		}
		seconds, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("git log printed %q", line)
		}
		one := Logged{Commit: commit, At: time.Unix(seconds, 0).UTC(), Author: author, Subject: subject}
		if trailers != "" {
			one.Trailers = strings.Split(trailers, "\x1f")
		}
		all = append(all, one)
	}
	return all, nil
}

// About returns when a commit was made and by whom, "2026-11-28 10:02 by Ann
// <ann@example.net>". A commit that this clone does not have is ErrUnknownCommit.
func (g *reader) About(ctx context.Context, c Commit) (string, error) {
	if !g.has(ctx, c) {
		return "", fmt.Errorf("%s: %w", c.Short(), ErrUnknownCommit)
	}
	return g.line(ctx, "log", "-1", "--date=format-local:%Y-%m-%d %H:%M", "--format=%cd by %an <%ae>", "--end-of-options", string(c))
}

// ErrUnknownCommit is wrapped by errors that mean: the clone does not have the commit.
var ErrUnknownCommit = errors.New("this clone does not have the commit")

// Resolve returns the full id of the commit that an operator named; it must be
// one that the current branch descends from.
func (g *reader) Resolve(ctx context.Context, name string) (Commit, error) {
	id, err := g.line(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("%q is not a commit here", name)
	}
	commit, err := ParseCommit(id)
	if err != nil {
		return "", err
	}
	if on, err := g.IsAncestor(ctx, commit, "HEAD"); err != nil || !on {
		return "", errors.Join(err, fmt.Errorf("commit %s is not on this branch", commit.Short()))
	}
	return commit, nil
}

// First returns the commit that this branch began with.
func (g *reader) First(ctx context.Context) (Commit, error) {
	id, err := g.line(ctx, "rev-list", "--first-parent", "--max-parents=0", "HEAD")
	if err != nil {
		return "", err
	}
	return ParseCommit(id)
}

// An Object is a file or folder of a commit; ID is "" where there is none.
type Object struct {
	ID      string
	Content []byte // of a file; of a folder Git's own listing
}

// Objects returns what is at each "<commit>:<path>", by one git process.
func (g *reader) Objects(ctx context.Context, names []string) ([]Object, error) {
	cmd := g.command("cat-file", "--batch")
	cmd.Stdin = strings.NewReader(strings.Join(names, "\n") + "\n")
	var out bytes.Buffer
	cmd.Stdout = &out
	if _, err := g.m.Run(ctx, cmd); err != nil {
		return nil, err
	}
	all := make([]Object, len(names))
	from := bufio.NewReader(&out)
	for i, name := range names {
		o, err := readObject(from)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all[i] = o
	}
	return all, nil
}

// readObject reads `<id> <type> <size>`, the bytes and a newline, or
// `<name> missing`.
func readObject(from *bufio.Reader) (Object, error) {
	head, err := from.ReadString('\n')
	if err != nil {
		return Object{}, err
	}
	if strings.HasSuffix(head, " missing\n") {
		return Object{}, nil
	}
	fields := strings.Fields(head)
	if len(fields) != 3 {
		return Object{}, fmt.Errorf("git printed %q", strings.TrimSpace(head))
	}
	size, err := strconv.ParseUint(fields[2], 10, 31)
	if err != nil {
		return Object{}, fmt.Errorf("git printed %q", strings.TrimSpace(head))
	}
	if size > maxFile {
		return Object{}, fmt.Errorf("the file has %d MiB, and one in a commit may have %d", size>>20, maxFile>>20)
	}
	content, err := io.ReadAll(io.LimitReader(from, int64(size)+1))
	if err == nil && len(content) <= int(size) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return Object{}, err
	}
	return Object{ID: fields[0], Content: content[:size]}, nil
}

// ErrMode means that a file's kind or mode would have to change, which no commit by
// Salvor does; nothing was changed.
var ErrMode = errors.New("cannot be edited without changing more; edit it by hand")

// Revert returns the files that make a folder what it was in an earlier commit:
// nil content removes one. A file whose kind or mode differs between the two is
// an error that wraps ErrMode, since a commit by Salvor keeps modes.
func (g *Repository) Revert(ctx context.Context, folder string, to Commit) (map[string][]byte, error) {
	now, err := g.under(ctx, folder, "HEAD")
	if err != nil {
		return nil, err
	}
	then, err := g.under(ctx, folder, to)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for path := range now {
		if _, kept := then[path]; !kept {
			files[path] = nil
		}
	}
	var names, paths []string
	for path, was := range then {
		is, there := now[path]
		if there && is == was {
			continue
		}
		if was.mode != "100644" && (is.mode != was.mode || was.mode != "100755") {
			return nil, fmt.Errorf("%s is not a regular file in %s: it %w", path, to.Short(), ErrMode)
		}
		names, paths = append(names, string(to)+":"+path), append(paths, path)
	}
	objects, err := g.Objects(ctx, names)
	for i, o := range objects {
		files[paths[i]] = o.Content
	}
	return files, err
}

// under lists a commit's files in a folder.
func (g *reader) under(ctx context.Context, folder string, c Commit) (map[string]blob, error) {
	out, err := g.output(ctx, "ls-tree", "-r", "-z", "--full-tree", string(c))
	if err != nil {
		return nil, err
	}
	leaves, _, err := parseLeaves(out)
	found := map[string]blob{}
	for _, l := range leaves {
		if strings.HasPrefix(l.path, folder+"/") {
			found[l.path] = l.blob
		}
	}
	return found, err
}

// EverIn returns the files that are in a folder, or were at any commit that the
// branch descends from, sorted.
func (g *reader) EverIn(ctx context.Context, folder string) ([]string, error) {
	out, err := g.output(ctx, "log", "--format=", "--name-only", "--no-renames", "-z", "--", folder)
	if err != nil {
		return nil, err
	}
	all := splitZero(out)
	slices.Sort(all)
	return slices.Compact(all), nil
}
