package hosts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/cloud"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/machine/ssh"
	"salvor/internal/progress"
	"salvor/internal/reach"
	"salvor/internal/secret"
)

// This clone's notes: where it made servers, and the host keys that servers were given.
const (
	placesFile = "clouds"     // PROVIDER:REGION, one a line
	onceFile   = "given-keys" // NAME ssh-ed25519 AAAA…, one a line
)

// A clone keeps its notes in the folder of Git that is Salvor's own.
type clone struct{ git *git.Repository }

// Places are where servers of the fleet may be, PROVIDER:REGION: where hosts have one, and
// where this clone made one.
func (s *Servers) Places() ([]string, error) {
	all, err := s.clone.read(placesFile)
	for _, h := range s.checkout.Fleet.Hosts {
		if h.Server != (fleet.Server{}) {
			all = append(all, h.Server.Place())
		}
	}
	slices.Sort(all)
	return slices.Compact(all), err
}

// place notes where a server is about to be made.
func (n clone) place(place string) error {
	all, err := n.read(placesFile)
	if err != nil || slices.Contains(all, place) {
		return err
	}
	return n.write(placesFile, append(all, place))
}

// NewUserData returns what cloud-init of any provider makes a server of that Add takes: it
// lets the fleet's key in as root, and has a host key that this clone knows until then. A
// second call for a host takes the place of the first.
func (s *Servers) NewUserData(name string) (secret.Value, error) {
	if err := fleet.ValidHost(name); err != nil {
		return secret.Value{}, err
	}
	seed, err := s.seed()
	if err != nil {
		return secret.Value{}, err
	}
	data, err := seed.UserData()
	if err != nil {
		return secret.Value{}, err
	}
	return data, s.clone.given(name, seed.Once)
}

// seed makes one for the fleet's SSH key.
func (s *Servers) seed() (cloud.Seed, error) {
	line := reach.Marked(s.checkout.LetIn, reach.SSHKeyComment)
	if line == "" {
		return cloud.Seed{}, fault.WithHint(errors.New("the fleet has no SSH key that the server could let in"), "salvor key ssh makes it")
	}
	return cloud.NewSeed(line)
}

// Given returns the host key that the server of a host was given by NewUserData, "" for none.
func (s *Servers) Given(name string) (ssh.PublicKey, error) {
	all, err := s.clone.read(onceFile)
	for _, line := range all {
		if host, key, _ := strings.Cut(line, " "); host == name {
			return ssh.PublicKey(key), err
		}
	}
	return "", err
}

// Rekey has a host that shows the key which it was given make one of its own, and returns
// that: anyone who read the user-data has the other. The new one counts as given until Known.
func (s *Servers) Rekey(ctx context.Context, h fleet.Host, given ssh.PublicKey, sink progress.Sink) (ssh.PublicKey, error) {
	if h.User != "root" {
		return "", fault.WithCode(fault.WithHint(fmt.Errorf("%s was given its host key: log in there as root", h.Name), fmt.Sprintf("salvor host add %s root@%s", h.Name, reach.KnownHostsName(h.Address, h.Port))), fault.Usage)
	}
	key, err := s.rekey(ctx, h, given, cloud.Patience{}, sink)
	if err != nil {
		return "", err
	}
	return key, s.clone.given(h.Name, key)
}

// Known ends what Given returns: the host is part of the fleet, and its key pinned.
func (s *Servers) Known(name string) error {
	if key, err := s.Given(name); err != nil || key == "" {
		return err
	}
	return s.clone.given(name, "")
}

// given notes the key that a host was given, or none for "".
func (n clone) given(name string, key ssh.PublicKey) error {
	all, err := n.read(onceFile)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(line string) bool { return strings.HasPrefix(line, name+" ") })
	if key != "" {
		all = append(all, name+" "+string(key))
	}
	return n.write(onceFile, all)
}

// read returns the lines of a note.
func (n clone) read(file string) ([]string, error) {
	path, err := n.git.OwnFile(file)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.FieldsFunc(string(content), func(r rune) bool { return r == '\n' }), err
}

func (n clone) write(file string, lines []string) error {
	path, err := n.git.OwnFile(file)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, strings.NewReader(strings.Join(lines, "\n")+"\n"), 0o600)
}
