package fleetkeys

import (
	"slices"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/machine/ssh"
	"salvor/internal/reach"
	"salvor/internal/secret"
)

// NewSSH makes an SSH key of the fleet, and its files in Git: it is encrypted before
// those that are there, its line is behind theirs.
func NewSSH(authorized []byte, others secret.Value, recipients []string) (files map[string][]byte, line string, err error) {
	private, line, err := ssh.NewKey(reach.SSHKeyComment)
	if err != nil {
		return nil, "", err
	}
	text := string(authorized)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	files, err = SSHFiles(text+line+"\n", secret.New(slices.Concat(private.Reveal(), others.Reveal())), recipients)
	return files, line, err
}

// SSHFiles are the files in Git of the SSH keys: the private halves, one after the other,
// and the logins.
func SSHFiles(authorized string, private secret.Value, recipients []string) (map[string][]byte, error) {
	files, err := KeptFiles(reach.SSHKeyName, private, recipients)
	if err == nil {
		files[fleet.AuthorizedKeysFile] = []byte(authorized)
	}
	return files, err
}
