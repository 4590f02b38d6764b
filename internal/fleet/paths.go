package fleet

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Where the parts of a fleet are in its repository.
const (
	// File declares the fleet. It makes a folder a control repository.
	File = "fleet.yaml"
	// StackDir is the folder that holds one folder for each stack.
	StackDir = "stacks"
	// HostDir is the folder of hosts' public keys.
	HostDir = "hosts"
	// KnownHostsFile holds the pinned SSH host keys, in the format of sshd(8).
	KnownHostsFile = HostDir + "/known_hosts"
	// AuthorizedKeysFile holds the SSH public keys that every host lets in, in the
	// format of sshd(8) without options: the fleet's own and those of operators.
	AuthorizedKeysFile = HostDir + "/authorized_keys"
	// FleetSignersFile holds the public halves of the fleet's signing key: the one that signs
	// first, and while it is replaced the next one, in the format of allowed_signers
	// (ssh-keygen(1)).
	FleetSignersFile = HostDir + "/fleet_signers"
	// DeployKeysFile holds the SSH public keys with which hosts read the repository, so
	// that a host's can be found at the Git host when it is to be removed there. It
	// gives no access. Format: authorized_keys of sshd(8), the host's name as the
	// comment.
	DeployKeysFile = HostDir + "/deploy_keys"
	// SealedDir is the folder of the files that carry secrets to hosts and to a recovery.
	SealedDir = "sealed"
)

// SealedFile is the file that carries a stack's secrets to a host.
func SealedFile(host, stack string) string { return SealedDir + "/" + host + "/" + stack + ".age" }

// RecoveryFile is the file that keeps a stack's repositories for a recovery. No host is
// called "recovery".
func RecoveryFile(stack string) string { return SealedFile("recovery", stack) }

// ValidPath reports why p can't be a file's path in the repository, or nil: relative,
// with slashes, clean, and not in Git's own folder.
func ValidPath(p string) error {
	if !fs.ValidPath(p) || p == "." || strings.ContainsAny(p, "\x00\n\\") {
		return fmt.Errorf("%q is not a path in the repository", p)
	}
	for part := range strings.SplitSeq(p, "/") {
		if strings.EqualFold(part, ".git") {
			return fmt.Errorf("%q is not a path in the repository", p)
		}
	}
	return nil
}

// ValidAllowed reports why p can't name files that a scan skips, or nil: a path in the
// repository, in which * stands for any part of a name. It can't begin with *, which would be
// about every folder, and what is below secrets/ is never skipped.
func ValidAllowed(p string) error {
	first, _, _ := strings.Cut(p, "/")
	_, err := path.Match(p, "")
	switch {
	case ValidPath(p) != nil || err != nil:
		return fmt.Errorf("%q is not a path in the repository", p)
	case strings.ContainsAny(first, "*?["):
		return fmt.Errorf("%q begins with a *: name the first folder", p)
	case first == SecretDir || first == File || p == StackDir:
		return fmt.Errorf("%q can't be skipped: name a folder of documentation or samples", p)
	}
	return nil
}

// Allowed reports whether a scan skips a file of the repository: it, or a folder that it is
// in, is named in patterns.
func Allowed(patterns []string, file string) bool {
	for _, pattern := range patterns {
		for at := file; at != "."; at = path.Dir(at) {
			if is, err := path.Match(pattern, at); err == nil && is {
				return true
			}
		}
	}
	return false
}
