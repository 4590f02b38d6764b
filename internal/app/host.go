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
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/hostkey"
	"salvor/internal/machine/ssh"
	"salvor/internal/reach"
	"salvor/internal/sign"
)

// PinJump has a jump host's key, which the operator trusts, go into hosts/known_hosts
// with the next commit.
func (a *App) PinJump(ctx context.Context, jump fleet.Host, key ssh.PublicKey) error {
	if err := a.Reach.Pin(jump, key); err != nil {
		return err
	}
	a.jumpKeys = append(a.jumpKeys, reach.KnownHostsName(jump.Address, jump.Port)+" "+string(key))
	return a.granted(ctx, hostKeyGrant(&a.Checkout.Fleet, a.Checkout.HostKeys[len(a.Checkout.HostKeys)-1]))
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
func (a *App) AddHost(ctx context.Context, h fleet.Host, key ssh.PublicKey, replaces bool) (Addition, error) {
	if err := fleet.ValidHost(h.Name); err != nil {
		return Addition{}, err
	}
	if err := a.another(h, key); err != nil {
		return Addition{}, err
	}
	if err := a.Reach.Pin(h, key); err != nil {
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
func (a *App) Enrol(ctx context.Context, h fleet.Host) (Addition, error) {
	keys := reach.Pinned(a.Checkout.HostKeys, h.Address, h.Port)
	if len(keys) == 0 {
		return Addition{}, fault.WithHint(fmt.Errorf("no host key of %s is pinned", h.Name), fmt.Sprintf("salvor host add %s %s@%s", h.Name, h.User, h.Address))
	}
	enrolment, err := a.enrol(ctx, h)
	if err != nil {
		return Addition{}, err
	}
	return a.declare(ctx, h, "", enrolment, false)
}

func (a *App) enrol(ctx context.Context, h fleet.Host) (agentapi.Enrolment, error) {
	trusted, err := a.Trusted(ctx)
	if err != nil {
		return agentapi.Enrolment{}, err
	}
	link, err := a.Reach.Dial(ctx, h)
	if err != nil {
		return agentapi.Enrolment{}, err
	}
	return link.Enrol(ctx, a.Checkout.Fleet.Name, trusted)
}

// declare returns the files that make the host part of the fleet, and knows it from
// now on.
func (a *App) declare(ctx context.Context, h fleet.Host, key ssh.PublicKey, e agentapi.Enrolment, replaces bool) (Addition, error) {
	add := Addition{Files: map[string][]byte{}, GitKey: e.GitKey}
	keys := hostkey.Keys{Recipient: e.Recipient, Signer: e.Signer}
	_, _, err := hostkey.Parse(keys.File())
	if err == nil && keys.Signer == "" {
		err = errors.New("it has no signing key")
	}
	if err != nil {
		return add, fmt.Errorf("%s presents a key that is not a host key: %w", h.Name, err)
	}
	book, err := a.ledger(ctx)
	if err != nil {
		return add, err
	}
	// a machine that was confirmed here replaces nothing, whatever Git has now
	if err := a.itself(h, e, replaces || book.Has(grant.Host(h.Name, e.Recipient, e.Signer.Fingerprint()))); err != nil {
		return add, err
	}
	before := a.Checkout.Recipients[h.Name]
	add.Replaced = before != "" && a.otherMachine(h.Name, e)
	content, err := a.Checkout.File(fleet.File)
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
	deployKeys, err := a.Checkout.File(fleet.DeployKeysFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return add, err
	}
	add.Files[fleet.DeployKeysFile] = controlrepo.SetDeployKey(deployKeys, h.Name, e.GitKey)
	for name, content := range add.Files {
		if have, err := a.Checkout.File(name); err == nil && string(have) == string(content) {
			delete(add.Files, name)
		}
	}
	if _, known := a.Checkout.Fleet.Host(h.Name); !known {
		a.Checkout.Fleet.Hosts = append(a.Checkout.Fleet.Hosts, h)
	}
	if a.Checkout.Recipients == nil {
		a.Checkout.Recipients, a.Checkout.HostSigners = map[string]string{}, map[string]sign.Public{}
	}
	a.Checkout.Recipients[h.Name], a.Checkout.HostSigners[h.Name] = e.Recipient, e.Signer
	return add, a.granted(ctx, append(a.trustedGrants(h, key), hostGrant(a.Checkout.Repository, h.Name, h.Name))...)
}

// knownWith returns hosts/known_hosts with a host's key, and those of PinJump.
func (a *App) knownWith(h fleet.Host, key ssh.PublicKey) ([]byte, error) {
	known, err := a.Checkout.File(fleet.KnownHostsFile)
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
func (a *App) trustedGrants(h fleet.Host, key ssh.PublicKey) []grant.Grant {
	if key == "" {
		return nil
	}
	own := []grant.Grant{grant.Address(h.Name, reachedAt(h), h.Jump)}
	for _, k := range a.Checkout.HostKeys {
		if k.Marker == "" && slices.Equal(k.Patterns, []string{reach.KnownHostsName(h.Address, h.Port)}) && k.Type+" "+base64.StdEncoding.EncodeToString(k.Key) == string(key) {
			own = append(own, hostKeyGrant(&a.Checkout.Fleet, k))
		}
	}
	return own
}

// another refuses a machine that is a host already, by its address or its SSH key.
func (a *App) another(h fleet.Host, key ssh.PublicKey) error {
	for _, have := range a.Checkout.Fleet.Hosts {
		if have.Name == h.Name {
			continue
		}
		same := reach.KnownHostsName(have.Address, have.Port) == reach.KnownHostsName(h.Address, h.Port)
		if same || slices.Contains(reach.Pinned(a.Checkout.HostKeys, have.Address, have.Port), key) {
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
func (a *App) itself(h fleet.Host, e agentapi.Enrolment, replaces bool) error {
	for _, have := range a.Checkout.Fleet.Hosts {
		if have.Name != h.Name && a.Checkout.Recipients[have.Name] == e.Recipient {
			return twice(h.Name, have.Name)
		}
	}
	for name, recipient := range a.Checkout.Recipients {
		_, declared := a.Checkout.Fleet.Host(name)
		if on := a.Checkout.Lock.On(name); recipient == e.Recipient && name != h.Name && !declared && len(on) > 0 {
			return fault.WithHint(fmt.Errorf("%s is the machine that was declared as %s, which has %s", h.Name, name, strings.Join(on, ", ")),
				fmt.Sprintf("declare it in fleet.yaml as hosts: {%s: {address: %s, formerly: %s}}, then salvor apply", h.Name, h.Address, name))
		}
	}
	before := a.Checkout.Recipients[h.Name]
	if on := a.Checkout.Lock.On(h.Name); before != "" && a.otherMachine(h.Name, e) && len(on) > 0 && !replaces {
		return fault.WithHint(fmt.Errorf("%s is not the machine that has %s", h.Name, strings.Join(on, ", ")),
			fmt.Sprintf("if it replaces the old machine: salvor recover %s --to %s=%s@%s; otherwise choose another name", h.Name, h.Name, h.User, reach.KnownHostsName(h.Address, h.Port)))
	}
	return nil
}

// otherMachine reports whether a host that enrols has other keys than the repository
// has for its name. One whose signing key is another has lost its keys, or is a copy.
func (a *App) otherMachine(name string, e agentapi.Enrolment) bool {
	signer := a.Checkout.HostSigners[name]
	return a.Checkout.Recipients[name] != e.Recipient || signer != "" && signer != e.Signer
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
