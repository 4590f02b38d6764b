package storage

import (
	"salvor/internal/agentapi"
	"salvor/internal/secret"
)

// Unsealed returns remotes as they came out of a sealed file or a card.
func Unsealed(sealed map[string]agentapi.SealedRemote) Remotes {
	remotes := Remotes{}
	for name, r := range sealed {
		remote := Remote{Type: r.Type, Options: map[string]secret.Value{}}
		for option, value := range r.Options {
			remote.Options[option] = secret.New(value)
		}
		remotes[name] = remote
	}
	return remotes
}
