// Package deploy makes the fleet match the repository: load a commit, observe every
// host once, plan purely, apply without deciding.
package deploy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/hostlink"
	"salvor/internal/placement"
	"salvor/internal/project"
	"salvor/internal/terminal"
	"salvor/internal/version"
)

// A Plan is what apply would do, and why: a value made from what was observed
// once, without another look at the world.
type Plan struct {
	Schema      int               `json:"schema"`
	Fleet       string            `json:"fleet"`
	Commit      string            `json:"commit"`
	Grants      []grant.Grant     `json:"grants,omitempty"` // that the operator has not confirmed
	Hosts       []HostPlan        `json:"hosts"`
	Playbooks   *fleet.Playbooks  `json:"playbooks,omitempty"` // that run around each host's part of it; nil for none
	Left        []string          `json:"left,omitempty"`      // stacks that have a problem, and that keep running as they are
	About       []string          `json:"about,omitempty"`     // the stacks that it is about; none: all of them
	Others      int               `json:"others,omitempty"`    // changes that are to do for other stacks, as far as is known
	NotAsked    []string          `json:"not_asked,omitempty"` // hosts that were not asked, since it is not about them
	Findings    []finding.Finding `json:"findings,omitempty"`
	Fingerprint string            `json:"fingerprint"`
}

// HostPlan is one host's part of a plan.
type HostPlan struct {
	Host        string            `json:"host"`
	Changes     []agentapi.Change `json:"changes,omitempty"`
	Deployed    map[string]string `json:"deployed,omitempty"`    // by stack, the commit that it was deployed from
	Unreachable string            `json:"unreachable,omitempty"` // why; such a host is left alone
	Hint        string            `json:"hint,omitempty"`        // what makes it answer, where that is known
	New         bool              `json:"new,omitempty"`         // it has no salvord that answers this salvor: what it lacks is seen when it has
	Updates     bool              `json:"updates,omitempty"`     // its salvord is older than this salvor's, and is replaced
	Newer       string            `json:"newer,omitempty"`       // the version of its salvord, which is newer and stays
	Fingerprint string            `json:"-"`                     // the host's own, which apply hands back to it

	Projects []agentapi.OwnProject `json:"-"` // the host's own, as they ran

	Out bool `json:"-"` // it is to be in the tailnet, and needs a key to join
}

// Observation is what was seen of one host: its state, or why there is none.
type Observation struct {
	State agentapi.HostState
	New   bool   // no salvord there answers this salvor; State has the version of one of an older protocol
	Own   string // the version that this salvor carries
	Err   error
}

// MakePlan joins what every host answered with the moves between them. It is
// pure: the same arguments give the same plan and the same fingerprint.
func MakePlan(f *fleet.Fleet, commit string, moves []placement.Move, seen map[string]Observation) Plan {
	p := Plan{Schema: fleet.Schema, Fleet: f.Name, Commit: commit}
	for _, h := range f.Hosts {
		o, asked := seen[h.Name]
		if !asked {
			continue
		}
		p.Hosts = append(p.Hosts, hostPlan(h.Name, o, moves))
		p.Findings = append(p.Findings, o.State.Findings...)
	}
	p.movesOpen(moves, seen)
	for _, st := range f.Stacks {
		if st.Broken {
			p.Left = append(p.Left, st.Name)
		}
	}
	finding.Sort(p.Findings)
	p.Fingerprint = fingerprint(p.Hosts)
	return p
}

// movesOpen compares the routes of what moves with what they were elsewhere, which the hosts
// don't know: one that everyone reaches, and that another host protects, loses its protection;
// what a stack takes along does not.
func (p *Plan) movesOpen(moves []placement.Move, seen map[string]Observation) {
	moved := func(stack string) bool {
		return slices.ContainsFunc(moves, func(m placement.Move) bool { return m.Stack == stack && m.From != "" && m.To != "" })
	}
	for i := range p.Hosts {
		for j := range p.Hosts[i].Changes {
			c := &p.Hosts[i].Changes[j]
			hostname, isRoute := strings.CutPrefix(c.ID, string(agentapi.ChangeRoute)+" ")
			if !isRoute || c.Action == "~" {
				continue
			}
			if moved(c.Stack) {
				c.Opens = ""
			}
			for host, o := range seen {
				if c.Open && c.Action == "+" && host != p.Hosts[i].Host && slices.Contains(o.State.Guarded, hostname) {
					c.Opens = hostname
				}
			}
		}
	}
}

func hostPlan(host string, o Observation, moves []placement.Move) HostPlan {
	hp := HostPlan{Host: host, New: o.New, Fingerprint: o.State.Fingerprint}
	if o.Err != nil {
		hp.Unreachable = strings.TrimPrefix(o.Err.Error(), host+": ") // the plan names it already
		if errors.Is(o.Err, hostlink.ErrNewer) {
			hp.Hint = fault.Hint(o.Err)
		}
		return hp
	}
	for _, own := range o.State.Projects {
		hp.Projects = append(hp.Projects, own.OwnProject)
	}
	hp.Out = o.State.Node != nil && o.State.Node.Out
	hp.compare(o.Own, o.State.Salvord)
	for _, m := range moves {
		hp.Changes = append(hp.Changes, placementChange(host, m)...)
	}
	hp.Changes = append(hp.Changes, o.State.Changes...)
	for _, st := range o.State.Stacks {
		if st.Commit != "" {
			if hp.Deployed == nil {
				hp.Deployed = map[string]string{}
			}
			hp.Deployed[st.Name] = st.Commit
		}
	}
	slices.SortStableFunc(hp.Changes, func(a, b agentapi.Change) int { return cmp.Compare(a.Stack, b.Stack) })
	return hp
}

// salvordID is the change that replaces a host's salvord.
const salvordID = "salvord"

func isSalvord(c agentapi.Change) bool { return c.Stack == "" && c.ID == salvordID }

// compare plans the update of a host whose salvord is older than this salvor's own, and
// notes one that is newer: that stays, and works with this salvor.
func (hp *HostPlan) compare(own, there string) {
	switch {
	case there == "" || there == own:
	case version.Replaces(own, there):
		hp.Updates = !hp.New
		hp.Changes = append(hp.Changes, agentapi.Change{ID: salvordID, Action: "~", Cause: there + " -> " + own})
	default:
		hp.Newer = there
	}
}

// StaleSeals returns the stacks that are where they belong and whose sealed files are
// out of date, with the reason. Stacks that move or are placed again are sealed
// anyway; those that are no longer declared are not sealed again.
func (s *Session) StaleSeals(ctx context.Context) (map[string]string, error) {
	return s.Sealer.Stale(ctx, placement.Only(placement.Owns(s.Fleet, s.Lock), func(name string, p fleet.Placement) bool {
		if _, own := fleet.OwnerOf(name); own {
			_, known := s.Fleet.Host(p.Host)
			return known
		}
		st, declared := s.Fleet.Stack(name)
		_, known := s.Fleet.Host(p.Host)
		return known && declared && (st.Host == "" || st.Host == p.Host)
	}))
}

// Reseal adds the stacks that get a new sealed file, with the reason of each: what
// StaleSeals says. The hosts can't see that, since the new file is made by the
// apply. Stacks that move, and those of which the host has something to say about
// secrets already, have it in the plan as they are.
func (p *Plan) Reseal(stale map[string]string, lock fleet.Lock, stacks map[string]project.Rendered) {
	for i := range p.Hosts {
		hp := &p.Hosts[i]
		for _, name := range slices.Sorted(maps.Keys(stale)) {
			named := slices.ContainsFunc(hp.Changes, func(c agentapi.Change) bool {
				return c.Stack == name && (c.Kind() == agentapi.ChangePlacement || c.Kind() == agentapi.ChangeSecrets)
			})
			if p, _ := lock.Placement(name); p.Host == hp.Host && hp.Unreachable == "" && !named {
				cause := stale[name] + policies(stacks[name].Project)
				hp.Changes = append(hp.Changes, agentapi.Change{Stack: name, ID: string(agentapi.ChangeSecrets), Action: "~", Cause: cause})
			}
		}
		slices.SortStableFunc(hp.Changes, func(a, b agentapi.Change) int { return cmp.Compare(a.Stack, b.Stack) })
	}
	p.Fingerprint = fingerprint(p.Hosts)
}

// policies returns which services are notified when one of their secrets changed.
func policies(p project.Project) string {
	var notified []string
	for _, s := range p.Services {
		if s.OnChange != "" && s.OnChange != fleet.ChangeNone {
			notified = append(notified, s.Name+" "+string(s.OnChange))
		}
	}
	if len(notified) == 0 {
		return ""
	}
	return "; services notified if their secret changed: " + strings.Join(notified, ", ")
}

func placementChange(host string, m placement.Move) []agentapi.Change {
	change := agentapi.Change{Stack: m.Stack, ID: string(agentapi.ChangePlacement), Action: "~"}
	switch {
	case m.To == host && m.From == "":
		change.Action, change.Cause = "+", "placed here for the first time"
	case m.To == host:
		change.Action, change.Cause = "+", "moves here from "+m.From
	case m.From == host && m.To == "":
		change.Action, change.Cause = "-", "no longer declared: final snapshot, stopped, data kept here"
	case m.From == host:
		change.Action, change.Cause = "-", fmt.Sprintf("moves to %s: stopped, final snapshot, data kept here", m.To)
	default:
		return nil
	}
	return []agentapi.Change{change}
}

func fingerprint(hosts []HostPlan) string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, hp := range hosts {
		// encoding plain structs to a hash can't fail
		_ = enc.Encode(hp)
		_ = enc.Encode(hp.Fingerprint)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// Empty reports whether there is nothing to do. An unreachable host does not
// count: nothing can be done there.
func (p *Plan) Empty() bool {
	return !slices.ContainsFunc(p.Hosts, func(h HostPlan) bool { return h.New || len(h.Changes) > 0 })
}

// ChangesOf counts the changes of stacks.
func (p *Plan) ChangesOf(which func(stack string) bool) int {
	n := 0
	for _, h := range p.Hosts {
		for _, c := range h.Changes {
			if c.Stack != "" && which(c.Stack) {
				n++
			}
		}
	}
	return n
}

// Unreachable returns the hosts that did not answer.
func (p *Plan) Unreachable() []string {
	var names []string
	for _, h := range p.Hosts {
		if h.Unreachable != "" {
			names = append(names, h.Host)
		}
	}
	return names
}

// Loser is whose data the plan may lose: a stack or, where it is not one alone, the fleet.
func (p *Plan) Loser() string {
	losers := map[string]bool{}
	for _, h := range p.Hosts {
		for _, c := range h.Changes {
			if c.Destroys != "" {
				losers[c.Stack] = true
			}
		}
	}
	if only := slices.Collect(maps.Keys(losers)); len(only) == 1 && only[0] != "" {
		return only[0]
	}
	return p.Fleet
}

// Destroys returns, by subject, the data the plan may lose.
func (p *Plan) Destroys() []string {
	lost := map[string]bool{}
	for _, h := range p.Hosts {
		for _, c := range h.Changes {
			if c.Destroys != "" {
				lost[terminal.Line(c.Destroys)] = true // in a question a line of it would look like one of Salvor's
			}
		}
	}
	return slices.Sorted(maps.Keys(lost))
}

// Opens returns the hostnames, with their paths, that lose their protection.
func (p *Plan) Opens() []string {
	var all []string
	for _, h := range p.Hosts {
		all = append(all, h.opens()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (hp HostPlan) opens() []string {
	var all []string
	for _, c := range hp.Changes {
		if c.Opens != "" {
			all = append(all, terminal.Line(c.Opens))
		}
	}
	return all
}
