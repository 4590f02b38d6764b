package agent

import (
	"context"
	"errors"
	"fmt"
	"os"

	"salvor/internal/agent/here"
	"salvor/internal/agent/publishing"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/gitread"
	"salvor/internal/hostprep"
	"salvor/internal/journal"
	"salvor/internal/progress"
	"salvor/internal/secret/agekey"
)

// ErrMoved means that the host is no longer as it was when the plan was made.
var ErrMoved = errors.New("the host changed since the plan was made")

// Apply makes the host what the request says. What can overlap does: while
// packages are installed, data comes down; while it does, images are pulled. A
// stack that fails is part of the receipt and keeps no other from starting.
func (h *Host) Apply(ctx context.Context, req agentapi.Apply, sink progress.Sink) (agentapi.HostReceipt, error) {
	// looked at before the lock's own folder is made, which is part of the plan
	moved := h.moved(ctx, req, sink)
	if err := req.Host.Signers.Check(); err != nil {
		return agentapi.HostReceipt{}, fmt.Errorf("the fleet's signing keys: %w", err)
	}
	lock, err := h.base().Lock(ctx, req.Owner, req.Message, sink)
	if err != nil {
		return agentapi.HostReceipt{}, err
	}
	defer lock.Release()
	if moved != nil {
		return agentapi.HostReceipt{}, moved
	}
	applied, _ := h.base().ReadSpec() // one that can't be read has no stack to keep
	req.Host = keepOwn(applied, req.Host)
	if err := refuseOpening(applied, req); err != nil {
		return agentapi.HostReceipt{}, err
	}
	r := startup.New(h.keeper(), req.Host, sink)
	if err := h.accept(req.Host); err != nil {
		// a full disk keeps no stack from starting; what a boot starts from is older then
		r.Warn("", finding.Finding{
			Code: finding.DiskFull, Severity: finding.Warning, Subject: req.Host.Name,
			Text: "the host could not write down what it should run: " + err.Error(), Fix: "make room on " + req.Host.Name + ", then salvor apply",
		})
	}
	r.Admit(req.Join)
	defer r.Guard.Close(ctx)
	for name, wait := range req.Wait {
		r.FreeIn(name, wait)
	}
	receipt, err := bringUp(ctx, h, r)
	h.base().Enter(journal.Entry{Kind: "apply", Commit: req.Host.Commit, Owner: req.Owner, Text: req.Message, Error: here.ErrorText(err)})
	return receipt, err
}

// bringUp makes the host what the run is for. The daemon publishes its hostnames meanwhile.
func bringUp(ctx context.Context, h *Host, r *startup.Run) (agentapi.HostReceipt, error) {
	announced := publishing.Announce(ctx, h.base(), r.Spec)
	defer announced.End()
	receipt, err := r.Apply(ctx)
	if err == nil && ctx.Err() == nil {
		announced.Finish(ctx, &receipt)
	}
	if projects, failed := ownProjects(ctx, h.Stacks, r.Spec.Projects); failed == nil { // what is not known now is learned by the next plan
		for _, p := range projects {
			receipt.Projects = append(receipt.Projects, p.OwnProject)
		}
	}
	return receipt, err
}

// accept has the host trust the keys that an operator brings, and notes what it is
// asked to be. All that its stacks need is opened by these keys.
func (h *Host) accept(spec agentapi.Host) error {
	return errors.Join(h.base().Pin(spec.Fleet, spec.Signers), h.base().SaveSpec(spec))
}

// moved returns ErrMoved when the host is not as the plan saw it.
func (h *Host) moved(ctx context.Context, req agentapi.Apply, sink progress.Sink) error {
	if req.Fingerprint == "" {
		return nil
	}
	now, err := h.Observe(ctx, agentapi.Observe{Host: req.Host}, sink)
	if err == nil && now.Fingerprint != req.Fingerprint {
		err = fault.WithHint(ErrMoved, "salvor plan shows its present state")
	}
	return err
}

// Enrol makes the host's identity, its signing key and its key for Git, once, and returns their
// public halves. The host trusts the fleet's signing keys from now on.
func (h *Host) Enrol(ctx context.Context, req agentapi.Enrol, _ progress.Sink) (agentapi.Enrolment, error) {
	if err := os.MkdirAll(h.Paths.Config, 0o700); err != nil {
		return agentapi.Enrolment{}, err
	}
	if err := h.base().Pin(req.Fleet, req.Signers); err != nil {
		return agentapi.Enrolment{}, err
	}
	recipient, err := agekey.EnsureHost(h.Paths.Identity())
	if err != nil {
		return agentapi.Enrolment{}, err
	}
	signer, err := h.base().EnsureSigning(req.Host)
	if err != nil {
		return agentapi.Enrolment{}, err
	}
	key, err := gitread.EnsureKey(h.Paths.GitKey())
	e := agentapi.Enrolment{Recipient: recipient, Signer: signer, GitKey: key}
	if err == nil {
		e.Containers, e.Unseen = here.Containers(ctx, h.Machine)
		e.Prepares = hostprep.PreparesHost(ctx, h.Machine)
	}
	return e, err
}
