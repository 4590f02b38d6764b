package app

import (
	"context"
	"encoding/base64"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/needs"
	"salvor/internal/reach"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
	"salvor/internal/storage"
)

// ExposedByHost is what a host was able to open and to reach.
type ExposedByHost struct {
	Stacks  []string        // that were ever sealed for it
	Remotes []string        // whose credentials it has, each with its secrets: "nas (nas_alpha)"
	Secrets []ExposedSecret // that it was able to open

	DeployKey string // fingerprint of the key with which it reads the repository, "" where it is not known
	GitURL    string // where that key is accepted, "" for nowhere
}

// ByHost returns what a host was able to open: by the history of its sealed
// files, what those stacks need now. What a stack needed that is no longer declared
// is unknown; then every secret counts, except other stacks' variables.
func (e *ExposedSecrets) ByHost(ctx context.Context, host string) (ExposedByHost, error) {
	var r ExposedByHost
	h, _ := e.checkout.Fleet.Host(host)
	var files []string
	names := []string{host}
	if h.Formerly != "" {
		names = append(names, h.Formerly)
	}
	for _, name := range names {
		ever, err := e.checkout.Git.EverIn(ctx, path.Join("sealed", name))
		if err != nil {
			return r, err
		}
		files = append(files, ever...)
	}
	access := hostAccess{names: map[string]bool{}, gone: map[string]bool{}, remotes: map[string]map[string]bool{}}
	for _, file := range files {
		stack, sealed := strings.CutSuffix(path.Base(file), ".age")
		if sealed && slices.Contains(names, path.Base(path.Dir(file))) && !slices.Contains(r.Stacks, stack) {
			r.Stacks = append(r.Stacks, stack)
			access.add(&e.checkout.Fleet, e.needs, host, stack)
		}
	}
	r.Remotes = access.credentials()
	if _, key, found := strings.Cut(e.checkout.DeployKeys[host], " "); found {
		if wire, err := base64.StdEncoding.DecodeString(key); err == nil {
			r.DeployKey = reach.FingerprintOf(wire)
		}
	}
	git, err := e.gitHost.gitSource(ctx)
	if err != nil {
		return r, err
	}
	r.GitURL = git.URL
	if u, err := url.Parse(git.URL); err == nil && u.User != nil {
		r.GitURL = u.Redacted()
	}
	all, err := e.identity.Store.List()
	if err != nil {
		return r, err
	}
	for _, info := range all {
		if access.has(info) {
			r.Secrets = append(r.Secrets, e.exposed(info))
		}
	}
	return r, nil
}

// A hostAccess is the set of secrets that a host was able to open.
type hostAccess struct {
	names   map[string]bool
	gone    map[string]bool            // stacks that are no longer declared
	remotes map[string]map[string]bool // by name, the secrets of the credential
}

// credentials names each remote with the secrets that open it.
func (a hostAccess) credentials() []string {
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
func (a hostAccess) remote(r fleet.Remote) {
	if a.remotes[r.Name] == nil {
		a.remotes[r.Name] = map[string]bool{}
	}
	for _, setting := range r.Options {
		if name, is := setting.Secret(); is {
			a.remotes[r.Name][name], a.names[name] = true, true
		}
	}
}

func (a hostAccess) has(info secretstore.Info) bool {
	if info.Stack == "" {
		return a.names[info.Name] || len(a.gone) > 0
	}
	return a.names[info.Name] || a.gone[info.Stack]
}

// add adds what a stack's seal for a host is made from.
func (a hostAccess) add(f *fleet.Fleet, all *needs.Needs, host, stack string) {
	if _, declared := f.Stack(stack); !declared {
		a.gone[stack] = true
		for _, r := range f.Remotes {
			a.remote(storage.ForHost(r, host, stack))
		}
		return
	}
	n := all.Of(stack, host)
	var settings []secret.Setting
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
func (e *ExposedSecrets) NoteHost(ctx context.Context, host string, files map[string][]byte) (ExposedByHost, error) {
	exposed, err := e.ByHost(ctx, host)
	if err != nil {
		return exposed, err
	}
	r := secretstore.Removal{Host: host, At: time.Now()}
	for _, s := range exposed.Secrets {
		r.Secrets = append(r.Secrets, s.Name)
	}
	_, err = e.NoteRemoval(r, files)
	return exposed, err
}
