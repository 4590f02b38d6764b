package app

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
	"salvor/internal/reach"
)

// RemoveHost takes a host out of the fleet, in one commit: its declaration, its
// key, its pinned SSH key and its sealed files. What it was able to open is written
// down until it has another value. A host that still has stacks is refused.
func (a *HostChanges) RemoveHost(ctx context.Context, name string) (exposed.Host, error) {
	if err := a.Removable(name); err != nil {
		return exposed.Host{}, err
	}
	h, _ := a.checkout.Fleet.Host(name)
	files, err := a.withoutHost(h)
	if err != nil {
		return exposed.Host{}, err
	}
	exposed, err := a.exposed.NoteHost(ctx, name, files)
	if err != nil {
		return exposed, err
	}
	return exposed, a.checkout.CommitFiles(ctx, files, "host remove: "+name)
}

// Removable returns what still needs a host, nil for nothing.
func (a *HostChanges) Removable(name string) error {
	if _, declared := a.checkout.Fleet.Host(name); !declared {
		return fault.WithHint(fmt.Errorf("host %s is not declared", name), "salvor host ls")
	}
	if placed := a.checkout.Lock.On(name); len(placed) > 0 {
		return fault.WithHint(fmt.Errorf("%s still has stacks: %s", name, strings.Join(placed, ", ")),
			fmt.Sprintf("salvor move %s --to HOST moves a stack; if %s is lost: salvor recover %s --to HOST", placed[0], name, name))
	}
	for _, st := range a.checkout.Fleet.Stacks {
		if st.Host == name {
			return fault.WithHint(fmt.Errorf("stack %s is declared on %s", st.Name, name), fmt.Sprintf("set host: in %s/%s", st.Dir, st.File))
		}
	}
	return nil
}

// withoutHost returns the files that make a host none of the fleet's.
func (a *HostChanges) withoutHost(h fleet.Host) (map[string][]byte, error) {
	files := map[string][]byte{}
	content, err := a.checkout.File(fleet.File)
	if err != nil {
		return nil, err
	}
	if files[fleet.File], err = controlrepo.RemoveHost(content, h.Name); err != nil {
		return nil, err
	}
	for _, r := range a.checkout.Fleet.Remotes {
		if files[fleet.File], err = controlrepo.RemoveCredential(files[fleet.File], r.Name, h.Name); err != nil {
			return nil, err
		}
	}
	if deployKeys, err := a.checkout.File(fleet.DeployKeysFile); err == nil && a.checkout.DeployKeys[h.Name] != "" {
		files[fleet.DeployKeysFile] = controlrepo.SetDeployKey(deployKeys, h.Name, "")
	}
	known, err := a.checkout.File(fleet.KnownHostsFile)
	switch {
	case err == nil && !a.shared(h):
		if left := controlrepo.RemoveHostKeys(known, reach.KnownHostsName(h.Address, h.Port)); len(left) < len(known) {
			files[fleet.KnownHostsFile] = left
		}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	sealed, err := fs.Glob(os.DirFS(a.checkout.Export), path.Join("sealed", h.Name, "*"))
	if err != nil {
		return nil, err
	}
	for _, file := range append(sealed, hostkey.Path(h.Name)) {
		if _, err := fs.Stat(os.DirFS(a.checkout.Export), file); err == nil {
			files[file] = nil
		}
	}
	return files, nil
}

// shared reports whether another host is reached at a host's address, or through
// it: then its SSH key stays pinned.
func (a *HostChanges) shared(h fleet.Host) bool {
	return slices.ContainsFunc(a.checkout.Fleet.Hosts, func(o fleet.Host) bool {
		if o.Name == h.Name {
			return false
		}
		jump := reach.ParseJump(o.Jump)
		at := reach.KnownHostsName(h.Address, h.Port)
		return reach.KnownHostsName(o.Address, o.Port) == at || o.Jump != "" && reach.KnownHostsName(jump.Address, jump.Port) == at
	})
}
