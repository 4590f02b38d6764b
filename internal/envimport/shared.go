package envimport

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"salvor/internal/fault"
)

// affected are the names of the stacks that files are imported into, sorted.
func (b *batch) affected() []string {
	names := map[string]bool{}
	for _, i := range b.parts {
		names[i.stack.Name] = true
	}
	for _, w := range b.whole {
		names[w.stack.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// shared returns an error where a Compose file that stacks share has to change, and not for
// all of them alike.
func (b *batch) shared() error {
	for _, name := range b.affected() {
		st := b.stacks[name]
		for _, p := range slices.Sorted(maps.Keys(st.replaced)) {
			if err := b.sameForAll(st, p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *batch) sameForAll(st *stackState, file string) error {
	for _, declared := range b.importer.checkout.Fleet.Stacks {
		other, err := b.state(declared.Name)
		if err != nil || !other.composedOf(file) { // what can't be read loses nothing that it has
			continue
		}
		switch content, changed := other.replaced[file]; {
		case !changed && len(b.opts.Stacks) == 0:
			return fault.WithHint(fmt.Errorf("%s is also used by the stack %s, which would lose variables", file, declared.Name),
				"move what both use into a folder that is not a stack's, like stacks/common/, then run salvor secret import again")
		case !changed:
			return fault.WithHint(fmt.Errorf("%s is also used by the stack %s, which would lose variables", file, declared.Name),
				"run salvor secret import without --stack, or with --stack "+declared.Name+" as well")
		case !bytes.Equal(content, st.replaced[file]):
			return fault.WithHint(fmt.Errorf("the stacks %s and %s need different changes of %s", st.stack.Name, declared.Name, file),
				"one of them has a variable of the same name with another value: rename it there, then run salvor secret import again")
		}
	}
	return nil
}

// others are the stacks that read a file and that it is not imported into.
func (b *batch) others(s *source) []string {
	var names []string
	for _, declared := range b.importer.checkout.Fleet.Stacks {
		st, err := b.state(declared.Name)
		taken := slices.ContainsFunc(b.parts, func(i *importing) bool { return i.source == s && i.stackState == st })
		if err == nil && !taken && st.reads(s) { // of one that can't be read nothing is known
			names = append(names, declared.Name)
		}
	}
	return names
}

// stageSharers has stacks wait for the operator's commit with those that they share a changed
// file with.
func (b *batch) stageSharers() {
	for before := -1; before < len(b.receipt.Staged); {
		before = len(b.receipt.Staged)
		for _, name := range b.affected() {
			shares := slices.ContainsFunc(b.receipt.Staged, func(other string) bool {
				return name != other && b.share(b.stacks[name], b.stacks[other])
			})
			if shares && !slices.Contains(b.receipt.Staged, name) {
				b.receipt.Staged = append(b.receipt.Staged, name)
			}
		}
	}
	slices.Sort(b.receipt.Staged)
}

// share reports whether a file changes for two stacks, other than an env file that goes.
func (b *batch) share(one, other *stackState) bool {
	for p := range one.replaced {
		if _, both := other.replaced[p]; both && !b.isSource(p) {
			return true
		}
	}
	return false
}
