package recovery

import (
	"context"
	"fmt"

	"salvor/internal/terminal"
)

// Exposed is what a host could open and reach.
type Exposed struct {
	Remotes   []string        // whose credentials it has, each with its secrets: "nas (nas_alpha)"
	Secrets   []ExposedSecret // that it could open
	DeployKey string          // fingerprint of the key with which it reads the repository, "" where it is not known
	GitURL    string          // where that key is accepted, "" for nowhere
}

// An ExposedSecret is one that needs another value.
type ExposedSecret struct {
	Name     string
	Provider bool   // the value is changed at a provider first
	Command  string // that gives it another value
}

// left is what is to be done by hand since someone may have the disk of the lost host.
// Of a host that was stolen everything is listed.
func (r *recovery) left(ctx context.Context, resumed bool) []string {
	exposed, err := r.fleet.Exposed(ctx, r.Lost)
	if err != nil {
		return nil // host remove says it again, with what went wrong
	}
	if resumed && r.To.Name == r.Lost {
		exposed.DeployKey = "" // what Git has by now is the key of the machine that replaces it
	}
	left := exposed.StillHas(r.Lost)
	switch {
	case r.Compromised:
		return append(left, exposed.afterTheft(r.Lost, r.To.Name, r.stacks)...)
	case len(exposed.Secrets) > 0:
		left = append(left, fmt.Sprintf("the disk of %s can open %s: salvor host remove %s lists them with the commands to run", r.Lost, terminal.Count(len(exposed.Secrets), "secret"), r.Lost))
	}
	return left
}

// afterTheft is what to change and to look at once a host was stolen, in order.
func (e Exposed) afterTheft(host, to string, stacks []string) []string {
	var left []string
	for _, secret := range e.Secrets {
		first := ""
		if secret.Provider {
			first = ", at its provider first"
		}
		left = append(left, fmt.Sprintf("%s could open the secret %s: give it a new value%s: %s", host, secret.Name, first, secret.Command))
	}
	for _, stack := range stacks {
		left = append(left, fmt.Sprintf("if others controlled %s before you noticed, they may have changed the data of "+
			"%s: salvor snapshot ls %s, then salvor restore %s --snapshot ID restores a snapshot from before that", host, stack, stack, stack))
	}
	left = append(left, fmt.Sprintf("revoke the access of %s that Salvor does not manage: SSH keys in its users' ~/.ssh, "+
		"its node in a tailnet or VPN, tokens in files", host))
	if to != host {
		left = append(left, fmt.Sprintf("remove %s from the fleet: salvor host remove %s", host, host))
	}
	return left
}

// StillHas is what a host can reach by what is on its disk, a line each with where that
// is ended.
func (e Exposed) StillHas(host string) []string {
	where := "at the Git host"
	if e.GitURL != "" {
		where = "from the deploy keys of " + e.GitURL
	}
	key := ""
	if e.DeployKey != "" {
		key = " " + e.DeployKey
	}
	left := []string{fmt.Sprintf("%s can still read the repository: remove its deploy key%s %s", host, key, where)}
	for _, remote := range e.Remotes {
		left = append(left, fmt.Sprintf("%s still has the credential of the remote %s, and can delete everything there "+
			"that the credential allows: change it at the server, then here with salvor secret set", host, remote))
	}
	return left
}
