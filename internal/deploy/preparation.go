package deploy

import (
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// Preparation is what an apply would make of a host, without the stacks: the request of a
// salvord converge.
func Preparation(s *Session, h fleet.Host) (agentapi.Converge, error) {
	spec, err := s.spec(h, fleet.Lock{}, s.Commit)
	return agentapi.Converge{Host: spec, SQLite: hasSQLite(s, h.Name), Owner: s.Owner}, err
}

// hasSQLite reports whether a stack that is on the host, or is to be, has databases of SQLite.
func hasSQLite(s *Session, host string) bool {
	copied := func(v project.Volume) bool { return v.Protect == fleet.Snapshot && v.Method == fleet.SQLite }
	return slices.ContainsFunc(s.Fleet.Stacks, func(st fleet.Stack) bool {
		p, _ := s.Lock.Placement(st.Name)
		return (p.Host == host || st.Host == host) && slices.ContainsFunc(s.Stacks[st.Name].Volumes, copied)
	})
}
