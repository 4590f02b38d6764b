package hosts

import (
	"fmt"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine/ssh"
	"salvor/internal/reach"
)

// another refuses a machine that is a host already, by its address or its SSH key.
func (c *Changes) another(h fleet.Host, key ssh.PublicKey) error {
	for _, have := range c.checkout.Fleet.Hosts {
		if have.Name == h.Name {
			continue
		}
		same := reach.KnownHostsName(have.Address, have.Port) == reach.KnownHostsName(h.Address, h.Port)
		if same || slices.Contains(reach.Pinned(c.reach.HostKeys(), have.Address, have.Port), key) {
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
func (c *Changes) itself(h fleet.Host, e agentapi.Enrolment, replaces bool) error {
	for _, have := range c.checkout.Fleet.Hosts {
		if have.Name != h.Name && c.checkout.Recipients[have.Name] == e.Recipient {
			return twice(h.Name, have.Name)
		}
	}
	for name, recipient := range c.checkout.Recipients {
		_, declared := c.checkout.Fleet.Host(name)
		if on := c.checkout.Lock.On(name); recipient == e.Recipient && name != h.Name && !declared && len(on) > 0 {
			return fault.WithHint(fmt.Errorf("%s is the machine that was declared as %s, which has %s", h.Name, name, strings.Join(on, ", ")),
				fmt.Sprintf("declare it in fleet.yaml as hosts: {%s: {address: %s, formerly: %s}}, then salvor apply", h.Name, h.Address, name))
		}
	}
	before := c.checkout.Recipients[h.Name]
	if on := c.checkout.Lock.On(h.Name); before != "" && c.otherMachine(h.Name, e) && len(on) > 0 && !replaces {
		return fault.WithHint(fmt.Errorf("%s is not the machine that has %s", h.Name, strings.Join(on, ", ")),
			fmt.Sprintf("if it replaces the old machine: salvor recover %s --to %s=%s@%s; otherwise choose another name", h.Name, h.Name, h.User, reach.KnownHostsName(h.Address, h.Port)))
	}
	return nil
}

// otherMachine reports whether a host that enrols has other keys than the repository
// has for its name. One whose signing key is another has lost its keys, or is a copy.
func (c *Changes) otherMachine(name string, e agentapi.Enrolment) bool {
	signer := c.checkout.HostSigners[name]
	return c.checkout.Recipients[name] != e.Recipient || signer != "" && signer != e.Signer
}
