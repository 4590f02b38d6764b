package agent

import (
	"salvor/internal/agentapi"
	"salvor/internal/snapshot"
)

// lockedMarks are the marks that salvor.lock has of a stack's repositories.
func lockedMarks(st agentapi.Stack) map[string]snapshot.Mark {
	marks := map[string]snapshot.Mark{}
	for id, p := range st.Proven {
		if p.Epoch <= st.Epoch {
			marks[id] = snapshot.Mark{Epoch: p.Epoch, Seq: p.Seq, Repository: id, ID: p.ID}
		}
	}
	return marks
}
