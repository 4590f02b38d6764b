package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/gitread"
	"salvor/internal/record"
	"salvor/internal/runlock"
)

// askWithin bounds one look at Git and at the record remote; they are asked at
// the same time.
const askWithin = 20 * time.Second

// verdicts asks Git and the record remote once and says for each stack whether
// this host still owns it. Whatever does not answer is part of the verdict, not
// an error.
func (h *Host) verdicts(ctx context.Context, spec agentapi.Host) (map[string]record.Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var git gitSight
	claims := map[string]claimSight{}
	var both sync.WaitGroup
	both.Go(func() { git = h.askGit(ctx, spec.Git) })
	both.Go(func() { claims = h.askRecord(ctx, spec) })
	both.Wait()
	all := map[string]record.Verdict{}
	for _, st := range spec.Stacks {
		local := h.local(st.Name)
		all[st.Name] = record.Decide(record.Local{Host: spec.Name, Epoch: local.Epoch, Lost: local.Lost}, git.placement(st.Name), claims[st.Name].ruling(git.contains))
	}
	return all, nil
}

// gitSight is what Git said.
type gitSight struct {
	reached  bool
	lock     fleet.Lock
	contains record.OnBranch
}

func (g gitSight) placement(stack string) record.InGit {
	p := g.lock.Stacks[stack]
	return record.InGit{Reached: g.reached, Host: p.Host, Epoch: p.Epoch}
}

func (h *Host) askGit(ctx context.Context, git agentapi.Git) gitSight {
	unreached := gitSight{contains: func(string) (bool, bool) { return false, false }}
	if git.URL == "" {
		return unreached
	}
	lock, err := h.await(ctx, "git", runlock.Holder{Owner: "salvord", Message: "reading the control repository"})
	if err != nil {
		return unreached
	}
	defer lock.Release()
	repo, commit, err := h.fetch(ctx, git)
	if err != nil {
		return unreached
	}
	content, err := repo.File(commit, "salvor.lock")
	if errors.Is(err, os.ErrNotExist) {
		return gitSight{reached: true, contains: repo.Contains}
	}
	if err != nil {
		return unreached
	}
	seen := gitSight{reached: true, contains: repo.Contains}
	if err := json.Unmarshal(content, &seen.lock); err != nil || seen.lock.Schema > fleet.Schema {
		return unreached
	}
	return seen
}

func (h *Host) fetch(ctx context.Context, git agentapi.Git) (*gitread.Repository, string, error) {
	source := gitread.Source{URL: git.URL, Branch: git.Branch, KeyFile: h.Paths.gitKey(), KnownHosts: []byte(strings.Join(git.KnownHosts, "\n") + "\n")}
	repo, err := gitread.Open(h.Paths.gitCache(), source)
	if err != nil {
		return nil, "", err
	}
	commit, err := repo.Fetch(ctx)
	return repo, commit, err
}

// claimSight is what the record said of one stack.
type claimSight struct {
	reached bool
	claims  []record.Claim
}

func (c claimSight) ruling(onBranch record.OnBranch) record.OnRecord {
	if !c.reached {
		return record.OnRecord{}
	}
	return record.OnRecord{Reached: true, Ruling: record.Rule(c.claims, onBranch)}
}

// askRecord reads the claims of every stack through the first seal that opens:
// all of them lead to the same record remote.
func (h *Host) askRecord(ctx context.Context, spec agentapi.Host) map[string]claimSight {
	seen := map[string]claimSight{}
	rec, err := h.anyRecord(ctx, spec)
	if err != nil {
		return seen
	}
	defer rec.close(ctx) //nolint:errcheck // nothing was written
	for _, st := range spec.Stacks {
		claims, err := rec.Claims(ctx, st.Name)
		seen[st.Name] = claimSight{reached: err == nil, claims: claims}
	}
	return seen
}

func (h *Host) anyRecord(ctx context.Context, spec agentapi.Host) (*sight, error) {
	errs := []error{fmt.Errorf("no seal on %s leads to the record remote", spec.Name)}
	for _, st := range spec.Stacks {
		a, err := h.open(spec.Name, st)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		return a.record(ctx, spec.Record)
	}
	return nil, errors.Join(errs...)
}
