package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/app"
	"salvor/internal/project"
	"salvor/internal/rollback"
	"salvor/internal/terminal"
)

// A deployRow is what a stack is, or was.
type deployRow struct {
	Commit string            `json:"commit"`
	At     time.Time         `json:"at"`
	By     string            `json:"by"`               // the author of the commit
	Now    bool              `json:"now,omitempty"`    // it runs
	Failed string            `json:"failed,omitempty"` // why it does not, where it is declared
	Images map[string]string `json:"images,omitempty"`
}

// running is what a stack's host says of it, nil where it can't be asked.
func running(ctx context.Context, g *globals, a *app.App, stack string) *agentapi.StackServices {
	s, err := a.Session(ctx, g.progress())
	if err != nil {
		return nil
	}
	all, err := s.Services(ctx, stack)
	g.progress().Close()
	if err != nil || len(all) != 1 || len(all[0].Stacks) != 1 {
		return nil
	}
	return &all[0].Stacks[0]
}

// deployRows are the present state of a stack and its earlier deploys, newest first. The
// present one does not run where it did not become healthy: then one before it does.
func deployRows(now rollback.Deploy, earlier []rollback.Deploy, running *agentapi.StackServices) []deployRow {
	rows := []deployRow{{Commit: string(now.Commit), At: now.At, By: now.By, Now: true, Images: now.Images}}
	for _, d := range earlier {
		rows = append(rows, deployRow{Commit: string(d.Commit), At: d.At, By: d.By, Images: d.Images})
	}
	if running == nil || running.Failed == nil {
		return rows
	}
	rows[0].Now, rows[0].Failed = false, running.Failed.Why
	if i := slices.IndexFunc(rows[1:], func(r deployRow) bool { return runs(r.Images, running.Services) }); i >= 0 {
		rows[i+1].Now = true
	}
	return rows
}

// runs reports whether services run images of a deploy, and no others.
func runs(images map[string]string, services []agentapi.ServiceRow) bool {
	known := 0
	for _, row := range services {
		ref, has := images[row.Name]
		if has && project.Digest(ref) != project.Digest(row.Image) {
			return false
		}
		if has {
			known++
		}
	}
	return known > 0
}

func (g *globals) printDeploys(rows []deployRow) error {
	if g.json {
		return g.printJSON(struct {
			Schema  int         `json:"schema"`
			Deploys []deployRow `json:"deploys"`
		}{1, rows})
	}
	tab := tabwriter.NewWriter(g.Out, 0, 0, 3, ' ', 0)
	terminal.Printf(tab, "COMMIT\tTIME\tBY\tIMAGES\n")
	for _, r := range rows {
		at := r.At.Format(time.DateTime)
		switch {
		case r.Failed != "":
			at += " (did not start)"
		case r.Now:
			at += " (now)"
		}
		terminal.Printf(tab, "%.7s\t%s\t%s\t%s\n", r.Commit, at, r.By, strings.Join(shortImages(r.Images), ", "))
	}
	return tab.Flush()
}

// shortImages is "service repository:tag@digest", with the digest's beginning.
func shortImages(images map[string]string) []string {
	var all []string
	for _, service := range slices.Sorted(maps.Keys(images)) {
		digest := strings.TrimPrefix(project.Digest(images[service]), "sha256:")
		all = append(all, fmt.Sprintf("%s %s@%.8s", service, project.Tagged(images[service]), digest))
	}
	return all
}
