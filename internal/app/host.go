package app

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/controlrepo"
	"salvor/internal/exposed"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/hostkey"
	"salvor/internal/machine/ssh"
	"salvor/internal/reach"
	"salvor/internal/sign"
)

// HostChanges add hosts to a fleet and remove them.
type HostChanges struct {
	checkout  *checkout.Checkout
	reach     *reach.Dialer
	confirmed *confirmation.Confirmed
	exposed   *exposed.Secrets

	jumpKeys []string // lines of known_hosts, see PinJump
}

// NewHostChanges returns those of a checkout's fleet.
func NewHostChanges(c *checkout.Checkout, d *reach.Dialer, confirmed *confirmation.Confirmed, s *exposed.Secrets) *HostChanges {
	return &HostChanges{checkout: c, reach: d, confirmed: confirmed, exposed: s}
}

// PinJump has a jump host's key, which the operator trusts, go into hosts/known_hosts
// with the next commit.
func (a *HostChanges) PinJump(ctx context.Context, jump fleet.Host, key ssh.PublicKey) error {
	if err := a.reach.Pin(jump, key); err != nil {
		return err
	}
	a.jumpKeys = append(a.jumpKeys, reach.KnownHostsName(jump.Address, jump.Port)+" "+string(key))
	return a.confirmed.Note(ctx, confirmation.HostKeyGrant(&a.checkout.Fleet, a.checkout.HostKeys[len(a.checkout.HostKeys)-1]))
}

// An Addition is a host made part of the fleet, not committed yet.
type Addition struct {
	Files  map[string][]byte // fleet.yaml, hosts/<name>.pub, hosts/known_hosts, hosts/deploy_keys
	GitKey string            // what the Git host must accept, read-only

	Replaced bool // another machine had the name before
}

// AddHost pins the host's key, installs salvord there, has it make its identity and
// returns the files that declare it. A declared host is enrolled again: it keeps its
// identity. Another machine under a name that has stacks is refused, unless it
// replaces the previous one; so is a machine that is a host already.
func (a *HostChanges) AddHost(ctx context.Context, h fleet.Host, key ssh.PublicKey, replaces bool) (Addition, error) {
	if err := fleet.ValidHost(h.Name); err != nil {
		return Addition{}, err
	}
	if err := a.another(h, key); err != nil {
		return Addition{}, err
	}
	if err := a.reach.Pin(h, key); err != nil {
		return Addition{}, err
	}
	enrolment, err := a.enrol(ctx, h)
	if err != nil {
		return Addition{}, err
	}
	return a.declare(ctx, h, key, enrolment, replaces)
}

// Enrol makes sure that a declared host has its identity and that the
// repository knows it; the files are nil when it did already.
func (a *HostChanges) Enrol(ctx context.Context, h fleet.Host) (Addition, error) {
	keys := reach.Pinned(a.checkout.HostKeys, h.Address, h.Port)
	if len(keys) == 0 {
		return Addition{}, fault.WithHint(fmt.Errorf("no host key of %s is pinned", h.Name), fmt.Sprintf("salvor host add %s %s@%s", h.Name, h.User, h.Address))
	}
	enrolment, err := a.enrol(ctx, h)
	if err != nil {
		return Addition{}, err
	}
	return a.declare(ctx, h, "", enrolment, false)
}

func (a *HostChanges) enrol(ctx context.Context, h fleet.Host) (agentapi.Enrolment, error) {
	trusted, err := a.confirmed.Trusted(ctx)
	if err != nil {
		return agentapi.Enrolment{}, err
	}
	link, err := a.reach.Dial(ctx, h)
	if err != nil {
		return agentapi.Enrolment{}, err
	}
	return link.Enrol(ctx, a.checkout.Fleet.Name, trusted)
}

// declare returns the files that make the host part of the fleet, and knows it from
// now on.
func (a *HostChanges) declare(ctx context.Context, h fleet.Host, key ssh.PublicKey, e agentapi.Enrolment, replaces bool) (Addition, error) {
	add := Addition{Files: map[string][]byte{}, GitKey: e.GitKey}
	keys := hostkey.Keys{Recipient: e.Recipient, Signer: e.Signer}
	_, _, err := hostkey.Parse(keys.File())
	if err == nil && keys.Signer == "" {
		err = errors.New("it has no signing key")
	}
	if err != nil {
		return add, fmt.Errorf("%s presents a key that is not a host key: %w", h.Name, err)
	}
	confirmed, err := a.confirmed.Has(ctx, grant.Host(h.Name, e.Recipient, e.Signer.Fingerprint()))
	if err != nil {
		return add, err
	}
	// a machine that was confirmed here replaces nothing, whatever Git has now
	if err := a.itself(h, e, replaces || confirmed); err != nil {
		return add, err
	}
	before := a.checkout.Recipients[h.Name]
	add.Replaced = before != "" && a.otherMachine(h.Name, e)
	content, err := a.checkout.File(fleet.File)
	if err != nil {
		return add, err
	}
	edited, err := controlrepo.AddHost(content, h)
	if err != nil {
		return add, err
	}
	add.Files[fleet.File] = edited
	add.Files[hostkey.Path(h.Name)] = keys.File()
	if key != "" {
		if add.Files[fleet.KnownHostsFile], err = a.knownWith(h, key); err != nil {
			return add, err
		}
	}
	deployKeys, err := a.checkout.File(fleet.DeployKeysFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return add, err
	}
	add.Files[fleet.DeployKeysFile] = controlrepo.SetDeployKey(deployKeys, h.Name, e.GitKey)
	for name, content := range add.Files {
		if have, err := a.checkout.File(name); err == nil && string(have) == string(content) {
			delete(add.Files, name)
		}
	}
	if _, known := a.checkout.Fleet.Host(h.Name); !known {
		a.checkout.Fleet.Hosts = append(a.checkout.Fleet.Hosts, h)
	}
	if a.checkout.Recipients == nil {
		a.checkout.Recipients, a.checkout.HostSigners = map[string]string{}, map[string]sign.Public{}
	}
	a.checkout.Recipients[h.Name], a.checkout.HostSigners[h.Name] = e.Recipient, e.Signer
	return add, a.confirmed.Note(ctx, append(a.trustedGrants(h, key), confirmation.HostGrant(a.checkout.Repository, h.Name, h.Name))...)
}

// knownWith returns hosts/known_hosts with a host's key, and those of PinJump.
func (a *HostChanges) knownWith(h fleet.Host, key ssh.PublicKey) ([]byte, error) {
	known, err := a.checkout.File(fleet.KnownHostsFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, line := range append(slices.Clone(a.jumpKeys), reach.KnownHostsName(h.Address, h.Port)+" "+string(key)) {
		if !slices.Contains(reach.Lines(known), line) {
			known = append(known, []byte(line+"\n")...)
		}
	}
	return known, nil
}

// trustedGrants are the grants that come with a key which the operator trusts for a host,
// none without one: its address and key are Git's then.
func (a *HostChanges) trustedGrants(h fleet.Host, key ssh.PublicKey) []grant.Grant {
	if key == "" {
		return nil
	}
	own := []grant.Grant{grant.Address(h.Name, confirmation.ReachedAt(h), h.Jump)}
	for _, k := range a.checkout.HostKeys {
		if k.Marker == "" && slices.Equal(k.Patterns, []string{reach.KnownHostsName(h.Address, h.Port)}) && k.Type+" "+base64.StdEncoding.EncodeToString(k.Key) == string(key) {
			own = append(own, confirmation.HostKeyGrant(&a.checkout.Fleet, k))
		}
	}
	return own
}

// another refuses a machine that is a host already, by its address or its SSH key.
func (a *HostChanges) another(h fleet.Host, key ssh.PublicKey) error {
	for _, have := range a.checkout.Fleet.Hosts {
		if have.Name == h.Name {
			continue
		}
		same := reach.KnownHostsName(have.Address, have.Port) == reach.KnownHostsName(h.Address, h.Port)
		if same || slices.Contains(reach.Pinned(a.checkout.HostKeys, have.Address, have.Port), key) {
			return twice(h.Name, have.Name)
		}
	}
	return nil
}

func twice(name, have string) error {
	return fault.WithHint(fmt.Errorf("%s is the machine that is already declared as %s", name, have),
		"one machine is one host; a copy of a machine needs keys of its own: rm /etc/ssh/ssh_host_* /etc/salvor/host.age /etc/salvor/host.sign there, then dpkg-reconfigure openssh-server")
}

// itself refuses a machine that is a host already under another name, and one that
// would take a name over with its stacks: two machines would run them.
func (a *HostChanges) itself(h fleet.Host, e agentapi.Enrolment, replaces bool) error {
	for _, have := range a.checkout.Fleet.Hosts {
		if have.Name != h.Name && a.checkout.Recipients[have.Name] == e.Recipient {
			return twice(h.Name, have.Name)
		}
	}
	for name, recipient := range a.checkout.Recipients {
		_, declared := a.checkout.Fleet.Host(name)
		if on := a.checkout.Lock.On(name); recipient == e.Recipient && name != h.Name && !declared && len(on) > 0 {
			return fault.WithHint(fmt.Errorf("%s is the machine that was declared as %s, which has %s", h.Name, name, strings.Join(on, ", ")),
				fmt.Sprintf("declare it in fleet.yaml as hosts: {%s: {address: %s, formerly: %s}}, then salvor apply", h.Name, h.Address, name))
		}
	}
	before := a.checkout.Recipients[h.Name]
	if on := a.checkout.Lock.On(h.Name); before != "" && a.otherMachine(h.Name, e) && len(on) > 0 && !replaces {
		return fault.WithHint(fmt.Errorf("%s is not the machine that has %s", h.Name, strings.Join(on, ", ")),
			fmt.Sprintf("if it replaces the old machine: salvor recover %s --to %s=%s@%s; otherwise choose another name", h.Name, h.Name, h.User, reach.KnownHostsName(h.Address, h.Port)))
	}
	return nil
}

// otherMachine reports whether a host that enrols has other keys than the repository
// has for its name. One whose signing key is another has lost its keys, or is a copy.
func (a *HostChanges) otherMachine(name string, e agentapi.Enrolment) bool {
	signer := a.checkout.HostSigners[name]
	return a.checkout.Recipients[name] != e.Recipient || signer != "" && signer != e.Signer
}

// Rehost returns the Compose files of stacks with another host: in x-salvor.
func (a *App) Rehost(stacks []string, host string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range stacks {
		st, declared := a.Checkout.Fleet.Stack(name)
		if !declared {
			continue
		}
		path := st.Dir + "/" + st.File
		content, err := a.Checkout.File(path)
		if err != nil {
			return nil, err
		}
		edited, err := controlrepo.SetStackHost(content, host)
		if err != nil && a.Broken(name) != nil {
			continue // it stays where the lock has it until its files load
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if string(edited) != string(content) {
			files[path] = edited
		}
		for i := range a.Checkout.Fleet.Stacks {
			if a.Checkout.Fleet.Stacks[i].Name == name {
				a.Checkout.Fleet.Stacks[i].Host = host
			}
		}
	}
	return files, nil
}
