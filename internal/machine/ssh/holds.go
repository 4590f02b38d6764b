package ssh

import (
	"bytes"
	"encoding/pem"
	"slices"

	"golang.org/x/crypto/ssh"
)

// Holds reports whether a text has the private half of one of the keys in these
// lines of authorized_keys.
func Holds(text []byte, lines []string) bool {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return false
		}
		text = rest
		key, err := ssh.ParsePrivateKey(pem.EncodeToMemory(block))
		if err == nil && slices.ContainsFunc(lines, func(line string) bool { return isKey(line, key.PublicKey()) }) {
			return true
		}
	}
}

func isKey(line string, public ssh.PublicKey) bool {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	return err == nil && bytes.Equal(key.Marshal(), public.Marshal())
}
