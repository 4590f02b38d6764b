package exposed

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"salvor/internal/checkout"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/needs"
	"salvor/internal/reach"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
	"salvor/internal/storage"
)

// Host is what a host was able to open and to reach.
type Host struct {
	Stacks  []string // that were ever sealed for it
	Remotes []string // whose credentials it has, each with its secrets: "nas (nas_alpha)"
	Secrets []Secret // that it was able to open

	DeployKey string // fingerprint of the key with which it reads the repository, "" where it is not known
	GitURL    string // where that key is accepted, "" for nowhere

	Tunnels []string // of which it may have the token, through which it publishes routes

	KeyRemoved bool  // it is not accepted there any more
	Reads      error // why it could not be removed there, nil where a person has to
}

// StillHas is what a host can reach by what is on its disk, a line each with where that
// is ended.
func (h Host) StillHas(host string) []string {
	where := "at the Git host"
	if h.GitURL != "" {
		where = "from the deploy keys of " + h.GitURL
	}
	key := ""
	if h.DeployKey != "" {
		key = " " + h.DeployKey
	}
	var left []string
	if !h.KeyRemoved {
		left = append(left, fmt.Sprintf("%s can still read the repository: remove its deploy key%s %s", host, key, where)+h.unremoved())
	}
	for _, remote := range h.Remotes {
		left = append(left, fmt.Sprintf("%s still has the credential of the remote %s, and can delete everything there "+
			"that the credential allows: change it at the server, then here with salvor secret set and the name in parentheses", host, remote))
	}
	if len(h.Tunnels) > 0 {
		left = append(left, fmt.Sprintf("if %s published routes, it still has the token of its tunnel %s, and gets requests of what still leads there: "+
			"delete the tunnel at Cloudflare once the hostnames have moved", host, strings.Join(h.Tunnels, " or ")))
	}
	return left
}

// unremoved says why Salvor did not remove a key, and how to try again.
func (h Host) unremoved() string {
	if h.Reads == nil {
		return ""
	}
	why := fmt.Sprintf(" (%v", h.Reads)
	if hint := fault.Hint(h.Reads); hint != "" {
		why += "; " + hint
	}
	return why + ")"
}

// ByHost returns what a host was able to open: by the history of its sealed
// files, what those stacks need now. What a stack needed that is no longer declared
// is unknown; then every secret counts, except other stacks' variables.
func (s *Secrets) ByHost(ctx context.Context, host string) (h Host, err error) {
	if h.Stacks, err = s.everSealed(ctx, host); err != nil {
		return h, err
	}
	open := access{names: map[string]bool{}, gone: map[string]bool{}, remotes: map[string]map[string]bool{}}
	for _, stack := range h.Stacks {
		open.add(s.checkout, s.needs, host, stack)
	}
	h.Remotes = open.credentials()
	ofHost := func(name string) bool { _, own := fleet.OwnerOf(name); return own }
	if i := s.checkout.Fleet.Ingress; slices.ContainsFunc(h.Stacks, ofHost) && i.Complete() {
		h.Tunnels = s.checkout.Fleet.TunnelsOf(host, s.checkout.Lock.Hosts[host].Epoch)
	}
	if _, key, found := strings.Cut(s.checkout.DeployKeys[host], " "); found {
		if wire, err := base64.StdEncoding.DecodeString(key); err == nil {
			h.DeployKey = reach.FingerprintOf(wire)
		}
	}
	git, err := s.git(ctx)
	if err != nil {
		return h, err
	}
	h.GitURL = git.URL
	if u, err := url.Parse(git.URL); err == nil && u.User != nil {
		h.GitURL = u.Redacted()
	}
	all, err := s.identity.Store.List()
	for _, info := range all {
		if open.has(info) && err == nil {
			h.Secrets = append(h.Secrets, s.exposed(info))
		}
	}
	return h, err
}

// everSealed returns the stacks that were ever sealed for a host, by any name it had.
func (s *Secrets) everSealed(ctx context.Context, host string) (stacks []string, err error) {
	names := []string{host}
	if h, _ := s.checkout.Fleet.Host(host); h.Formerly != "" {
		names = append(names, h.Formerly)
	}
	for _, name := range names {
		ever, err := s.checkout.Git.EverIn(ctx, path.Join(fleet.SealedDir, name))
		if err != nil {
			return nil, err
		}
		for _, file := range ever {
			stack, sealed := strings.CutSuffix(path.Base(file), ".age")
			if sealed && slices.Contains(names, path.Base(path.Dir(file))) && !slices.Contains(stacks, stack) {
				stacks = append(stacks, stack)
			}
		}
	}
	return stacks, nil
}

// access is the set of secrets that a host was able to open.
type access struct {
	names   map[string]bool
	gone    map[string]bool            // stacks that are no longer declared
	remotes map[string]map[string]bool // by name, the secrets of the credential
}

// credentials names each remote with the secrets that open it.
func (a access) credentials() []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(a.remotes)) {
		if with := slices.Sorted(maps.Keys(a.remotes[name])); len(with) > 0 {
			name += " (" + strings.Join(with, ", ") + ")"
		}
		all = append(all, name)
	}
	return all
}

// remote adds a remote as the host was given it.
func (a access) remote(r fleet.Remote) {
	if a.remotes[r.Name] == nil {
		a.remotes[r.Name] = map[string]bool{}
	}
	for _, setting := range r.Options {
		if name, is := setting.Secret(); is {
			a.remotes[r.Name][name], a.names[name] = true, true
		}
	}
}

func (a access) has(info secretstore.Info) bool {
	if info.Stack == "" {
		return a.names[info.Name] || len(a.gone) > 0
	}
	return a.names[info.Name] || a.gone[info.Stack]
}

// add adds what a stack's seal for a host is made from.
func (a access) add(c *checkout.Checkout, all *needs.Needs, host, stack string) {
	f := &c.Fleet
	_, declared := f.Stack(stack)
	_, own := all.Owner(stack)
	if !declared && !own {
		a.gone[stack] = true
		for _, r := range f.Remotes {
			a.remote(storage.ForHost(r, host, stack))
		}
		return
	}
	n := all.Of(stack, host, c.Lock)
	settings := []secret.Setting{n.ReadToken}
	if own { // its routes may have moved away since
		settings = append(settings, f.Ingress.Token)
	}
	for _, m := range n.Mounts {
		settings = append(settings, m.Credential())
	}
	for _, r := range n.Remotes {
		a.remote(r)
	}
	for _, r := range n.Registries {
		settings = append(settings, r.Username, r.Password)
	}
	for _, setting := range settings {
		if name, is := setting.Secret(); is {
			a.names[name] = true
		}
	}
	for _, file := range n.Files {
		a.names[strings.TrimPrefix(file, fleet.SecretDir+"/")] = true
	}
	for _, key := range n.Env {
		a.names[stack+"/"+key] = true
	}
}

// NoteHost adds to files what a host was able to open whose disk others may have: it
// stays noted until each has another value.
func (s *Secrets) NoteHost(ctx context.Context, host string, files map[string][]byte) (Host, error) {
	exposed, err := s.ByHost(ctx, host)
	if err != nil {
		return exposed, err
	}
	r := secretstore.Removal{Host: host, At: time.Now()}
	for _, one := range exposed.Secrets {
		r.Secrets = append(r.Secrets, one.Name)
	}
	_, err = s.NoteRemoval(r, files)
	return exposed, err
}
