// Package keyagent keeps an operator's opened key in the memory of a background process,
// which unwraps with it for its user and never gives it away.
//
// There is one process for each identity file, found by the file's content: a file that
// was replaced or got another passphrase has no agent. Only Start puts a key there.
package keyagent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"
)

// Longest is how long after its passphrase was typed a key can be open, however often
// that was extended.
const Longest = 24 * time.Hour

// ErrNone means that no agent holds a key.
var ErrNone = errors.New("no key agent holds this key")

// Held is a key that an agent holds.
type Held struct {
	Path       string    `json:"path"`       // of the identity file, when it was opened
	Recipients []string  `json:"recipients"` // of its keys
	Until      time.Time `json:"until"`
}

// nameOf is the agent's of an identity file with this content. It says nothing of a key:
// the content is encrypted.
func nameOf(file []byte) string {
	sum := sha256.Sum256(file)
	return hex.EncodeToString(sum[:8])
}

// What an agent can be asked.
const (
	verbHeld   = "held"
	verbUnwrap = "unwrap"
	verbExtend = "extend"
	verbLock   = "lock"
)

// maxMessage is more than the header of an age file with a thousand recipients.
const maxMessage = 1 << 20

// A request is one line of JSON. An agent answers one for each connection.
type request struct {
	Verb    string        `json:"verb"`
	Stanzas []stanza      `json:"stanzas,omitempty"`
	Lasts   time.Duration `json:"lasts,omitempty"`
}

// A stanza of an age file's header has the file's key, wrapped for one recipient.
type stanza struct {
	Type string   `json:"type"`
	Args []string `json:"args"`
	Body []byte   `json:"body"`
}

type answer struct {
	Held    *Held  `json:"held,omitempty"`
	FileKey []byte `json:"file_key,omitempty"` // of the one file, nil if no key of the agent fits
	Error   string `json:"error,omitempty"`
}

// A start is the first line that an agent reads; Size bytes of identities follow.
type start struct {
	Folder Folder        `json:"folder"`
	Name   string        `json:"name"`
	Path   string        `json:"path"`
	Lasts  time.Duration `json:"lasts"`
	Size   int           `json:"size"`
}

// A lease ends by two clocks: one stops while the computer sleeps, the other can be set.
type lease struct {
	from  time.Time
	lasts time.Duration
}

func (l lease) over(now time.Time) bool {
	return now.Sub(l.from) >= l.lasts || now.Round(0).Sub(l.from.Round(0)) >= l.lasts
}

func (l lease) left(now time.Time) time.Duration { return l.lasts - now.Sub(l.from) }

func (l lease) until() time.Time { return l.from.Round(0).Add(l.lasts) }
