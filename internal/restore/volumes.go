package restore

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/suggest"
	"salvor/internal/terminal"
)

// protected returns the stack's volumes of these names, sorted, each of which snapshots have.
func protected(s *deploy.Session, stack string, asked []string) ([]project.Volume, error) {
	var volumes []project.Volume
	for _, name := range asked {
		v, err := volume(stack, s.Stacks[stack].Volumes, name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(volumes, func(o project.Volume) bool { return o.Name == v.Name }) {
			volumes = append(volumes, v)
		}
	}
	slices.SortFunc(volumes, func(a, b project.Volume) int { return strings.Compare(a.Name, b.Name) })
	return volumes, nil
}

func volume(stack string, all []project.Volume, name string) (project.Volume, error) {
	var known []string
	for _, v := range all {
		if v.Name == name || project.AsWritten(v.Name) == name {
			if v.Protect != fleet.Snapshot {
				return v, fault.WithCode(fault.WithHint(fmt.Errorf("volume %s of %s is in no snapshot: protect: %s", name, stack, v.Protect), "salvor snapshot ls "+stack+" latest: shows the volumes that are"), fault.Usage)
			}
			return v, nil
		}
		if v.Protect == fleet.Snapshot {
			known = append(known, project.AsWritten(v.Name))
		}
	}
	slices.Sort(known)
	hint := "it has " + strings.Join(known, ", ")
	if len(known) == 0 {
		hint = "none of its volumes is in snapshots"
	}
	return project.Volume{}, fault.WithCode(fault.WithHint(fmt.Errorf("stack %s has no volume %s%s", stack, name, suggest.DidYouMean(name, known)), hint), fault.Usage)
}

func names(volumes []project.Volume) []string {
	var all []string
	for _, v := range volumes {
		all = append(all, v.Name)
	}
	return all
}

// holds refuses a snapshot that does not have one of the volumes, under its name or the one
// before.
func holds(stack string, s agentapi.SnapshotRow, volumes []project.Volume) error {
	for _, v := range volumes {
		if !slices.Contains(s.Volumes, v.Name) && (v.Formerly == "" || !slices.Contains(s.Volumes, v.Formerly)) {
			return fault.WithHint(fmt.Errorf("snapshot %.8s of %s does not have volume %s: it has %s", s.ID, stack, project.AsWritten(v.Name), strings.Join(s.Volumes, ", ")),
				"salvor snapshot ls "+stack)
		}
	}
	return nil
}

// partly asks whether some volumes may go back to a snapshot. It says which images ran then
// and are others now: these stay, and may not be able to read what comes back.
func partly(stack string, s agentapi.SnapshotRow, volumes []project.Volume, images map[string]string) string {
	var written []string
	for _, v := range volumes {
		written = append(written, project.AsWritten(v.Name))
	}
	asked := fmt.Sprintf("Restore %s of %s to snapshot %.8s: %s old.\nThis replaces what was written to it since then; a snapshot of that is taken first. The other volumes stay as they are.",
		strings.Join(written, ", "), stack, s.ID, terminal.Duration(time.Since(s.Began)))
	var others []string
	for _, service := range slices.Sorted(maps.Keys(s.Images)) {
		now, there := images[service]
		uses := slices.ContainsFunc(volumes, func(v project.Volume) bool { return slices.Contains(v.Services, service) })
		if there && uses && now != s.Images[service] {
			others = append(others, service)
		}
	}
	if len(others) > 0 {
		asked += "\nThe images stay, too; at that time another one ran of " + strings.Join(others, ", ") + "."
	}
	return asked
}
