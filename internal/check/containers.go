package check

import (
	"fmt"
	"maps"
	"slices"

	"salvor/internal/finding"
)

// containersTaken returns a finding for each container_name that two stacks of one host
// have: the second to start fails.
func (c commit) containersTaken() []finding.Finding {
	first := map[string]string{} // host and name to the stack and service that has it
	var found []finding.Finding
	for _, st := range c.repo.Fleet.Stacks {
		if !c.starts(st) {
			continue
		}
		containers := c.stacks[st.Name].Containers
		for _, name := range slices.Sorted(maps.Keys(containers)) {
			who := st.Name + "/" + containers[name]
			before, taken := first[st.Host+"/"+name]
			if !taken {
				first[st.Host+"/"+name] = who
				continue
			}
			found = append(found, finding.Finding{
				Code: finding.ContainerTaken, Severity: finding.Warning, Subject: st.Host + "/" + st.Name,
				Text: fmt.Sprintf("%s and %s both have container_name: %s on %s", before, who, name, st.Host),
				Fix:  "remove the container_name of one of them",
			})
		}
	}
	return found
}
