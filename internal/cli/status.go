package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/ack"
	"salvor/internal/agentapi"
	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/terminal"
)

type statusOptions struct{ exitCode bool }

func newStatus(g *globals) *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show every host and stack: what runs, what does not and why, and when the next snapshot is due",
		Long: "Status asks every host, and the remotes for the newest snapshots. It ends with exit code 13 if a host does not answer, and\n" +
			"with 3 if a service that should run does not. With --exit-code it also ends with 3 if anything else needs a person: a\n" +
			"warning, or a service that was stopped by hand. So 0 means that all is well.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), g, o) },
	}
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", false, "end with 0 only if nothing needs a person; for a timer or a script")
	return cmd
}

func runStatus(ctx context.Context, g *globals, o statusOptions) error {
	return g.with(ctx, func(a *app.App) error {
		s, err := a.Session(ctx, g.progress())
		if err != nil {
			return err
		}
		here, err := printUncommitted(ctx, g, a)
		if err != nil {
			return err
		}
		all := s.Status(ctx)
		g.progress().Close()
		shown, known := withoutAcknowledged(alreadyKnown(g, a).Acks, all, time.Now())
		if g.json {
			err = g.printJSON(struct {
				Schema   int                 `json:"schema"`
				Findings []finding.Finding   `json:"findings"` // about this clone
				Hosts    []deploy.HostStatus `json:"hosts"`
			}{1, append([]finding.Finding{}, here...), all})
		} else {
			page := g.page()
			printStatus(page, shown, called(a.Fleet()), time.Now())
			printKnown(page, known)
			err = page.Err()
		}
		return errors.Join(err, unwell(shown, here, o.exitCode))
	})
}

// withoutAcknowledged returns what hosts report less the findings that are acknowledged,
// and how many those are. What the last apply showed stays: each morning is about what is
// wrong, also if it was wrong the day before.
func withoutAcknowledged(acks ack.Acks, all []deploy.HostStatus, now time.Time) (shown []deploy.HostStatus, known int) {
	for _, h := range all {
		news, old := ack.Known{Acks: acks}.News(h.State.Findings, now)
		h.State.Findings, known = news, known+old
		shown = append(shown, h)
	}
	return shown, known
}

// unwell is the error of a fleet in which something that ought to run does not or,
// where that is asked for, in which something else needs a person.
func unwell(all []deploy.HostStatus, here []finding.Finding, strict bool) error {
	var silent, down, open []string
	for _, f := range here {
		open = append(open, f.Subject)
	}
	for _, h := range all {
		if h.Error != "" {
			silent = append(silent, h.Host)
		}
		itsDown, byHand := notUp(h)
		down, open = append(down, itsDown...), append(open, byHand...)
		for _, f := range h.State.Findings {
			if f.Severity != finding.Info {
				open = append(open, f.Subject)
			}
		}
	}
	switch {
	case len(silent) > 0:
		return unanswered(silent)
	case len(down) > 0:
		return fault.WithCode(fmt.Errorf("not everything is up: %s", strings.Join(down, ", ")), fault.Partial)
	case strict && len(open) > 0:
		slices.Sort(open)
		return fault.WithCode(fmt.Errorf("something needs a person: %s", strings.Join(slices.Compact(open), ", ")), fault.Partial)
	}
	return nil
}

// notUp are the stacks and own projects of a host that ought to run and do not, and the stacks
// of which a person has stopped something.
func notUp(h deploy.HostStatus) (down, byHand []string) {
	for _, s := range h.State.Stacks {
		switch n := count(s.Services); {
		case s.Verdict == agentapi.VerdictLost || s.Stopped:
		case n.down > 0:
			down = append(down, h.Host+"/"+s.Name)
		case n.byHand > 0:
			byHand = append(byHand, h.Host+"/"+s.Name)
		}
	}
	for _, own := range h.State.Projects {
		if count(own.Services).down > 0 {
			down = append(down, h.Host+"/"+own.Name)
		}
	}
	return down, byHand
}

// called returns how a stack is shown: with what it is called since it was renamed.
func called(f *fleet.Fleet) func(stack string) string {
	return func(stack string) string {
		if st, _ := f.Stack(stack); st.Called != "" {
			return st.Called + " (" + stack + ")"
		}
		return stack
	}
}

// printStatus writes a table of stacks for each host, with what is wrong below it.
func printStatus(p *terminal.Page, all []deploy.HostStatus, called func(stack string) string, now time.Time) {
	for i, h := range all {
		if i > 0 {
			p.Printf("\n")
		}
		if h.Error != "" {
			printSilent(p, h, called, now)
			continue
		}
		p.Printf("%s\n", terminal.Paint(terminal.Strong, h.Host))
		if len(h.State.Stacks) == 0 {
			p.Printf("  no stacks\n")
		} else {
			rows := []terminal.Row{heading("STACK", "SERVICES", "NEWEST SNAPSHOT", "NEXT")}
			for _, s := range h.State.Stacks {
				rows = append(rows, terminal.Row{called(s.Name), servicesUp(s), newest(s, now), nextSnapshot(s, now)})
			}
			p.Table("  ", rows...)
		}
		for _, own := range h.State.Projects {
			p.Table("  ", terminal.Row{own.Name, up(own.Services), "the host's own"})
		}
		for _, s := range h.State.Stacks {
			printRemarks(p, s, now)
		}
		printFindings(p, h.State.Findings)
	}
}

// printRemarks writes what a stack's row has no room for.
func printRemarks(p *terminal.Page, s agentapi.StackState, now time.Time) {
	for _, row := range s.Services {
		if row.ByHand {
			p.Printf("  %s: %s is stopped by hand: salvor start %s %s\n", s.Name, row.Name, s.Name, row.Name)
		}
	}
	if len(s.Volumes) == 0 && len(s.Outside) > 0 {
		p.Printf("  %s: no snapshot has its data, which is kept outside: %s\n", s.Name, strings.Join(s.Outside, ", "))
	}
	if s.SnapshotUnknown != "" {
		p.Printf("  %s: its newest snapshot is not known: %s\n", s.Name, s.SnapshotUnknown)
	}
	if len(s.Targets) > 1 && !s.Stopped && s.Verdict != agentapi.VerdictLost {
		p.Printf("  %s: its data is %s\n", s.Name, onTargets(s.Targets, now))
	}
	if s.Shared != nil {
		p.Printf("  %s: %s\n", s.Name, sharedFiles(*s.Shared, now))
	}
}

// onTargets says how old the data is that could be restored from each target now.
func onTargets(all []agentapi.TargetState, now time.Time) string {
	var words []string
	for _, t := range all {
		text := "not on " + t.Name + " yet"
		if oldest, of := t.Oldest(); !oldest.IsZero() {
			text = "on " + t.Name + " " + age(now.Sub(oldest)) + " old"
			if of != "" {
				text += " (that" + of + ")"
			}
		}
		if t.Silent {
			text += " when that last answered"
		}
		words = append(words, text)
	}
	return strings.Join(words, ", ")
}

// sharedFiles says what of a stack's shared volumes is not on the remote yet.
func sharedFiles(s agentapi.SharedState, now time.Time) string {
	text := fmt.Sprintf("%s on %s, not in snapshots (Google Drive keeps deleted files 30 days)", strings.Join(s.Volumes, ", "), s.Remote)
	if s.Files == 0 {
		return text + ": everything is there"
	}
	return text + fmt.Sprintf(": %d files, %.1f MiB, are not there yet, the oldest since %s", s.Files, float64(s.Bytes)/(1<<20), age(now.Sub(s.Oldest)))
}

// printSilent writes what is known of a host that does not answer, and what to do.
func printSilent(p *terminal.Page, h deploy.HostStatus, called func(string) string, now time.Time) {
	p.Printf("%s %s\n", terminal.Paint(terminal.Strong, h.Host), terminal.Paint(terminal.Bad, "does not answer"))
	p.Table("  ", terminal.Row{h.Error})
	rows := []terminal.Row{heading("STACK", "SERVICES", "NEWEST SNAPSHOT")}
	for _, name := range h.Placed {
		rows = append(rows, terminal.Row{called(name), "unknown", lastKnown(h.Newest[name], now)})
	}
	if len(rows) > 1 {
		p.Table("  ", rows...)
	}
	if h.Hint != "" {
		p.Printf("  fix: %s\n", h.Hint)
	}
}

func heading(names ...string) terminal.Row {
	var row terminal.Row
	for _, name := range names {
		row = append(row, terminal.Paint(terminal.Faint, name))
	}
	return row
}

func lastKnown(s deploy.LastSnapshot, now time.Time) string {
	switch {
	case s.At.IsZero():
		return "unknown"
	case s.From == "":
		return age(now.Sub(s.At)) + " old or newer, by salvor.lock"
	}
	return age(now.Sub(s.At)) + " old"
}

// A tally counts a stack's services: those that run, those that ran once to a good end,
// those that someone stopped, and those that ought to run and don't.
type tally struct{ up, done, byHand, down int }

// count counts the services of a stack. A snapshot may hold one still for a moment.
func count(services []agentapi.ServiceRow) (n tally) {
	for _, row := range services {
		switch {
		case row.Done:
			n.done++
		case row.ByHand:
			n.byHand++
		case (row.State == "running" || row.State == "paused") && row.Health != "unhealthy":
			n.up++
		default:
			n.down++
		}
	}
	return n
}

func servicesUp(s agentapi.StackState) terminal.Painted {
	switch {
	case s.Verdict == agentapi.VerdictLost:
		return terminal.Paint(terminal.Faint, "another host has it")
	case s.Stopped:
		return terminal.Paint(terminal.Faint, "stopped")
	}
	return up(s.Services)
}

// up says how many of some services run.
func up(services []agentapi.ServiceRow) terminal.Painted {
	n := count(services)
	if len(services) == 0 {
		return terminal.Paint(terminal.Bad, "nothing runs")
	}
	text, style := fmt.Sprintf("%d of %d up", n.up, n.up+n.down+n.byHand), terminal.Good
	if n.done > 0 {
		text += fmt.Sprintf(", %d done", n.done)
	}
	if n.byHand > 0 {
		style = terminal.Notice
	}
	if n.down > 0 {
		style = terminal.Bad
	}
	return terminal.Paint(style, text)
}

// newest says how old the stack's newest snapshot on the remote is.
func newest(s agentapi.StackState, now time.Time) string {
	switch {
	case s.Snapshot != nil:
		return age(now.Sub(s.Snapshot.Began)) + " old"
	case len(s.Volumes) == 0 && (len(s.Outside) > 0 || s.Shared != nil):
		return "data is outside"
	case len(s.Volumes) == 0:
		return "no data to keep"
	case s.SnapshotUnknown != "":
		return "unknown"
	}
	return "none"
}

// nextSnapshot says when a stack's next snapshot is due, and why so rarely where that is
// not what fleet.yaml asks for.
func nextSnapshot(s agentapi.StackState, now time.Time) string {
	if s.Schedule == nil {
		return "-"
	}
	text := "now"
	if left := s.Schedule.Next.Sub(now); left > 0 {
		text = "in " + age(left)
	}
	switch volumes := s.Schedule.Pausing; {
	case s.Schedule.Owed:
		text += ", since a restore waits for it"
	case len(volumes) > 0:
		text += fmt.Sprintf(", every %s: it is paused for %s", terminal.Rough(s.Schedule.Every), strings.Join(volumes, ", "))
	}
	return text
}

// age is a duration in minutes, hours and days, or in seconds below a minute.
func age(d time.Duration) string {
	if d >= time.Minute && d < time.Hour {
		return terminal.Rough(d.Truncate(time.Minute))
	}
	return terminal.Duration(d)
}
