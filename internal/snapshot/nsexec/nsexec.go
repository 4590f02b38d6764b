// Package nsexec starts a program in its own mount namespace, in which chosen folders
// of the host appear at fixed paths, and passes it secrets on file descriptors. It
// sees the rest of the host read-only, and can't change that. It is how the same
// volume has the same path in every snapshot wherever it is, and why restic's
// passwords are in no argument, environment or file.
//
// The caller runs this same binary again (a hidden verb that calls Main) with a
// Spec on standard input; Main becomes the program.
package nsexec

import (
	"bytes"
	"encoding/json"
	"slices"

	"salvor/internal/machine"
	"salvor/internal/secret"
)

// Root is where binds appear: an empty folder on the host, made when missing,
// that gets a tmpfs in the namespace.
const Root = "/salvor"

// A Bind shows Source at Target, which is below Root. Mounts below Source are not
// carried along.
type Bind struct {
	Source   string `json:"source"`
	Within   string `json:"within,omitempty"` // a folder above Source from which on no link is followed: others write there
	Target   string `json:"target"`
	Writable bool   `json:"writable,omitempty"`
}

// A Spec says what to start. In Argv, "{NAME}" standing alone is replaced by
// the path of a file descriptor from which Secrets[NAME] can be read, more than
// once.
type Spec struct {
	Argv     []string // Argv[0] is an absolute path
	User     string   // "uid:gid" that the program runs as, without any capability; "" for root with some
	Env      []string
	Binds    []Bind
	Writes   []string // folders of the host that the program writes to; it can read all others
	Hostname string   // for this program alone, "" for the host's
	Secrets  map[string]secret.Value
}

// wire is a Spec on standard input; only here are the secrets in plain text.
type wire struct {
	Argv     []string          `json:"argv"`
	User     string            `json:"user,omitempty"`
	Env      []string          `json:"env,omitempty"`
	Binds    []Bind            `json:"binds,omitempty"`
	Writes   []string          `json:"writes,omitempty"`
	Hostname string            `json:"hostname,omitempty"`
	Secrets  map[string][]byte `json:"secrets,omitempty"`
}

// Command returns the command that runs spec through helper, the argv that ends
// in Main.
func Command(helper []string, spec Spec) (machine.Cmd, error) {
	secrets := make(map[string][]byte, len(spec.Secrets))
	for name, v := range spec.Secrets {
		secrets[name] = v.Reveal()
	}
	input, err := json.Marshal(wire{spec.Argv, spec.User, spec.Env, spec.Binds, spec.Writes, spec.Hostname, secrets})
	if err != nil {
		return machine.Cmd{}, err
	}
	return machine.Cmd{Argv: slices.Clone(helper), Stdin: bytes.NewReader(input)}, nil
}
