package hosts

import (
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine/ssh"
	"salvor/internal/reach"
)

// TestOneMachineIsOneHost is fault D2: a second machine does not take over a name
// that has stacks, and a machine is not declared under two names.
func TestOneMachineIsOneHost(t *testing.T) {
	c := &Changes{checkout: &checkout.Checkout{Repository: &controlrepo.Repository{
		Fleet: fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "web", Address: "192.0.2.1", User: "root", Port: 22}, {Name: "idle", Address: "192.0.2.2", User: "root", Port: 22}}},
		Lock:  fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "web", Epoch: 1}}},
	}}}
	c.checkout.Recipients = map[string]string{"web": "age1web", "idle": "age1idle"}
	c.checkout.HostKeys = []controlrepo.HostKey{{Patterns: []string{"192.0.2.1"}, Type: "ssh-ed25519", Key: []byte("k")}}
	c.reach = reach.New(c.checkout, reach.Options{})
	webKey := reach.Pinned(c.checkout.HostKeys, "192.0.2.1", 22)[0]
	at := func(name, address string) fleet.Host {
		return fleet.Host{Name: name, Address: address, User: "root", Port: 22}
	}
	for name, test := range map[string]struct {
		host     fleet.Host
		key      string
		enrolled string
		replaces bool
		refused  string // in the error or its hint
	}{
		"again, the same machine":                 {at("web", "192.0.2.1"), "", "age1web", false, ""},
		"the same machine at another address":     {at("web", "192.0.2.9"), string(webKey), "age1web", false, ""},
		"another machine under a name in use":     {at("web", "192.0.2.9"), "ssh-ed25519 b3RoZXI=", "age1other", false, "salvor recover web --to web=root@192.0.2.9"},
		"another machine that takes over":         {at("web", "192.0.2.9"), "ssh-ed25519 b3RoZXI=", "age1other", true, ""},
		"another machine under a name not in use": {at("idle", "192.0.2.9"), "ssh-ed25519 b3RoZXI=", "age1other", false, ""},
		"a second name, the same address":         {at("web2", "192.0.2.1"), "ssh-ed25519 b3RoZXI=", "age1web", false, "declared as web"},
		"a second name, the same SSH key":         {at("web2", "192.0.2.9"), string(webKey), "age1other", false, "declared as web"},
		"a second name, the same identity":        {at("web2", "192.0.2.9"), "ssh-ed25519 b3RoZXI=", "age1web", false, "declared as web"},
		"a new host":                              {at("gamma", "192.0.2.9"), "ssh-ed25519 b3RoZXI=", "age1gamma", false, ""},
	} {
		err := c.another(test.host, ssh.PublicKey(test.key))
		if err == nil {
			err = c.itself(test.host, agentapi.Enrolment{Recipient: test.enrolled}, test.replaces)
		}
		said := ""
		if err != nil {
			said = err.Error() + " " + fault.Hint(err)
		}
		if (err != nil) != (test.refused != "") || !strings.Contains(said, test.refused) {
			t.Errorf("%s: %v", name, said)
		}
	}
}
