package cloud

import (
	"encoding/json"
	"fmt"
	"strings"

	"salvor/internal/machine/ssh"
	"salvor/internal/secret"
)

// A Seed is what a server starts with: the key that it lets in, and a host key by which it
// is known until it has made one of its own. Anyone who can read the server's user-data has
// that key, any program on the server among them; so it proves one first connection.
type Seed struct {
	Line string        // of authorized_keys: the fleet's key
	Once ssh.PublicKey // the host key

	private secret.Value
}

// NewSeed makes one for the fleet's line of authorized_keys.
func NewSeed(line string) (Seed, error) {
	private, public, err := ssh.NewKey("salvor-once")
	if err != nil {
		return Seed{}, err
	}
	once := strings.TrimSuffix(public, " salvor-once")
	return Seed{Line: line, Once: ssh.PublicKey(once), private: private}, nil
}

// UserData is what cloud-init reads at the first boot: JSON, which is YAML, too. It lets the
// fleet's key in as root and as the image's own user, and no password. Where host keys are
// given, cloud-init makes no others (cloudinit.readthedocs.io, module Ssh).
func (s Seed) UserData() (secret.Value, error) {
	content, err := json.MarshalIndent(userData{
		Keys: []string{s.Line}, HostKeys: hostKeys{Private: string(s.private.Reveal()), Public: string(s.Once)},
	}, "", "  ")
	if err != nil {
		return secret.Value{}, fmt.Errorf("user-data: %w", err)
	}
	defer clear(content)
	return secret.New(append([]byte("#cloud-config\n"), append(content, '\n')...)), nil
}

type userData struct {
	DisableRoot bool     `json:"disable_root"`
	Passwords   bool     `json:"ssh_pwauth"`
	Delete      bool     `json:"ssh_deletekeys"`
	Keys        []string `json:"ssh_authorized_keys"`
	HostKeys    hostKeys `json:"ssh_keys"`
}

type hostKeys struct {
	Private string `json:"ed25519_private"`
	Public  string `json:"ed25519_public"`
}
