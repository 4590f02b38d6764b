package recovery

import (
	"context"
	"fmt"

	"salvor/internal/exposed"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/terminal"
)

// left is what is to be done by hand since someone may have the disk of the lost host.
// Of a host that was stolen everything is listed.
func (r *recovery) left(ctx context.Context, resumed, shut bool) []string {
	open, err := r.fleet.Exposed(ctx, r.Lost)
	if err != nil {
		return nil // host remove says it again, with what went wrong
	}
	open.KeyRemoved = shut && (r.Compromised || r.replaces())
	if resumed && r.replaces() {
		open.DeployKey = "" // what Git has by now is the key of the machine that replaces it
	}
	if r.replaces() && len(open.Tunnels) > 0 {
		open.Tunnels = r.tunnels // those of the machine that replaces it are not among them
	}
	left, leave := open.StillHas(r.Lost), r.fleet.Fleet().Leave(r.Lost)
	switch {
	case r.Compromised:
		if r.replaces() {
			leave = ""
		}
		return append(left, afterTheft(open, r.Lost, r.stacks, leave)...)
	case len(open.Secrets) > 0:
		does := "lists them with the commands to run"
		if h, _ := r.fleet.Fleet().Host(r.Lost); h.Server != (fleet.Server{}) {
			does = "takes the disk away"
		}
		left = append(left, fmt.Sprintf("the disk of %s can open %s: %s %s", r.Lost, terminal.Count(len(open.Secrets), "secret"), leave, does))
	}
	return left
}

// letRead has the Git host let the hosts in that take over, and none that was stolen or
// replaced. It reports whether Salvor did that, or else what is left to do there.
func (r *recovery) letRead(ctx context.Context) (done bool, left []string) {
	keys := map[string]string{}
	if r.Compromised {
		keys[r.Lost] = ""
	}
	for _, p := range r.parts {
		keys[p.host.Name] = p.target.GitKey
	}
	done, err := r.fleet.LetRead(ctx, keys)
	if err != nil {
		left = append(left, fmt.Sprintf("the deploy keys are not up to date: %v", err))
		if hint := fault.Hint(err); hint != "" {
			left[0] += "; " + hint
		}
	}
	if done && err == nil {
		return true, nil
	}
	for _, p := range r.parts {
		left = append(left, p.target.letRead(p.host.Name))
	}
	return false, left
}

// noteStolen adds to files what a thief could open, and that the host may not read the
// repository any more.
func (r *recovery) noteStolen(ctx context.Context, files map[string][]byte) error {
	if err := r.fleet.NoteStolen(ctx, r.Lost, files); err != nil || r.replaces() {
		return err
	}
	return r.fleet.Forget(r.Lost, files)
}

// letRead is what is left to do at the Git host. Whether that was done for a host
// that an earlier run has added, or that was declared before, is not known here.
func (t Target) letRead(host string) string {
	unless := ""
	if len(t.Files) == 0 {
		unless = ", unless it does already"
	}
	return fmt.Sprintf("let %s read the repository%s: add its deploy key, read-only: %s", host, unless, t.GitKey)
}

// afterTheft is what to change and to look at once a host was stolen, in order. leave is the
// command that takes it out of the fleet, "" for one whose name goes on.
func afterTheft(open exposed.Host, host string, stacks []string, leave string) []string {
	var left []string
	for _, secret := range open.Secrets {
		left = append(left, fmt.Sprintf("%s could open the secret %s; to give it a new value: %s", host, secret.Name, secret.Renewal))
	}
	for _, stack := range stacks {
		left = append(left, fmt.Sprintf("if others controlled %s before you noticed, they may have changed the data of "+
			"%s: salvor snapshot ls %s, then salvor restore %s --snapshot ID restores a snapshot from before that", host, stack, stack, stack))
	}
	left = append(left, fmt.Sprintf("revoke the access of %s that Salvor does not manage: SSH keys in its users' ~/.ssh, "+
		"its node in a tailnet or VPN, tokens in files", host))
	if leave != "" {
		left = append(left, fmt.Sprintf("remove %s from the fleet: %s", host, leave))
	}
	return left
}
