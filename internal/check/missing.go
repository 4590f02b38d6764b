package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// onlyDeployed are the findings about what a fleet may lack until it deploys: a fresh
// one has no remote yet, and its first commit is none the worse for that.
var onlyDeployed = []finding.Code{finding.TargetMissing, finding.RecordMissing, finding.NetworkMissing}

// BeforeCommit are findings as they count for files that are not committed yet: what only
// a deploy needs is a warning there, and what many stacks lack is said once. It stops the
// plan of the commit.
func BeforeCommit(found []finding.Finding) []finding.Finding {
	var all, targets []finding.Finding
	for _, f := range found {
		if slices.Contains(onlyDeployed, f.Code) && f.Severity == finding.Fatal {
			f.Severity, f.Stack = finding.Warning, ""
		}
		if f.Code == finding.TargetMissing {
			targets = append(targets, f)
		} else {
			all = append(all, f)
		}
	}
	if len(targets) > 1 {
		targets = []finding.Finding{unprotected(targets)}
	}
	return append(all, targets...)
}

// unprotected is the finding about all stacks whose data would get no snapshots.
func unprotected(each []finding.Finding) finding.Finding {
	const shown = 3
	var stacks []string
	for _, f := range each {
		stacks = append(stacks, path.Base(path.Dir(f.Subject)))
	}
	names := strings.Join(stacks[:min(len(stacks), shown)], ", ")
	if len(stacks) > shown {
		names += fmt.Sprintf(" and %d more", len(stacks)-shown)
	}
	f := each[0]
	f.Subject, f.Text = fleet.File, fmt.Sprintf("there is no snapshot target, but data of %d stacks needs snapshots: %s", len(stacks), names)
	return f
}

// Unprotected is the finding about a stack to deploy whose data would get no
// snapshots, since the fleet declares no target for them. Its host would refuse
// to start it, after the placement was committed.
func Unprotected(f *fleet.Fleet, st fleet.Stack, volumes []project.Volume) []finding.Finding {
	var names []string
	for _, v := range volumes {
		if v.Protect == fleet.Snapshot {
			names = append(names, v.Source)
		}
	}
	if st.Host == "" || len(names) == 0 || len(f.Snapshots) > 0 {
		return nil
	}
	slices.Sort(names)
	return []finding.Finding{{
		Code: finding.TargetMissing, Severity: finding.Fatal, Subject: st.Dir + "/" + st.File, Stack: st.Name,
		Text: fmt.Sprintf("there is no snapshot target, but %s of %s needs snapshots", strings.Join(names, ", "), st.Name),
		Fix: "declare data.snapshots in fleet.yaml, with the remote that it names; or set protect: none under " +
			"x-salvor.volumes for each volume that may be lost",
	}}
}

// unrecorded is the finding about a fleet with stacks to deploy and no remote for
// its record: nothing could say, when a host is lost, whose a stack is.
func (c commit) unrecorded() []finding.Finding {
	deployed := slices.ContainsFunc(c.repo.Fleet.Stacks, func(st fleet.Stack) bool { return st.Host != "" && !st.Broken })
	if !deployed || c.repo.Fleet.Record.Remote != "" {
		return nil
	}
	return []finding.Finding{{
		Code: finding.RecordMissing, Severity: finding.Fatal, Subject: "fleet.yaml",
		Text: "the fleet has no remote, and needs one for its record, which says on which host each stack runs",
		Fix:  "declare a remote under remotes: in fleet.yaml; docs/snapshots.md shows what each type of remote needs",
	}}
}
