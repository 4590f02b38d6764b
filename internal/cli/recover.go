package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/recovery"
)

type recoverOptions struct {
	to         string
	hostKey    string
	acceptLoss bool
	stolen     bool
}

func newRecover(g *globals) *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use:   "recover HOST --to NAME[=[USER@]ADDRESS[:PORT]]",
		Short: "Bring back the stacks of a lost host on another one, with their data",
		Long: "Recover needs the repository, your key and the remote; it does not need the lost host.\nThe host named " +
			"by --to can be a declared one, or a new one: NAME=ADDRESS adds it.\nIf a recovery is interrupted, run it " +
			"again to finish it.",
		Args: exactArgs("HOST"),
		RunE: func(cmd *cobra.Command, args []string) error { return runRecover(cmd.Context(), g, args[0], o) },
	}
	cmd.Flags().StringVar(&o.to, "to", "", "`NAME[=ADDRESS]` of the new host")
	cmd.Flags().StringVar(&o.hostKey, "host-key", "", "the new host's expected `SHA256:…` fingerprint, instead of a question")
	cmd.Flags().BoolVar(&o.acceptLoss, "accept-loss", false, "recover even if the host answers, or if the remote lost a "+
		"newest snapshot: data written after the newest snapshot that is left is lost")
	cmd.Flags().BoolVar(&o.stolen, "compromised", false, "someone else has the host's disk: its stacks get new snapshot "+
		"repositories, and the secrets that it could open are listed until they are changed")
	return cmd
}

func runRecover(ctx context.Context, g *globals, lost string, o recoverOptions) error {
	if o.to == "" {
		return fault.WithCode(fault.WithHint(errors.New("recover needs the new host"), fmt.Sprintf("salvor recover %s --to NAME=ADDRESS", lost)), fault.Usage)
	}
	bar := g.progress()
	defer bar.Close()
	a, err := g.open(ctx, bar)
	if err != nil {
		return err
	}
	defer g.close(ctx, a)
	host, declared := a.Fleet().Host(lost)
	if !declared {
		return fault.WithHint(fmt.Errorf("host %s is not declared", lost), "salvor host ls")
	}
	bar.Close()
	if g.Term == nil || g.passphraseFile != "" {
		a.Unlock()
	}
	if err := a.PinGitHost(ctx); err != nil {
		return err
	}
	gone, err := g.gone(ctx, a, host, o)
	if err != nil {
		return err
	}
	to, add, pending, err := g.target(ctx, a, lost, o)
	if err := errors.Join(gone(), err); err != nil {
		return err
	}
	opts := recovery.Options{Lost: lost, To: to, Files: add.Files, AcceptLoss: o.acceptLoss, Compromised: o.stolen, Replaced: add.Replaced}
	plan := recovery.Prepare(a.Lock(), opts)
	if err := g.confirmRecovery(a.Lock(), plan, lost, to, o); err != nil {
		return err
	}
	return g.recover(ctx, a, plan, opts, pending)
}

// gone begins to ask whether the lost host answers, which takes a dead one long,
// and returns what waits for the outcome.
func (g *globals) gone(ctx context.Context, a *app.App, lost fleet.Host, o recoverOptions) (wait func() error, err error) {
	var asked errgroup.Group
	to, address, _ := strings.Cut(o.to, "=")
	if next, err := parseHost(to, address); o.acceptLoss || to == lost.Name && err == nil && next.Address == lost.Address && next.Port == lost.Port {
		return asked.Wait, nil // what answers there is the machine that replaces it
	}
	reach, err := a.Reach(lost)
	if err != nil {
		return nil, err
	}
	asked.Go(func() error { return recovery.Gone(ctx, lost.Name, to, reach) })
	return asked.Wait, nil
}

// target makes sure that the host taking over is declared and enrolled, and
// returns the files that say so.
func (g *globals) target(ctx context.Context, a *app.App, lost string, o recoverOptions) (name string, add app.Addition, pending []string, err error) {
	name, address, isNew := strings.Cut(o.to, "=")
	h, declared := a.Fleet().Host(name)
	switch {
	case isNew:
		if h, err = parseHost(name, address); err != nil {
			return name, add, nil, err
		}
		key, trustErr := g.trust(ctx, a, h, o.hostKey, "--host-key")
		if trustErr != nil {
			return name, add, nil, trustErr
		}
		add, err = a.AddHost(ctx, h, key.Key, name == lost)
	case !declared:
		return name, add, nil, fault.WithHint(fmt.Errorf("host %s is not declared", name), fmt.Sprintf("--to %s=ADDRESS adds it", name))
	case name == lost:
		return name, add, nil, fault.WithHint(fmt.Errorf("%s is the host that is lost", name), fmt.Sprintf("--to %s=ADDRESS names the machine that replaces it", name))
	default:
		add, err = a.Enrol(ctx, h)
	}
	if err == nil {
		pending = append(pending, letRead(name, add))
	}
	return name, add, pending, err
}

// letRead is what is left to do at the Git host. Whether that was done for a host
// that an earlier run has added, or that was declared before, is not known here.
func letRead(host string, add app.Addition) string {
	unless := ""
	if len(add.Files) == 0 {
		unless = ", unless it does already"
	}
	return fmt.Sprintf("let %s read the repository%s: add its deploy key, read-only: %s", host, unless, add.GitKey)
}

func (g *globals) confirmRecovery(lock fleet.Lock, p recovery.Plan, lost, to string, o recoverOptions) error {
	if len(p.Moves) == 0 {
		if len(lock.On(to)) == 0 {
			return fault.WithHint(fmt.Errorf("nothing is placed on %s", lost), "salvor host ls")
		}
		if o.acceptLoss {
			return g.confirmName(fmt.Sprintf("Finish the recovery of %s on %s? %s", lost, to, acceptedLoss), lost)
		}
		return nil // cut short after the placement: finish it
	}
	var names []string
	for _, m := range p.Moves {
		names = append(names, m.Stack)
	}
	question := fmt.Sprintf("Recover %s of %s on %s (%s), from their newest snapshots?", count(len(names), "stack"), lost, to, strings.Join(names, ", "))
	if o.acceptLoss {
		return g.confirmName(question+"\nWhat "+lost+" wrote since then is lost. "+acceptedLoss, lost)
	}
	return g.confirm(question)
}

const acceptedLoss = "If the remote lost the newest snapshot of a stack, the newest one that is left is restored."

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (g *globals) recover(ctx context.Context, a *app.App, plan recovery.Plan, o recovery.Options, pending []string) error {
	var stacks []string
	for _, m := range plan.Moves {
		stacks = append(stacks, m.Stack)
	}
	edits, err := a.Rehost(stacks, o.To)
	if err != nil {
		return err
	}
	if len(stacks) == 0 && o.Compromised {
		pending = append(pending, o.Lost+" was recovered before, so no repository was replaced now: if that was without "+
			"--compromised, salvor key rotate --compromised gives every stack a new one")
	}
	if len(stacks) == 0 { // cut short after the placement
		lock := a.Lock()
		stacks = lock.On(o.To)
	}
	revived, err := a.Revive(ctx, stacks)
	if err != nil {
		return err
	}
	pending = append(pending, revived...)
	if o.Files == nil {
		o.Files = map[string][]byte{}
	}
	maps.Copy(o.Files, edits)
	if o.Compromised && len(plan.Moves) > 0 {
		if err := a.NoteStolen(ctx, o.Lost, o.Files); err != nil {
			return err
		}
	}
	bar := g.progress()
	defer bar.Close()
	s, err := a.Session(ctx)
	if err != nil {
		return err
	}
	receipt, err := recovery.Recover(ctx, s, plan, o)
	bar.Close()
	if receipt.Kind == "" {
		return err
	}
	receipt.Pending = append(append(pending, receipt.Pending...), leftOn(ctx, a, o, stacks, len(plan.Moves) == 0)...)
	return g.finish(&receipt, err, nil)
}

// leftOn is what somebody has who has the disk of a host that is lost. Of a host that
// was stolen everything is listed.
func leftOn(ctx context.Context, a *app.App, o recovery.Options, stacks []string, resumed bool) []string {
	seen, err := a.SeenByHost(ctx, o.Lost)
	if err != nil {
		return nil // host remove says it again, with what went wrong
	}
	if resumed && o.To == o.Lost {
		seen.DeployKey = "" // what Git has by now is the key of the machine that replaces it
	}
	left := stillHas(o.Lost, seen)
	switch {
	case o.Compromised:
		return append(left, afterTheft(o, seen, stacks)...)
	case len(seen.Rotate) > 0:
		left = append(left, fmt.Sprintf("the disk of %s can open %s: salvor host remove %s lists them with the commands to run", o.Lost, count(len(seen.Rotate), "secret"), o.Lost))
	}
	return left
}

// afterTheft is what to change and to look at once a host was stolen, in order.
func afterTheft(o recovery.Options, seen app.RemovedHost, stacks []string) []string {
	host := o.Lost
	var left []string
	for _, r := range seen.Rotate {
		first := ""
		if r.Provider {
			first = ", at its provider first"
		}
		left = append(left, fmt.Sprintf("%s could open the secret %s: give it a new value%s: %s", host, r.Secret, first, r.Command))
	}
	for _, stack := range stacks {
		left = append(left, fmt.Sprintf("if others controlled %s before you noticed, they may have changed the data of "+
			"%s: salvor snapshot ls %s, then salvor restore %s --snapshot ID restores a snapshot from before that", host, stack, stack, stack))
	}
	left = append(left, fmt.Sprintf("revoke the access of %s that Salvor does not manage: SSH keys in its users' ~/.ssh, "+
		"its node in a tailnet or VPN, tokens in files", host))
	if o.To != host {
		left = append(left, fmt.Sprintf("remove %s from the fleet: salvor host remove %s", host, host))
	}
	return left
}

// stillHas is what a host can reach by what is on its disk, until it is ended where it
// was given.
func stillHas(host string, seen app.RemovedHost) []string {
	where := "at the Git host"
	if seen.GitURL != "" {
		where = "from the deploy keys of " + seen.GitURL
	}
	left := []string{fmt.Sprintf("%s can still read the repository: remove its deploy key%s %s", host, named(seen.DeployKey), where)}
	for _, remote := range seen.Remotes {
		left = append(left, fmt.Sprintf("%s still has the credential of the remote %s, and can delete everything there "+
			"that the credential allows: change it at the server, then here with salvor secret set", host, remote))
	}
	return left
}

// named is a fingerprint behind what it is of.
func named(fingerprint string) string {
	if fingerprint == "" {
		return ""
	}
	return " " + fingerprint
}
