package fleet

import (
	"slices"
	"strings"
)

// An Area is a part of a host that belongs to its owner until Salvor takes care of it.
// What Salvor needs for itself, such as its folders and restic, is in none.
type Area string

// The areas that there are.
const (
	AreaDocker Area = "docker" // the engine, Compose, where they come from and daemon.json
	AreaTime   Area = "time"   // a service that keeps the clock

	// AreaUpdates is security upgrades that install themselves, and a bound for the journal. It is
	// only taken care of where it is named.
	AreaUpdates Area = "updates"

	// AreaSSH is who may log in by sshd, and how: keys only. It has to be named.
	AreaSSH Area = "ssh"

	// AreaFirewall is what reaches the host from outside: SSH from where the fleet says, and ports that are listed.
	// It has to be named, since it closes ports that Docker publishes.
	AreaFirewall Area = "firewall"

	// AreaTailnet is Tailscale, and that the host is in the fleet's tailnet. It is only taken care of
	// where it is named.
	AreaTailnet Area = "tailnet"
)

// Areas are the areas of one host that Salvor takes care of; nil stands for EveryArea.
type Areas []Area

// EveryArea returns the areas that Salvor takes care of on a host that names none.
func EveryArea() Areas { return Areas{AreaDocker, AreaTime} }

// CleanAreas returns those of a new host on which nothing else is, and which Salvor prepares: keys only, and security
// upgrades. The firewall is not among them: which ports of a host are to be open is not known before its stacks are.
func CleanAreas() Areas { return append(EveryArea(), AreaUpdates, AreaSSH) }

// KnownAreas returns all areas that there are, those too that have to be named.
func KnownAreas() Areas { return append(CleanAreas(), AreaFirewall, AreaTailnet) }

// Has reports whether an area is one of them.
func (a Areas) Has(area Area) bool { return slices.Contains(a.Listed(), area) }

// Listed returns them one by one: none as an empty list, never as nil.
func (a Areas) Listed() Areas {
	if a == nil {
		return EveryArea()
	}
	return a
}

// Words returns them as text.
func (a Areas) Words() []string {
	words := []string{}
	for _, area := range a.Listed() {
		words = append(words, string(area))
	}
	return words
}

// String returns "docker, time", or "none".
func (a Areas) String() string {
	if words := a.Words(); len(words) > 0 {
		return strings.Join(words, ", ")
	}
	return "none"
}
