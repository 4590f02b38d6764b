package converge

import (
	"fmt"
	"slices"
	"strings"
)

// A graph is the resources in an order in which each comes after those it
// links to. The order depends on the list alone.
type graph struct {
	resources []Resource
	index     map[string]int // id to position in resources
}

func newGraph(resources []Resource) (*graph, error) {
	given := map[string]Resource{}
	for _, r := range resources {
		if _, twice := given[r.ID()]; twice {
			return nil, fmt.Errorf("%s is declared twice", r.ID())
		}
		given[r.ID()] = r
	}
	s := sorter{given: given, graph: &graph{index: map[string]int{}}}
	for _, r := range resources {
		if err := s.visit(r, nil); err != nil {
			return nil, err
		}
	}
	return s.graph, nil
}

type sorter struct {
	given map[string]Resource
	graph *graph
}

// visit places r behind everything it links to. path is how it was reached.
func (s *sorter) visit(r Resource, path []string) error {
	id := r.ID()
	if _, placed := s.graph.index[id]; placed {
		return nil
	}
	if i := slices.Index(path, id); i >= 0 {
		return fmt.Errorf("resources need each other: %s", strings.Join(append(path[i:], id), " -> "))
	}
	path = append(path, id)
	links := r.Links()
	for _, need := range links.Needs {
		if _, ok := s.given[need]; !ok {
			return fmt.Errorf("%s needs %s, which is not declared", id, need)
		}
	}
	for _, before := range links.before() {
		if other, ok := s.given[before]; ok {
			if err := s.visit(other, path); err != nil {
				return err
			}
		}
	}
	s.graph.index[id] = len(s.graph.resources)
	s.graph.resources = append(s.graph.resources, r)
	return nil
}

func (l Links) before() []string { return slices.Concat(l.Needs, l.After, l.Follows) }

// stepsBefore returns the steps that resource i waits for. Links through
// resources that don't change count too. at maps resources to steps, -1 for
// none.
func (g *graph) stepsBefore(i int, at []int) []int {
	var steps []int
	seen := map[int]bool{}
	var walk func(int)
	walk = func(i int) {
		for _, id := range g.resources[i].Links().before() {
			j, ok := g.index[id]
			if !ok || seen[j] {
				continue
			}
			seen[j] = true
			if at[j] >= 0 {
				steps = append(steps, at[j])
				continue // it waits for those before it
			}
			walk(j)
		}
	}
	walk(i)
	slices.Sort(steps)
	return steps
}
