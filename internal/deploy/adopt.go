package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// compareAdopted has hosts compare the stacks that are to be taken over with what runs there, with
// their secrets, which are sealed by now: the plan had no seal. One that differs ends the
// run before anything is committed, or noted on a host.
func compareAdopted(ctx context.Context, r *Run) error {
	adopts := func(h fleet.Host) bool {
		return slices.ContainsFunc(r.Next.On(h.Name), func(name string) bool { return r.Consent[name] == project.ConsentAdopt && !r.held[name] })
	}
	if !slices.ContainsFunc(r.Fleet.Hosts, adopts) {
		return nil
	}
	return r.phase(ctx, "compare what runs", func() error {
		return r.each(func(h fleet.Host, _ HostPlan) error {
			if !adopts(h) {
				return nil
			}
			seen := r.observeHost(ctx, h, r.Next)
			if seen.Err != nil {
				return seen.Err
			}
			return notAdopted(seen.State)
		})
	})
}

// notAdopted is the error of stacks that do not run on a host as Git says, one line with each
// service; nil without any.
func notAdopted(state agentapi.HostState) error {
	var differs []string
	subject, fix := "", ""
	for _, f := range state.Findings {
		if f.Code != finding.AdoptDiffers {
			continue
		}
		text := f.Subject + ": " + f.Text
		if f.Subject == subject {
			_, text, _ = strings.Cut(f.Text, ": ") // what each of them begins with is said
		}
		subject, fix = f.Subject, f.Fix
		differs = append(differs, text)
	}
	if len(differs) == 0 {
		return nil
	}
	return fault.WithHint(fmt.Errorf("%s [%s]", strings.Join(differs, "; "), finding.AdoptDiffers), "nothing was committed; "+fix)
}
