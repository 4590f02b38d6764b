package publish

import (
	"slices"

	"salvor/internal/cloudflare"
	"salvor/internal/finding"
	"salvor/internal/route"
)

// A Difference is the next step from what Cloudflare has to what is wanted. Of its changes
// only those of one kind are set, in this order: Put, Rules, Records, Put of what lets everyone
// in, Remove; what comes after is known once Cloudflare has answered.
type Difference struct {
	Put     []cloudflare.App // to make, or to change where they have an ID
	Rules   []route.Rule     // the whole list; nil to leave it
	Records []Change
	Remove  []cloudflare.App

	// Own are the hostnames that have rules of this host's once Rules are set.
	Own []string
	// Waiting are the hostnames whose next change waits for the connector to have the
	// configuration.
	Waiting []string
	// Live are the hostnames that are published as they are wanted.
	Live     []string
	Findings []finding.Finding
}

// A Change is what to do with the record of one hostname: Cloudflare has Is where it has an
// ID, and gets Want where that has a name.
type Change struct {
	Hostname string
	Zone     string // ID
	Is, Want cloudflare.Record
}

// again reports whether the record has to be removed and made again: its type changes.
func (c Change) again() bool { return c.Is.ID != "" && c.Want.Name != "" && c.Is.Type != c.Want.Type }

// takesOff reports whether records go. A request that a wildcard's record leads to this
// tunnel from then on meets the rules that the connector has, so it has the new ones first.
func (d Difference) takesOff() bool {
	return slices.ContainsFunc(d.Records, func(c Change) bool { return c.Want.Name == "" })
}

// None reports whether nothing is to be changed now.
func (d Difference) None() bool {
	return len(d.Put)+len(d.Records)+len(d.Remove) == 0 && d.Rules == nil
}

// Compare returns the next step. It decides everything: what carries it out has no choice.
//
// A protected route is published only while Cloudflare is seen to have its application as it
// is wanted; otherwise it is closed, which takes it off where it was published. Objects are
// this host's by their mark, and rules by their hostname's record; nothing else is changed.
func Compare(d Desired, a Actual) Difference {
	c := newComparison(d, a)
	c.protect()
	if len(c.out.Put) > 0 {
		return c.finish()
	}
	if c.rules() && c.out.Rules == nil {
		// while the brake keeps rules, it keeps what stands in front of them, too
		if c.records(); len(c.out.Records) == 0 && len(c.kept) == 0 {
			c.open()
			if len(c.out.Put) == 0 {
				c.leftovers()
			}
		}
	}
	return c.finish()
}

func (c *comparison) finish() Difference {
	slices.Sort(c.out.Waiting)
	slices.Sort(c.out.Own)
	finding.Sort(c.out.Findings)
	c.out.Findings = slices.Compact(c.out.Findings)
	return c.out
}
