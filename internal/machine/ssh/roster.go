package ssh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh/knownhosts"

	"salvor/internal/atomicfile"
	"salvor/internal/socketdir"
)

// A Roster is how ssh(1) reaches several hosts, for programs that start it with -F Config: it
// trusts the pinned keys and no others, and is offered the keys that Dial tries. Hosts go by
// their addresses; a jump host has to be named to ssh, with -J. Close it when done.
type Roster struct {
	Dir    string // for this user alone; with a path that is short enough for sockets
	Config string

	keys *lentKeys
	stop []func()
}

// NewRoster readies ssh for these hosts. Keys that are kept encrypted are opened once a host
// takes them, and are in no file: ssh reaches them by an agent in this process.
func NewRoster(ctx context.Context, all []Options) (_ *Roster, err error) {
	var auth Auth
	if len(all) > 0 {
		auth = all[0].Auth // the agent and what is kept are the same for all
	}
	r := &Roster{keys: newLentKeys(ctx, auth)}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	r.stop = append(r.stop, r.keys.close)
	socket, stop, err := serveAgent(ctx, r.keys)
	if err != nil {
		return nil, err
	}
	r.stop = append(r.stop, stop)
	if r.Dir, err = socketdir.Make("salvor-ssh-"); err != nil {
		return nil, err
	}
	r.stop = append(r.stop, func() { _ = os.RemoveAll(r.Dir) }) // it has no secrets
	r.Config, err = WriteRoster(r.Dir, all, socket)
	return r, err
}

// Err returns why a key that a host takes could not be opened, nil where none was tried.
func (r *Roster) Err() error { return r.keys.failure() }

// Close ends the agent and removes what ssh was given.
func (r *Roster) Close() {
	for _, stop := range r.stop {
		stop()
	}
}

// WriteRoster writes the configuration of ssh for these hosts to a folder, with the pinned
// keys next to it, and returns its path. socket is that of the agent to use, "" for ssh's own.
func WriteRoster(dir string, all []Options, socket string) (config string, err error) {
	known := filepath.Join(dir, "known_hosts")
	var keys, out strings.Builder
	pin := func(o Options) {
		at := net.JoinHostPort(o.Address, strconv.Itoa(cmp.Or(o.Port, 22)))
		for _, key := range o.Keys {
			fmt.Fprintf(&keys, "%s %s\n", knownhosts.Normalize(at), key)
		}
	}
	var written []string
	for _, o := range all {
		pin(o)
		if o.Jump != nil {
			pin(*o.Jump)
		}
		if files := o.Auth.identities(); len(files) > 0 && !slices.Contains(written, o.Address) {
			written = append(written, o.Address)
			fmt.Fprintf(&out, "Host %s\n", o.Address)
			err = errors.Join(err, write(&out, files))
		}
	}
	out.WriteString("Host *\n")
	err = errors.Join(err, write(&out, strict(known, socket)))
	if err != nil {
		return "", err
	}
	config = filepath.Join(dir, "config")
	return config, errors.Join(atomicfile.Write(known, strings.NewReader(keys.String()), 0o600), atomicfile.Write(config, strings.NewReader(out.String()), 0o600))
}
