package app

import (
	"context"
	"os"
	"path/filepath"

	"salvor/internal/agentapi"
	"salvor/internal/ansible"
	"salvor/internal/deploy"
	"salvor/internal/embedded"
	"salvor/internal/fleet"
	"salvor/internal/version"
)

// ForAnsible is the opened fleet as Ansible needs it.
func ForAnsible(ctx context.Context, a *App) (*ansible.Fleet, error) {
	s, err := a.Session(ctx, a.opts.Sink)
	if err != nil {
		return nil, err
	}
	return ansibleOn(a, s), nil
}

func ansibleOn(a *App, s *deploy.Session) *ansible.Fleet {
	return &ansible.Fleet{
		Declared: &a.Checkout.Fleet, Version: version.String(), Program: embedded.Salvord,
		Request: func(h fleet.Host) (agentapi.Converge, error) { return deploy.Preparation(s, h) },
		Login:   a.Reach.Best, Secret: a.Identity.Secret,
		Confirm: func(ctx context.Context) error { return a.Confirmed.ConfirmGrants(ctx, a.Checkout.Lock) },
	}
}

// AnsibleCache is where this user's commands unpack salvord for Ansible, which copies it to
// hosts.
func AnsibleCache() (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "salvor"), err
}

// around is what fleet.yaml has around each host's part of an apply, nil for nothing.
func around(a *App, s *deploy.Session) (deploy.Around, error) {
	if a.Checkout.Fleet.Playbooks.None() {
		return nil, nil
	}
	cache, err := AnsibleCache()
	return &ansible.Around{Fleet: ansibleOn(a, s), Files: os.DirFS(a.Checkout.Export), Cache: cache}, err
}

// playbooksAllowed makes sure that the playbooks around an apply can run, and may.
func playbooksAllowed(a *App) error {
	if a.Checkout.Fleet.Playbooks.None() {
		return nil
	}
	if err := ansible.Installed(); err != nil {
		return err
	}
	return a.Confirmed.AllowPlaybooks()
}
