package app

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostkey"
	"salvor/internal/needs"
	"salvor/internal/reach"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
)

// A RemovedHost is what a host leaves behind.
type RemovedHost struct {
	Stacks  []string   // that were ever sealed for it
	Remotes []string   // whose credentials it has, each with its secrets: "nas (nas_alpha)"
	Rotate  []Rotation // secrets that it was able to open

	DeployKey string // fingerprint of the key with which it reads the repository, "" where it is not known
	GitURL    string // where that key is accepted, "" for nowhere
}

// SeenByHost returns what a host was able to open: by the history of its sealed
// files, what those stacks need now. What a stack needed that is no longer declared
// is unknown; then every secret counts, except other stacks' variables.
func (a *SeenSecrets) SeenByHost(ctx context.Context, host string) (RemovedHost, error) {
	var r RemovedHost
	h, _ := a.checkout.Fleet.Host(host)
	var files []string
	names := []string{host}
	if h.Formerly != "" {
		names = append(names, h.Formerly)
	}
	for _, name := range names {
		ever, err := a.checkout.Git.EverIn(ctx, path.Join("sealed", name))
		if err != nil {
			return r, err
		}
		files = append(files, ever...)
	}
	seen := sight{names: map[string]bool{}, gone: map[string]bool{}, remotes: map[string]map[string]bool{}}
	for _, file := range files {
		stack, sealed := strings.CutSuffix(path.Base(file), ".age")
		if sealed && slices.Contains(names, path.Base(path.Dir(file))) && !slices.Contains(r.Stacks, stack) {
			r.Stacks = append(r.Stacks, stack)
			seen.add(&a.checkout.Fleet, a.needs, host, stack)
		}
	}
	r.Remotes = seen.credentials()
	if _, key, found := strings.Cut(a.checkout.DeployKeys[host], " "); found {
		if wire, err := base64.StdEncoding.DecodeString(key); err == nil {
			r.DeployKey = reach.FingerprintOf(wire)
		}
	}
	git, err := a.gitHost.gitSource(ctx)
	if err != nil {
		return r, err
	}
	r.GitURL = git.URL
	if u, err := url.Parse(git.URL); err == nil && u.User != nil {
		r.GitURL = u.Redacted()
	}
	all, err := a.identity.Store.List()
	if err != nil {
		return r, err
	}
	for _, info := range all {
		if seen.has(info) {
			r.Rotate = append(r.Rotate, a.rotation(info))
		}
	}
	return r, nil
}

// A sight is the set of secrets that someone was able to see.
type sight struct {
	names   map[string]bool
	gone    map[string]bool            // stacks that are no longer declared
	remotes map[string]map[string]bool // by name, the secrets of the credential
}

// credentials names each remote with the secrets that open it.
func (s sight) credentials() []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.remotes)) {
		if with := slices.Sorted(maps.Keys(s.remotes[name])); len(with) > 0 {
			name += " (" + strings.Join(with, ", ") + ")"
		}
		all = append(all, name)
	}
	return all
}

// remote adds a remote as the host was given it.
func (s sight) remote(r fleet.Remote) {
	if s.remotes[r.Name] == nil {
		s.remotes[r.Name] = map[string]bool{}
	}
	for _, setting := range r.Options {
		if name, is := setting.Secret(); is {
			s.remotes[r.Name][name], s.names[name] = true, true
		}
	}
}

func (s sight) has(info secretstore.Info) bool {
	if info.Stack == "" {
		return s.names[info.Name] || len(s.gone) > 0
	}
	return s.names[info.Name] || s.gone[info.Stack]
}

// add adds what a stack's seal for a host is made from.
func (s sight) add(f *fleet.Fleet, all *needs.Needs, host, stack string) {
	if _, declared := f.Stack(stack); !declared {
		s.gone[stack] = true
		for _, r := range f.Remotes {
			s.remote(needs.Given(r, host, stack))
		}
		return
	}
	n := all.Of(stack, host)
	var settings []secret.Setting
	for _, r := range n.Remotes {
		s.remote(r)
	}
	for _, r := range n.Registries {
		settings = append(settings, r.Username, r.Password)
	}
	for _, setting := range settings {
		if name, is := setting.Secret(); is {
			s.names[name] = true
		}
	}
	for _, file := range n.Files {
		s.names[strings.TrimPrefix(file, fleet.SecretDir+"/")] = true
	}
	for _, key := range n.Env {
		s.names[stack+"/"+key] = true
	}
}

// RemoveHost takes a host out of the fleet, in one commit: its declaration, its
// key, its pinned SSH key and its sealed files. What it was able to open is written
// down until it has another value. A host that still has stacks is refused.
func (a *HostChanges) RemoveHost(ctx context.Context, name string) (RemovedHost, error) {
	if err := a.Removable(name); err != nil {
		return RemovedHost{}, err
	}
	h, _ := a.checkout.Fleet.Host(name)
	seen, err := a.seen.SeenByHost(ctx, name)
	if err != nil {
		return seen, err
	}
	files, err := a.withoutHost(h)
	if err != nil {
		return seen, err
	}
	r := secretstore.Removal{Host: name, At: time.Now()}
	for _, s := range seen.Rotate {
		r.Secrets = append(r.Secrets, s.Secret)
	}
	if _, err := a.seen.noteRemoval(r, files); err != nil {
		return seen, err
	}
	return seen, a.checkout.CommitFiles(ctx, files, "host remove: "+name)
}

// NoteStolen adds to files what a host was able to open whose disk someone else has.
// It is written down until each has another value.
func (a *SeenSecrets) NoteStolen(ctx context.Context, host string, files map[string][]byte) error {
	seen, err := a.SeenByHost(ctx, host)
	if err != nil {
		return err
	}
	r := secretstore.Removal{Host: host, At: time.Now()}
	for _, s := range seen.Rotate {
		r.Secrets = append(r.Secrets, s.Secret)
	}
	_, err = a.noteRemoval(r, files)
	return err
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
