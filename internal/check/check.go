// Package check says what is wrong with a commit of a fleet as far as that can be seen
// without asking a host.
package check

import (
	"slices"

	"salvor/internal/controlrepo"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/rendering"
)

// Names say which secrets hosts may be given.
type Names interface {
	// Deliverable returns why a secret stays with the operators, nil for one that does
	// not.
	Deliverable(name string) error
}

// Findings returns what does not fit in what a commit declares: names of stacks, published
// ports, names of containers, folders, remotes and registries, a record without a place, a tunnel's token that shows,
// hostnames that nothing publishes, and routes that DockFlare does not read. The stacks are
// those that could be rendered. No secret is opened.
func Findings(repo *controlrepo.Repository, names Names, stacks map[string]project.Rendered) []finding.Finding {
	c := commit{repo: repo, names: names, stacks: stacks}
	return slices.Concat(c.nameless(), c.portsTaken(), c.containersTaken(), c.mountsNested(), c.invalidRemotes(), c.invalidRegistries(), c.unrecorded(), c.tokenShown(), c.unpublished(), c.labelsOnly())
}

// A commit is what is looked at.
type commit struct {
	repo   *controlrepo.Repository
	names  Names
	stacks map[string]project.Rendered
}

// nameless are the findings about folders of stacks/ whose names no stack can have.
func (c commit) nameless() []finding.Finding {
	var all []finding.Finding
	for name, problems := range c.repo.Broken {
		if fleet.ValidName(name) != nil {
			all = append(all, rendering.Problems("", problems)...)
		}
	}
	return all
}
