package cli

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"salvor/internal/agentapi"
	"salvor/internal/app"
	"salvor/internal/cli/render"
	"salvor/internal/deploy"
	"salvor/internal/project"
	"salvor/internal/terminal"
)

// printDiffs prints how the projects of a plan's stacks change, from the commit that each
// was deployed from to this one.
func printDiffs(ctx context.Context, page *terminal.Page, a *app.App, p *deploy.Plan) error {
	then := map[string]map[string]project.Rendered{} // by commit
	for _, h := range p.Hosts {
		for _, stack := range changed(h) {
			now, renders := a.Needs.Rendered()[stack]
			if !renders {
				continue // it is removed, or left as it runs
			}
			commit := h.Deployed[stack]
			if _, known := then[commit]; !known && commit != "" {
				stacks, err := a.StacksAt(ctx, commit)
				if ctx.Err() != nil {
					return err
				}
				if err != nil {
					page.Printf("%s: deployed at %.7s, which can't be shown: %v\n\n", stack, commit, err)
					continue
				}
				then[commit] = stacks
			}
			printDiff(page, stack, then[commit][stack].Project, now.Project)
		}
	}
	return page.Err()
}

// changed returns the stacks that a plan changes on a host, sorted, without those that
// leave it.
func changed(h deploy.HostPlan) []string {
	all := map[string]bool{}
	for _, c := range h.Changes {
		leaves := c.Action == "-" && c.Kind() == agentapi.ChangePlacement
		if c.Stack != "" && !leaves {
			all[c.Stack] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// printDiff prints how one project changes, file by file.
func printDiff(page *terminal.Page, stack string, was, now project.Project) {
	render.Diff(page, stack+"/compose.yaml (resolved)", was.Compose, now.Compose)
	before, after := files(was), files(now)
	for _, name := range slices.Sorted(maps.Keys(merged(before, after))) {
		if path := stack + "/" + name; text(before[name]) && text(after[name]) {
			render.Diff(page, path, before[name], after[name])
		} else if !bytes.Equal(before[name], after[name]) {
			page.Printf("%s differs, and is not text\n", path)
		}
	}
	render.Diff(page, stack+": names of secrets", secretsOf(was), secretsOf(now))
}

func files(p project.Project) map[string][]byte {
	all := map[string][]byte{}
	for _, f := range p.Files {
		all[f.Path] = slices.Concat([]byte{}, f.Data)
	}
	return all
}

func merged(a, b map[string][]byte) map[string][]byte {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// text reports whether content can be shown line by line.
func text(content []byte) bool { return utf8.Valid(content) && !bytes.ContainsRune(content, 0) }

// secretsOf lists the secrets that a project is given, by their names; nil for none.
func secretsOf(p project.Project) []byte {
	lines := slices.Clone(p.Env)
	for _, s := range p.Secrets {
		lines = append(lines, fmt.Sprintf("%s for %s", s.Secret, s.Service))
	}
	slices.Sort(lines)
	if len(lines) == 0 {
		return nil
	}
	return []byte(strings.Join(slices.Compact(lines), "\n") + "\n")
}
