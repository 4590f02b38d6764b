package hosts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"salvor/internal/controlrepo"
	"salvor/internal/exposed"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostkey"
	"salvor/internal/lockfile"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/reach"
)

// PrepareRemove proposes to take a host out of the fleet, in one commit: its
// declaration, its key, its pinned SSH key and its sealed files. A host that still has
// stacks is refused. The receipt says what the host was able to open, which stays noted
// until it has another value.
func (c *Changes) PrepareRemove(name string) (proposal.Proposal[exposed.Host], error) {
	p := proposal.New("remove host "+name, func(ctx context.Context, _ progress.Sink) (exposed.Host, error) {
		return c.remove(ctx, name)
	})
	p.Question = fmt.Sprintf("This removes %s from the fleet: its declaration, its keys and its sealed files.", name)
	p.Name = name
	return p, c.removable(name)
}

// Remove takes a host out of the fleet at once, as the proposal of PrepareRemove does: one
// that was asked about already.
func (c *Changes) Remove(ctx context.Context, name string) (exposed.Host, error) {
	if err := c.removable(name); err != nil {
		return exposed.Host{}, err
	}
	return c.remove(ctx, name)
}

func (c *Changes) remove(ctx context.Context, name string) (exposed.Host, error) {
	h, _ := c.checkout.Fleet.Host(name)
	files, err := c.withoutHost(h)
	if err != nil {
		return exposed.Host{}, err
	}
	left, err := c.exposed.NoteHost(ctx, name, files)
	if err != nil {
		return left, err
	}
	return c.removed(ctx, left, files, name, removalOf(name))
}

// removed commits and pushes the removal of a host, and takes its way to the repository then.
func (c *Changes) removed(ctx context.Context, left exposed.Host, files map[string][]byte, name, message string) (exposed.Host, error) {
	if err := c.checkout.CommitFiles(ctx, files, message); err != nil {
		return left, err
	}
	kept, err := c.gitHost.KeepKeys(ctx, map[string]string{name: ""})
	left.KeyRemoved, left.Reads = kept.Shut, err
	return left, nil
}

func removalOf(host string) string { return "host remove: " + host }

// RemovalWaits reports whether the newest commit took a host out of the fleet, and is not
// pushed: a run was interrupted there.
func (c *Changes) RemovalWaits(ctx context.Context, host string) (bool, error) {
	newest, err := c.checkout.Git.Log(ctx, 1)
	if err != nil || len(newest) == 0 || newest[0].Subject != removalOf(host) {
		return false, err
	}
	published, err := c.checkout.Git.Published(ctx)
	return !published, err
}

// removable returns what still needs a host, nil for nothing.
func (c *Changes) removable(name string) error {
	if _, err := placement.Host(&c.checkout.Fleet, name); err != nil {
		return err
	}
	if placed := c.checkout.Lock.On(name); len(placed) > 0 {
		return fault.WithHint(fmt.Errorf("%s still has stacks: %s", name, strings.Join(placed, ", ")),
			fmt.Sprintf("salvor move %s --to HOST moves a stack; if %s is lost: salvor recover %s --to HOST", placed[0], name, name))
	}
	if routes := c.checkout.Fleet.Ingress.At(name); len(routes) > 0 {
		return fault.WithHint(fmt.Errorf("%s still has routes of its own: %s", name, routes[0].Hostname),
			fmt.Sprintf("name another host in ingress.routes of fleet.yaml, then salvor apply; if %s is lost: salvor recover %s --to HOST", name, name))
	}
	for _, st := range c.checkout.Fleet.Stacks {
		if st.Host == name {
			return fault.WithHint(fmt.Errorf("stack %s is declared on %s", st.Name, name), fmt.Sprintf("set host: in %s/%s", st.Dir, st.File))
		}
	}
	return nil
}

// withoutHost returns the files that make a host none of the fleet's.
func (c *Changes) withoutHost(h fleet.Host) (map[string][]byte, error) {
	files := map[string][]byte{}
	content, err := c.checkout.File(fleet.File)
	if err != nil {
		return nil, err
	}
	if files[fleet.File], err = controlrepo.RemoveHost(content, h.Name); err != nil {
		return nil, err
	}
	for _, r := range c.checkout.Fleet.Remotes {
		if files[fleet.File], err = controlrepo.RemoveCredential(files[fleet.File], r.Name, h.Name); err != nil {
			return nil, err
		}
	}
	if deployKeys, err := c.checkout.File(fleet.DeployKeysFile); err == nil && c.checkout.DeployKeys[h.Name] != "" {
		files[fleet.DeployKeysFile] = controlrepo.SetDeployKey(deployKeys, h.Name, "")
	}
	known, err := c.checkout.File(fleet.KnownHostsFile)
	switch {
	case err == nil && !c.shared(h):
		if left := controlrepo.RemoveHostKeys(known, reach.KnownHostsName(h.Address, h.Port)); len(left) < len(known) {
			files[fleet.KnownHostsFile] = left
		}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if _, known := c.checkout.Lock.Tailnet[h.Name]; known {
		next := c.checkout.Lock.Copy()
		delete(next.Tailnet, h.Name)
		if files[lockfile.Name], err = lockfile.Encode(next); err != nil {
			return nil, err
		}
	}
	sealed, err := fs.Glob(os.DirFS(c.checkout.Export), path.Join(fleet.SealedDir, h.Name, "*"))
	if err != nil {
		return nil, err
	}
	for _, file := range append(sealed, hostkey.Path(h.Name)) {
		if _, err := fs.Stat(os.DirFS(c.checkout.Export), file); err == nil {
			files[file] = nil
		}
	}
	return files, nil
}

// shared reports whether another host is reached at a host's address, or through
// it: then its SSH key stays pinned.
func (c *Changes) shared(h fleet.Host) bool {
	return slices.ContainsFunc(c.checkout.Fleet.Hosts, func(o fleet.Host) bool {
		if o.Name == h.Name {
			return false
		}
		jump := reach.ParseJump(o.Jump)
		at := reach.KnownHostsName(h.Address, h.Port)
		return reach.KnownHostsName(o.Address, o.Port) == at || o.Jump != "" && reach.KnownHostsName(jump.Address, jump.Port) == at
	})
}
