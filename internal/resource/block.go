package resource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"salvor/internal/converge"
	"salvor/internal/machine/observe"
)

// A Block holds lines in a text file that others write too, like a user's
// authorized_keys: they stand together between two comment lines that name the
// block, and every other line stays. Without Lines there is no block.
type Block struct {
	Path  string
	Name  string // "salvor": is in the two comment lines
	Cause string // why the block is written, for people: "accept the fleet's keys"
	Lines []string
	Mode  fs.FileMode // of a file that is not there yet
	Owner string      // as Mode
	Group string      // as Mode
	Needs []string
}

var _ converge.Resource = Block{}

// ID returns "file PATH", as a File's: there can only be one of both.
func (b Block) ID() string { return fileID(b.Path) }

// Links puts the file behind its folder and its owner.
func (b Block) Links() converge.Links {
	return converge.Links{Needs: b.Needs, After: placed(b.Path, b.attributes()), Looks: observe.Query{Paths: []string{b.Path}}}
}

func (b Block) attributes() attributes {
	return attributes{mode: b.Mode, owner: b.Owner, group: b.Group}
}

// Diff compares the block. One that begins and doesn't end is an error: then it is
// unknown which lines belong to whom.
func (b Block) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	is, err := h.File(ctx, b.Path)
	if err != nil {
		return nil, err
	}
	content, err := h.ReadFile(ctx, b.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	want, err := b.Within(content)
	if err != nil || bytes.Equal(want, content) {
		return nil, err
	}
	write := quietly(func(ctx context.Context) error { return b.write(ctx, h, is, want) })
	if !is.Exists {
		return &converge.Change{Action: converge.Makes, Cause: b.Cause, Apply: write}, nil
	}
	return &converge.Change{Action: converge.Changes, Cause: b.Cause, Seen: contents(content, want), Apply: write}, nil
}

// Within returns a file's content with the block as it is to be.
func (b Block) Within(content []byte) ([]byte, error) {
	begin, end := "# begin "+b.Name, "# end "+b.Name
	var before, after []string
	into, inside := &before, false
	for line := range strings.Lines(string(content)) {
		switch text := strings.TrimRight(line, "\r\n"); {
		case text == begin:
			inside = true
		case text == end && inside:
			into, inside = &after, false
		case !inside:
			*into = append(*into, line)
		}
	}
	if inside {
		return nil, fmt.Errorf("has the line %q without %q after it", begin, end)
	}
	if n := len(before); n > 0 && len(b.Lines) > 0 && !strings.HasSuffix(before[n-1], "\n") {
		before[n-1] += "\n"
	}
	out := strings.Join(before, "")
	if len(b.Lines) > 0 {
		out += begin + "\n" + strings.Join(b.Lines, "\n") + "\n" + end + "\n"
	}
	return []byte(out + strings.Join(after, "")), nil
}

// write keeps the mode and the owner of a file that is there.
func (b Block) write(ctx context.Context, h *observe.Host, is observe.File, content []byte) error {
	f := File{Path: b.Path, Content: content, Mode: b.Mode, Owner: b.Owner, Group: b.Group}
	if !is.Exists || b.Owner != "" && b.Owner != "root" {
		return f.write(ctx, h)
	}
	return h.WriteFile(ctx, path.Clean(b.Path), bytes.NewReader(content), is.Mode.Perm())
}
