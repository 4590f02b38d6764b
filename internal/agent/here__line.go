package agent

import (
	"salvor/internal/agentapi"
)

// origin returns the repository that names the stack's data: the one that the
// first target's began with.
func origin(st agentapi.Stack) string {
	if len(st.Targets) == 0 {
		return ""
	}
	return st.Targets[0].Origin()
}
