package resource

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"path"

	"salvor/internal/converge"
	"salvor/internal/machine/observe"
)

// A File is a regular file with content, permissions, owner and group (root by
// default). It replaces what is there atomically: a reader sees the old content
// or the new one, and the new one only with its owner and mode. Its folder must
// exist or be a Directory. It is for plain content, not for secrets.
type File struct {
	Path    string
	Content []byte
	Mode    fs.FileMode
	Owner   string
	Group   string
	Needs   []string
}

var _ converge.Resource = File{}

// ID returns "file PATH".
func (f File) ID() string { return fileID(f.Path) }

func fileID(p string) string { return "file " + p }

// Links puts the file behind its folder and its owner.
func (f File) Links() converge.Links {
	return converge.Links{Needs: f.Needs, After: placed(f.Path, f.attributes()), Looks: observe.Query{Paths: []string{f.Path}}}
}

// placed returns the ids that come before something at a path.
func placed(p string, a attributes) []string {
	owner, group := a.names()
	return []string{directoryID(path.Dir(p)), userID(owner), groupID(group)}
}

func (f File) attributes() attributes {
	return attributes{mode: f.Mode, owner: f.Owner, group: f.Group}
}

// Diff compares content, mode, owner and group.
func (f File) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	is, err := h.File(ctx, f.Path)
	if err != nil {
		return nil, err
	}
	write := quietly(func(ctx context.Context) error { return f.write(ctx, h) })
	if !is.Exists {
		return &converge.Change{Action: converge.Makes, Cause: "is not there", Apply: write}, nil
	}
	if !is.Mode.IsRegular() {
		return nil, fmt.Errorf("there is something other than a regular file (%s)", is.Mode.Type())
	}
	causes, err := f.attributes().causes(ctx, h, is)
	if err != nil {
		return nil, err
	}
	content, err := h.ReadFile(ctx, f.Path)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(content, f.Content) {
		change := because(append([]string{contentCause(content, f.Content)}, causes...), write)
		change.Seen = contents(content, f.Content)
		return change, nil
	}
	return because(causes, quietly(func(ctx context.Context) error { return f.attributes().set(ctx, h, f.Path) })), nil
}

// contentCause names the first line that differs, so that a person finds it.
func contentCause(is, want []byte) string {
	line := 1
	for i := range min(len(is), len(want)) {
		if is[i] != want[i] {
			break
		}
		if is[i] == '\n' {
			line++
		}
	}
	return fmt.Sprintf("its content differs from line %d on", line)
}

// contents names contents by digest, so that a plan's fingerprint holds them.
func contents(is, want []byte) string { return short(is) + " " + short(want) }

func short(content []byte) string {
	sum := sha256.Sum256(content)
	return fmt.Sprintf("%x", sum[:4])
}

// write prepares the file next to its place unless root owns it, since WriteFile
// makes it root's. The temporary name is fixed: a run that was interrupted leaves one
// file, which the next one takes up.
func (f File) write(ctx context.Context, h *observe.Host) error {
	if owner, group := f.attributes().names(); owner == "root" && group == "root" {
		return h.WriteFile(ctx, f.Path, bytes.NewReader(f.Content), f.Mode)
	}
	temporary := path.Join(path.Dir(f.Path), "."+path.Base(f.Path)+".salvor-new")
	if err := h.WriteFile(ctx, temporary, bytes.NewReader(f.Content), f.Mode.Perm()&0o700); err != nil {
		return err
	}
	if err := f.attributes().set(ctx, h, temporary); err != nil {
		return err
	}
	return run(ctx, h, "mv", "-fT", "--", temporary, f.Path)
}
