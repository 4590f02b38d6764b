package tunnel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"salvor/internal/atomicfile"
	"salvor/internal/cloudflare"
	"salvor/internal/hostpath"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

const keptSchema = 1

// kept is what the host keeps on its disk, encrypted to its identity. It is encoded only on
// its way into the encryption.
type kept struct {
	Schema  int               `json:"schema"`
	Account string            `json:"account"`
	Tunnel  cloudflare.Tunnel `json:"tunnel"`
	Token   []byte            `json:"token"`           // of Tunnel, for connectors
	Slots   []slot            `json:"slots,omitempty"` // that run: one, or during an update the one that goes and the one that comes
}

// of reports whether the tunnel is the one that is wanted.
func (k kept) of(s Settings) bool {
	if len(k.Token) == 0 || k.Account != s.Account {
		return false
	}
	return s.ID == k.Tunnel.ID || s.ID == "" && k.Tunnel.Name == s.Name
}

func (t *Tunnel) file() string { return filepath.Join(t.host.Paths.State, hostpath.Tunnel) }

// load returns what is kept. A file that this host can't open, as with a new identity, is as
// good as none: Cloudflare is asked again.
func (t *Tunnel) load() (kept, error) {
	path := t.file()
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return kept{}, nil
	}
	if err != nil {
		return kept{}, err
	}
	key, err := agekey.OpenHost(t.host.Paths.Identity())
	if err != nil {
		return kept{}, err
	}
	var k kept
	plain, err := agekey.Decrypt(path, content, key)
	if err == nil {
		err = json.Unmarshal(plain.Reveal(), &k)
	}
	if err == nil && k.Schema != keptSchema {
		err = fmt.Errorf("%s has schema %d", path, k.Schema)
	}
	if err != nil {
		t.host.Trouble("tunnel", err)
		k = kept{}
	}
	t.note(func() { t.now = k })
	return k, nil
}

func (k kept) equal(o kept) bool {
	return k.Account == o.Account && k.Tunnel == o.Tunnel && bytes.Equal(k.Token, o.Token) && slices.Equal(k.Slots, o.Slots)
}

func (t *Tunnel) save(k kept) error {
	if k.equal(t.current()) {
		return nil
	}
	k.Schema = keptSchema
	key, err := agekey.OpenHost(t.host.Paths.Identity())
	if err != nil {
		return err
	}
	plain, err := json.Marshal(k)
	if err != nil {
		return err
	}
	content, err := agekey.Encrypt(secret.New(plain), key.Recipient)
	if err != nil {
		return err
	}
	path := t.file()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := atomicfile.Write(path, bytes.NewReader(content), 0o600); err != nil {
		return err
	}
	t.note(func() { t.now = k })
	return nil
}
