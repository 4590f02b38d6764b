// Package dockflare is what Salvor does about DockFlare, the other program that publishes
// what labels say: it writes DockFlare as a stack of the fleet, or takes over what DockFlare
// has published.
package dockflare

import (
	"bytes"
	"context"
	_ "embed" // for the stack's Compose file
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/proposal"
)

// Stack is the name of the stack that PrepareStack writes.
const Stack = "dockflare"

// network is where DockFlare puts its connector, whatever it is asked.
const network = "cloudflare-net"

//go:embed compose.yaml
var composeFile []byte

// A FileChange is what becomes of a file of the repository.
type FileChange struct {
	Path          string
	Before, After []byte // nil for none
}

// A Written says what the commit has. Without Files, the repository has all of it already.
type Written struct {
	Host  string
	Files []FileChange
}

// PrepareStack proposes to commit DockFlare as a stack of a host ("" for the fleet's only
// one), and fleet.yaml with DockFlare as the one that publishes: labels stay labels from then
// on. What is there stays: a stack of that name is not written again. Nothing changes on the
// host.
func PrepareStack(c *checkout.Checkout, host string) (Written, proposal.Proposal[Written], error) {
	w := Written{}
	p := proposal.New("run DockFlare as a stack", func(ctx context.Context, _ progress.Sink) (Written, error) {
		return w, w.commit(ctx, c, "route: DockFlare publishes")
	})
	h, err := hostOf(&c.Fleet, host)
	if err != nil {
		return w, p, err
	}
	w.Host = h.Name
	name := path.Join(fleet.StackDir, Stack, "compose.yaml")
	if _, there := c.Fleet.Stack(Stack); !there {
		if _, err := c.File(name); !errors.Is(err, fs.ErrNotExist) {
			return w, p, errors.Join(err, fmt.Errorf("%s is there already, and is not a stack", name))
		}
		w.Files = append(w.Files, FileChange{Path: name, After: bytes.Replace(composeFile, []byte("HOST"), []byte(h.Name), 1)})
	}
	if err := w.publishes(c); err != nil {
		return w, p, err
	}
	p.Question = fmt.Sprintf("Commit this? Nothing changes on %s before salvor apply.", h.Name)
	if c.Fleet.Ingress.Publishes() {
		p.Question = fmt.Sprintf("Commit this? The next apply takes off what Salvor has published; nothing changes on %s before.", h.Name)
	}
	return w, p, nil
}

// publishes has fleet.yaml say that DockFlare publishes.
func (w *Written) publishes(c *checkout.Checkout) error {
	before, err := c.File(fleet.File)
	if err != nil {
		return err
	}
	after, err := controlrepo.SetIngressProvider(before, fleet.IngressDockFlare)
	if err == nil {
		after, err = controlrepo.SetNetwork(after, network)
	}
	if err == nil && !bytes.Equal(before, after) {
		w.Files = append(w.Files, FileChange{Path: fleet.File, Before: before, After: after})
	}
	return err
}

func (w Written) commit(ctx context.Context, c *checkout.Checkout, message string) error {
	files := map[string][]byte{}
	for _, f := range w.Files {
		files[f.Path] = f.After
	}
	return c.CommitFiles(ctx, files, message)
}

// hostOf returns a host of the fleet, the only one for "".
func hostOf(f *fleet.Fleet, name string) (fleet.Host, error) {
	if name != "" {
		return placement.Host(f, name)
	}
	var names []string
	for _, h := range f.Hosts {
		names = append(names, h.Name)
	}
	switch len(f.Hosts) {
	case 0:
		return fleet.Host{}, fault.WithHint(errors.New("the fleet has no host"), "salvor host add NAME USER@ADDRESS")
	case 1:
		return f.Hosts[0], nil
	}
	return fleet.Host{}, fault.WithCode(fault.WithHint(errors.New("the fleet has several hosts"), "--host "+strings.Join(names, ", --host ")), fault.Usage)
}
