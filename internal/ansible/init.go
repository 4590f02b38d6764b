package ansible

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"salvor/internal/controlrepo"
	"salvor/internal/progress"
	"salvor/internal/proposal"
)

// A Repository has the files of the newest commit, and commits others.
type Repository struct {
	File   func(path string) ([]byte, error) // wraps fs.ErrNotExist for none
	Commit func(ctx context.Context, files map[string][]byte, message string) error
}

// PrepareFiles proposes to write the playbooks with which Ansible prepares the fleet's hosts.
// Salvor's role becomes that of this version; a site.yml that is there stays. The receipt has
// the paths that were written, sorted; none where nothing was to do.
func PrepareFiles(r Repository) (proposal.Proposal[[]string], error) {
	files, err := controlrepo.Playbooks()
	if err != nil {
		return proposal.Proposal[[]string]{}, err
	}
	var plan strings.Builder
	for _, path := range slices.Sorted(maps.Keys(files)) {
		has, err := r.File(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			fmt.Fprintf(&plan, "+ %s\n", path)
		case err != nil:
			return proposal.Proposal[[]string]{}, err
		case path == controlrepo.SitePlaybook || bytes.Equal(has, files[path]):
			delete(files, path)
		default:
			fmt.Fprintf(&plan, "~ %s: replaced by this version's\n", path)
		}
	}
	paths := slices.Sorted(maps.Keys(files))
	p := proposal.New("write the playbooks", func(ctx context.Context, _ progress.Sink) ([]string, error) {
		if len(paths) == 0 {
			return nil, nil
		}
		return paths, r.Commit(ctx, files, "playbooks: Salvor's role\n\nWritten by salvor ansible --init.\n")
	})
	if p.Plan = plan.String(); p.Plan != "" {
		p.Question = "Commit these files?"
	}
	return p, nil
}
