package agent

import (
	"context"
	"fmt"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/docker"
	"salvor/internal/finding"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
	"salvor/internal/terminal"
)

// failedDeploy is a stack's last deploy where it did not become healthy, so that something
// else runs than what is declared.
func failedDeploy(s *here.Stack, seen stack.State) *agentapi.FailedDeploy {
	u := s.Attempt()
	if u.State != here.AttemptFailed || s.Stopped || s.Kept || seen.Untouched(s.Deployment()) {
		return nil
	}
	return &agentapi.FailedDeploy{Commit: u.Commit, At: u.At, Why: u.Why}
}

// Docker restarts a container that ends after ever longer pauses, of a minute at most. One
// that was restarted so often and not long ago is caught between two ends of its life.
const (
	loopRestarts = 3
	loopWithin   = 5 * time.Minute
)

// serviceFindings say which services of a stack ought to run and do not, and why.
func (h *Host) serviceFindings(ctx context.Context, s *here.Stack, rows []agentapi.ServiceRow) []finding.Finding {
	if s.Stopped || h.base().Local(s.Name).Lost {
		return nil
	}
	var found []finding.Finding
	for _, row := range rows {
		f := finding.Finding{Severity: finding.Warning, Subject: s.Spec.Name + "/" + s.Name}
		logs := "salvor logs " + s.Name + " " + row.Name
		looping := row.State == "restarting" || row.State == "running" && row.Restarts >= loopRestarts && time.Since(row.Since) < loopWithin
		switch {
		case row.Done || row.ByHand:
			continue
		case looping:
			f.Code, f.Text = finding.CrashLoop, fmt.Sprintf("service %s keeps ending: exit code %d, restarted %s", row.Name, row.Exit, terminal.Count(row.Restarts, "time"))
			f.Fix = logs + "; once it is repaired: salvor restart " + s.Name + " " + row.Name
		case row.Health == docker.Unhealthy:
			f.Code, f.Text, f.Fix = finding.ServiceDown, "service "+row.Name+" is unhealthy", logs
		case row.State == "running" || row.State == "paused" || snapshot.HeldBy(h.Snapshots.Dirs, s.Name):
			continue
		default:
			f.Code, f.Text = finding.ServiceDown, "service "+row.Name+" does not run: "+whyDown(row)
			f.Fix = logs + "; then salvor restart " + s.Name
		}
		if last := stack.Named(h.Stacks, s.Name).LastLine(ctx, row.Name); last != "" {
			f.Text += fmt.Sprintf("; it said last: %.200s", last)
		}
		found = append(found, f)
	}
	return found
}

func whyDown(row agentapi.ServiceRow) string {
	switch {
	case row.Error != "":
		return row.Error
	case row.State == "exited":
		return fmt.Sprintf("it ended with exit code %d", row.Exit)
	case row.State == "missing":
		return "it has no container"
	case row.State == "created":
		return "it was never started"
	}
	return "it is " + row.State
}
