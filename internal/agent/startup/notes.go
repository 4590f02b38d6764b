package startup

import (
	"salvor/internal/agent/here"
	"salvor/internal/finding"
)

// saveNote is saveLocal for a stack that starts in any case: a full disk must not
// keep it down.
func (r *Run) noteStarted(stack string, l here.Local) {
	err := r.SaveLocal(stack, l)
	if err == nil {
		return
	}
	r.Warn(stack, finding.Finding{
		Code: finding.DiskFull, Severity: finding.Warning, Subject: r.Spec.Name + "/" + stack,
		Text: "what runs here could not be noted: " + err.Error(), Fix: "make room on " + r.Spec.Name + ", then salvor apply",
	})
}
