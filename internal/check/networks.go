package check

import (
	"fmt"
	"slices"

	"salvor/internal/controlrepo"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// ofEngine are the networks that each Docker engine has.
var ofEngine = []string{"bridge", "host", "none"}

// Networks returns a finding for each network that a stack joins and that may not be on
// its host. One that runs has found it there, so that is a warning.
func Networks(repo *controlrepo.Repository, stacks map[string]project.Rendered) []finding.Finding {
	c := commit{repo: repo, stacks: stacks}
	var found []finding.Finding
	for _, st := range repo.Fleet.Stacks {
		for _, n := range c.joined(st) {
			if f, missing := c.networkMissing(st, n); missing {
				found = append(found, f)
			}
		}
	}
	return found
}

// Unmade are the networks that a stack joins and that neither fleet.yaml nor another stack on
// its host makes.
func Unmade(repo *controlrepo.Repository, stacks map[string]project.Rendered, st fleet.Stack) []project.Network {
	c := commit{repo: repo, stacks: stacks}
	return slices.DeleteFunc(c.joined(st), func(n project.Network) bool { return c.networkMaker(st, n.Name) != "" })
}

// joined are the networks that a stack to deploy joins, as far as fleet.yaml and the engine do
// not have them.
func (c commit) joined(st fleet.Stack) []project.Network {
	if st.Host == "" {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(c.stacks[st.Name].Networks), func(n project.Network) bool {
		return !n.External || slices.Contains(ofEngine, n.Name) || c.declaresNetwork(n.Name)
	})
}

func (c commit) declaresNetwork(name string) bool {
	return slices.ContainsFunc(c.repo.Fleet.Networks, func(n fleet.Network) bool { return n.Name == name })
}

// networkMissing is the finding about a network that fleet.yaml does not declare, unless
// a stack that has to run before makes it.
func (c commit) networkMissing(st fleet.Stack, n project.Network) (_ finding.Finding, missing bool) {
	f := finding.Finding{Code: finding.NetworkMissing, Severity: finding.Warning, Subject: n.Position}
	if maker := c.networkMaker(st, n.Name); maker != "" {
		f.Text = fmt.Sprintf("stack %s makes the network %s that %s joins, and may start after it", maker, n.Name, st.Name)
		f.Fix = fmt.Sprintf("x-salvor: {needs: [%s]} in %s/%s", maker, st.Dir, st.File)
		return f, !slices.Contains(st.Needs, maker)
	}
	f.Text = fmt.Sprintf("%s joins the network %s, which neither %s nor another stack on %s makes", st.Name, n.Name, fleet.File, st.Host)
	f.Fix = fmt.Sprintf("add to %s: networks: {%s: {}}", fleet.File, n.Name)
	if len(c.repo.Fleet.Networks) > 0 {
		f.Fix = fmt.Sprintf("add under networks: in %s: %s: {}", fleet.File, n.Name)
	}
	if _, placed := c.repo.Lock.Placement(st.Name); !placed {
		f.Severity, f.Stack = finding.Fatal, st.Name
	}
	return f, true
}

// networkMaker returns the other stack on a stack's host that makes a network, "" for none.
func (c commit) networkMaker(st fleet.Stack, network string) string {
	for _, other := range c.repo.Fleet.Stacks {
		makes := slices.ContainsFunc(c.stacks[other.Name].Networks, func(n project.Network) bool { return n.Name == network && !n.External })
		if makes && other.Host == st.Host && other.Name != st.Name {
			return other.Name
		}
	}
	return ""
}
