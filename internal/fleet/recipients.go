package fleet

import "slices"

// All returns the operators' recipients and the recovery one, sorted, each
// once: whom every secret in the repository is encrypted to.
func (r Recipients) All() []string {
	var all []string
	for _, recipient := range r.Operators {
		all = append(all, recipient)
	}
	if r.Recovery != "" {
		all = append(all, r.Recovery)
	}
	return slices.Compact(sorted(all))
}
