package hosts

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/confirmation"
	"salvor/internal/controlrepo"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/hostkey"
	"salvor/internal/machine/ssh"
	"salvor/internal/reach"
	"salvor/internal/sign"
)

// declare returns the files that make the host part of the fleet, and knows it from
// now on.
func (c *Changes) declare(ctx context.Context, h fleet.Host, key ssh.PublicKey, e agentapi.Enrolment, replaces bool) (Addition, error) {
	add := Addition{GitKey: e.GitKey}
	keys := hostkey.Keys{Recipient: e.Recipient, Signer: e.Signer}
	_, _, err := hostkey.Parse(keys.File())
	if err == nil && keys.Signer == "" {
		err = errors.New("it has no signing key")
	}
	if err != nil {
		return add, fmt.Errorf("%s presents a key that is not a host key: %w", h.Name, err)
	}
	confirmed, err := c.confirmed.Has(ctx, grant.Host(h.Name, e.Recipient, e.Signer.Fingerprint()))
	if err != nil {
		return add, err
	}
	// a machine that was confirmed here replaces nothing, whatever Git has now
	if err := c.itself(h, e, replaces || confirmed); err != nil {
		return add, err
	}
	before := c.checkout.Recipients[h.Name]
	add.Replaced = before != "" && c.otherMachine(h.Name, e)
	_, known := c.checkout.Fleet.Host(h.Name)
	if !known {
		if h.Manage == nil {
			h.Manage, add.InUse = areas(e)
		}
		add.Manage = h.Manage
	}
	if add.Files, err = c.files(h, key, keys, e.GitKey); err != nil {
		return add, err
	}
	logins, err := c.confirmedLogins(ctx)
	if err != nil {
		return add, err
	}
	if !known {
		c.checkout.Fleet.Hosts = append(c.checkout.Fleet.Hosts, h)
	}
	if c.checkout.Recipients == nil {
		c.checkout.Recipients, c.checkout.HostSigners = map[string]string{}, map[string]sign.Public{}
	}
	c.checkout.Recipients[h.Name], c.checkout.HostSigners[h.Name] = e.Recipient, e.Signer
	grants := append(c.trustedGrants(h, key), confirmation.HostGrant(c.checkout.Repository, h.Name, h.Name))
	for _, g := range confirmation.LoginGrants(c.checkout.Repository) { // who adds a host lets the same keys in there
		if slices.Contains(logins, g.Name) {
			grants = append(grants, g)
		}
	}
	return add, c.confirmed.Note(ctx, grants...)
}

// confirmedLogins are the names of the grants by which hosts accept keys, as far as they are confirmed as they are.
func (c *Changes) confirmedLogins(ctx context.Context) (names []string, err error) {
	for _, g := range confirmation.LoginGrants(c.checkout.Repository) {
		has, err := c.confirmed.Has(ctx, g)
		if err != nil {
			return nil, err
		}
		if has {
			names = append(names, g.Name)
		}
	}
	return names, nil
}

// areas are those that Salvor takes care of on a new host, and what is on it already, "" for nothing.
func areas(e agentapi.Enrolment) (manage fleet.Areas, inUse string) {
	switch inUse = used(e); {
	case inUse != "":
		return fleet.Areas{}, inUse
	case !e.Prepares:
		return fleet.EveryArea(), ""
	}
	return fleet.CleanAreas(), ""
}

// named is how many containers are named where there are more.
const named = 3

// used says what is on a host that is used already, "" for one that is not.
func used(e agentapi.Enrolment) string {
	count := len(e.Containers)
	switch {
	case e.Unseen != "":
		return e.Unseen
	case count == 0:
		return ""
	case count == 1:
		return "it has the container " + e.Containers[0]
	case count <= named:
		return "it has the containers " + strings.Join(e.Containers, ", ")
	}
	return fmt.Sprintf("it has %d containers (%s and others)", count, strings.Join(e.Containers[:named], ", "))
}

// files are those that declare a host, of which the commit has none as it is there.
func (c *Changes) files(h fleet.Host, key ssh.PublicKey, keys hostkey.Keys, gitKey string) (map[string][]byte, error) {
	config, err := c.checkout.File(fleet.File)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{hostkey.Path(h.Name): keys.File()}
	if files[fleet.File], err = controlrepo.AddHost(config, h); err != nil {
		return nil, err
	}
	if key != "" {
		if files[fleet.KnownHostsFile], err = c.knownWith(h, key); err != nil {
			return nil, err
		}
	}
	deployKeys, err := c.checkout.File(fleet.DeployKeysFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	files[fleet.DeployKeysFile] = controlrepo.SetDeployKey(deployKeys, h.Name, gitKey)
	maps.DeleteFunc(files, func(name string, content []byte) bool {
		have, err := c.checkout.File(name)
		return err == nil && string(have) == string(content)
	})
	return files, nil
}

// knownWith returns hosts/known_hosts with a host's key, and those of PinJump.
func (c *Changes) knownWith(h fleet.Host, key ssh.PublicKey) ([]byte, error) {
	known, err := c.checkout.File(fleet.KnownHostsFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, line := range append(slices.Clone(c.jumpKeys), reach.KnownHostsName(h.Address, h.Port)+" "+string(key)) {
		if !slices.Contains(reach.Lines(known), line) {
			known = append(known, []byte(line+"\n")...)
		}
	}
	return known, nil
}

// trustedGrants are the grants that come with a key which the operator trusts for a host,
// none without one: its address and key are Git's then.
func (c *Changes) trustedGrants(h fleet.Host, key ssh.PublicKey) []grant.Grant {
	if key == "" {
		return nil
	}
	own := []grant.Grant{grant.Address(h.Name, confirmation.ReachedAt(h), h.Jump)}
	for _, k := range c.reach.HostKeys() {
		if k.Marker == "" && slices.Equal(k.Patterns, []string{reach.KnownHostsName(h.Address, h.Port)}) && k.Type+" "+base64.StdEncoding.EncodeToString(k.Key) == string(key) {
			own = append(own, confirmation.HostKeyGrant(&c.checkout.Fleet, k))
		}
	}
	return own
}
