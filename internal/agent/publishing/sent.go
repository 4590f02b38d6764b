package publishing

import (
	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
)

// A sent is publish.Sent in a file of the host. What can't be read of it is as good as
// nothing: it is what a lost disk loses, too.
type sent struct {
	path   string
	tunnel string // whose rules these are
}

type sentNote struct {
	Schema    int      `json:"schema"`
	Tunnel    string   `json:"tunnel"` // its ID
	Hostnames []string `json:"hostnames"`
}

// Load implements publish.Sent.
func (s sent) Load() ([]string, error) {
	var note sentNote
	if here.ReadJSON(s.path, &note) != nil || note.Tunnel != s.tunnel {
		return nil, nil
	}
	return note.Hostnames, nil
}

// Save implements publish.Sent.
func (s sent) Save(hostnames []string) error {
	return here.WriteJSON(s.path, sentNote{agentapi.Schema, s.tunnel, hostnames})
}
