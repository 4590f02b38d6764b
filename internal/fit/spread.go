package fit

import (
	"cmp"
	"slices"

	"salvor/internal/project"
)

// Spread is a proposal of which stacks go to which hosts.
type Spread struct {
	To   map[string][]string // by host, the stacks that go there, sorted
	Left []string            // that fit nowhere next to the others, sorted
}

// fewHosts is up to how many hosts are tried in every combination.
const fewHosts = 3

// Share proposes hosts for stacks: as few hosts as take all of them, and of these the ones
// with the most room. Those with the most data choose first. Stacks of which one needs the
// other, or its network, stay together. Each placing says what its host has already; what
// comes is ignored.
func Share(hosts []Placing, stacks []Stack) Spread {
	hosts, groups := byRoom(hosts), together(stacks)
	groups = slices.DeleteFunc(groups, func(g []Stack) bool { return len(pack(hosts, [][]Stack{g})) == 0 }) // whatever else goes where
	for many := 1; many <= min(fewHosts, len(hosts)); many++ {
		for _, some := range combinations(hosts, many) {
			if to := pack(some, groups); count(to) == total(groups) {
				return spread(to, stacks)
			}
		}
	}
	return spread(pack(hosts, groups), stacks)
}

// byRoom puts hosts that report first, then those with the most room.
func byRoom(hosts []Placing) []Placing {
	free := func(p Placing) int64 {
		if p.Report == nil {
			return -1
		}
		return p.Report.Free
	}
	return slices.SortedStableFunc(slices.Values(hosts), func(a, b Placing) int {
		return cmp.Or(cmp.Compare(free(b), free(a)), cmp.Compare(a.Host, b.Host))
	})
}

// together returns stacks in groups that go to one host, those with the most data first.
func together(stacks []Stack) [][]Stack {
	var groups [][]Stack
	for _, st := range stacks {
		group := []Stack{st}
		groups = slices.DeleteFunc(groups, func(g []Stack) bool {
			tied := slices.ContainsFunc(g, func(o Stack) bool { return st.tied(o) || o.tied(st) })
			if tied {
				group = append(group, g...)
			}
			return tied
		})
		slices.SortFunc(group, func(a, b Stack) int { return cmp.Compare(a.Name, b.Name) })
		groups = append(groups, group)
	}
	slices.SortFunc(groups, func(a, b []Stack) int {
		return cmp.Or(cmp.Compare(bytes(b), bytes(a)), cmp.Compare(a[0].Name, b[0].Name))
	})
	return groups
}

// tied reports whether a stack needs another on its host.
func (s Stack) tied(o Stack) bool {
	if slices.Contains(s.Needs, o.Name) {
		return true
	}
	return slices.ContainsFunc(s.Networks, func(n project.Network) bool { return n.External && o.makes(n.Name) }) ||
		slices.ContainsFunc(s.Awaited, o.makesVolume)
}

func bytes(group []Stack) (all int64) {
	for _, st := range group {
		all += st.Bytes
	}
	return all
}

// pack gives each group to the first host that it fits on next to those before it.
func pack(hosts []Placing, groups [][]Stack) map[string][]Stack {
	to := map[string][]Stack{}
	for _, g := range groups {
		for _, h := range hosts {
			h.Comes = slices.Concat(to[h.Host], g)
			if !Refused(h.Misfits()) {
				to[h.Host] = h.Comes
				break
			}
		}
	}
	return to
}

// combinations returns every choice of some hosts, in their order.
func combinations(hosts []Placing, many int) [][]Placing {
	if many == 0 {
		return [][]Placing{nil}
	}
	var all [][]Placing
	for i := range hosts {
		for _, rest := range combinations(hosts[i+1:], many-1) {
			all = append(all, slices.Concat(hosts[i:i+1], rest))
		}
	}
	return all
}

func count(to map[string][]Stack) (n int) {
	for _, stacks := range to {
		n += len(stacks)
	}
	return n
}

func total(groups [][]Stack) (n int) {
	for _, g := range groups {
		n += len(g)
	}
	return n
}

func spread(to map[string][]Stack, all []Stack) Spread {
	s := Spread{To: map[string][]string{}}
	placed := map[string]bool{}
	for host, stacks := range to {
		for _, st := range stacks {
			placed[st.Name] = true
			s.To[host] = append(s.To[host], st.Name)
		}
		slices.Sort(s.To[host])
	}
	for _, st := range all {
		if !placed[st.Name] {
			s.Left = append(s.Left, st.Name)
		}
	}
	slices.Sort(s.Left)
	return s
}
