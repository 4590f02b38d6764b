package reach

import (
	"bytes"
	"encoding/json"
	"os"
	"sync"

	"salvor/internal/atomicfile"
	"salvor/internal/checkout"
	"salvor/internal/machine/ssh"
)

// lastKeys are the operator's keys that hosts took last, by address, in a file of this clone. A host lets a connection try
// few keys, so that one is tried first. A file that can't be read or written costs some tries.
type lastKeys struct {
	file string // "" for none

	mu    sync.Mutex
	known map[string]ssh.PublicKey // nil before it is read
}

// lastKeysFile is where they are, "" for a checkout that is not in a clone.
func lastKeysFile(c *checkout.Checkout) string {
	if c == nil || c.Git == nil {
		return ""
	}
	file, err := c.Git.OwnFile("last-ssh-keys.json")
	if err != nil {
		return ""
	}
	return file
}

func (l *lastKeys) of(address string) ssh.PublicKey {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read()
	return l.known[address]
}

func (l *lastKeys) note(address string, key ssh.PublicKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read()
	if l.known[address] == key {
		return
	}
	l.known[address] = key
	if l.file == "" {
		return
	}
	if text, err := json.MarshalIndent(l.known, "", "  "); err == nil {
		_ = atomicfile.Write(l.file, bytes.NewReader(text), 0o600)
	}
}

func (l *lastKeys) read() {
	if l.known != nil {
		return
	}
	l.known = map[string]ssh.PublicKey{}
	text, err := os.ReadFile(l.file)
	if err == nil && json.Unmarshal(text, &l.known) != nil || l.known == nil {
		l.known = map[string]ssh.PublicKey{}
	}
}
