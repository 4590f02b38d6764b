package check

import (
	"fmt"

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
		for _, one := range c.stacks[st.Name].Containers {
			who := st.Name + "/" + one.Service
			before, taken := first[st.Host+"/"+one.Name]
			if !taken {
				first[st.Host+"/"+one.Name] = who
				continue
			}
			found = append(found, finding.Finding{
				Code: finding.ContainerTaken, Severity: finding.Warning, Subject: one.Position,
				Text: fmt.Sprintf("%s and %s both have container_name: %s on %s", before, who, one.Name, st.Host),
				Fix:  "remove the container_name of one of them",
			})
		}
	}
	return found
}
