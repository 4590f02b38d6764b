// Package card makes and reads the recovery card: one page that, with the salvor
// program and nothing else that survived, brings a fleet back. Its text is an
// age identity file (one key, everything else in comments), so that age, sops
// and `salvor --identity` open what they are given with it as it is.
package card

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

// A Card is what the page holds.
type Card struct {
	Fleet    string
	Made     time.Time
	Commit   string     // that the card was made from
	Recovery agekey.Key // opens everything, Sealed too
	GitURL   string     // "" when the repository has no remote
	Mirrored bool       // the fleet has a remote, where the mirror is; a parsed card does not say
	Sealed   []byte     // Access, encrypted to Recovery, armored
	Signers  sign.Keys  // the fleet's signing keys, shown by their fingerprints; a parsed card has them in Access
}

// Access is how to reach the repository and the record remote. It is encoded to
// JSON only on its way into age encryption and decoded only out of it; values are
// bytes, so the JSON holds base64.
type Access struct {
	Schema     int                              `json:"schema"`
	Fleet      string                           `json:"fleet"`
	GitURL     string                           `json:"git_url,omitempty"`
	GitKey     []byte                           `json:"git_key,omitempty"`   // SSH private key that may read the repository
	GitToken   []byte                           `json:"git_token,omitempty"` // with which it is read over https
	KnownHosts []string                         `json:"known_hosts,omitempty"`
	Signers    sign.Keys                        `json:"signers"` // the fleet's signing keys, the one that signs first
	Record     fleet.Location                   `json:"record"`
	Remotes    map[string]agentapi.SealedRemote `json:"remotes"` // of the record, of snapshots and shared volumes, and those they wrap
}

// Seal returns the access encrypted to the recovery key, armored.
func (a Access) Seal(recovery agekey.Key) ([]byte, error) {
	a.Schema = fleet.Schema
	plain, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	return agekey.Encrypt(secret.New(plain), recovery.Recipient)
}

// Access opens the card's sealed part. A card of another schema, or whose part
// is another fleet's, is an error.
func (c Card) Access() (Access, error) {
	var a Access
	plain, err := agekey.Decrypt("the card's encrypted block", c.Sealed, c.Recovery)
	if err != nil {
		return a, err
	}
	dec := json.NewDecoder(bytes.NewReader(plain.Reveal()))
	if err := dec.Decode(&a); err != nil {
		return a, errors.New("the card's encrypted block is not what salvor writes")
	}
	switch {
	case a.Schema > fleet.Schema:
		return a, fmt.Errorf("the card has schema %d: a newer salvor made it", a.Schema)
	case a.Fleet != c.Fleet:
		return a, fmt.Errorf("the card is of the fleet %s, its encrypted block of %s", c.Fleet, a.Fleet)
	case len(a.Signers) == 0:
		return a, errors.New("the card does not have the fleet's signing key: an older Salvor made it")
	}
	if err := a.Signers.Check(); err != nil {
		return a, fmt.Errorf("the fleet's signing keys on the card: %w", err)
	}
	return a, nil
}
