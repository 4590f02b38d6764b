package agent

import (
	"salvor/internal/fleet"
)

func location(l fleet.Location) string {
	if l == (fleet.Location{}) {
		return ""
	}
	return l.String()
}
