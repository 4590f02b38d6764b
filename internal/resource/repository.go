package resource

import (
	"context"
	"fmt"

	"salvor/internal/converge"
	"salvor/internal/machine/observe"
)

// A Repository is an apt repository that is trusted for its own key alone: a
// deb822 file /etc/apt/sources.list.d/NAME.sources whose Signed-By is
// /etc/apt/keyrings/NAME.asc. See sources.list(5).
type Repository struct {
	Name       string
	URL        string
	Suite      string
	Components string
	Key        []byte // armored
	Needs      []string
}

var _ converge.Resource = Repository{}

// ID returns "repository NAME".
func (r Repository) ID() string { return "repository " + r.Name }

// Links puts the repository behind the folder of the keys.
func (r Repository) Links() converge.Links {
	return converge.Links{Needs: r.Needs, After: []string{directoryID("/etc/apt/keyrings")}, Looks: looksOf(r.key(), r.sources())}
}

func (r Repository) key() File {
	return File{Path: "/etc/apt/keyrings/" + r.Name + ".asc", Content: r.Key, Mode: 0o644}
}

func (r Repository) sources() File {
	text := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nSigned-By: %s\n", r.URL, r.Suite, r.Components, r.key().Path)
	return File{Path: "/etc/apt/sources.list.d/" + r.Name + ".sources", Content: []byte(text), Mode: 0o644}
}

// Diff compares both files. The key is written first.
func (r Repository) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	return diffParts(ctx, h, r.key(), r.sources())
}
