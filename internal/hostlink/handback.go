package hostlink

import (
	"slices"

	"salvor/internal/agentapi"
)

// handedBack keeps the stacks that were asked for, each with paths that can be.
func (a *answer) handedBack(r *agentapi.HandedBack) {
	seen := map[string]bool{}
	r.Stacks = slices.DeleteFunc(r.Stacks, func(p agentapi.PlainStack) bool {
		_, asked := a.asked[p.Name]
		odd := !asked || seen[p.Name] || p.Folder != "" && !absolute(p.Folder) ||
			slices.ContainsFunc(slices.Concat(p.Secrets, p.Replaces, p.Data), func(file string) bool { return !absolute(file) })
		seen[p.Name] = true
		if odd {
			a.refuse("stack %s in %q", p.Name, p.Folder)
		}
		return odd
	})
}
