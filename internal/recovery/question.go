package recovery

import (
	"fmt"
	"strings"

	"salvor/internal/terminal"
)

const acceptedLoss = "If the remote lost the newest snapshot of a stack, the newest one that is left is restored."

// shares says which host takes over what: "beta (blog, notes), gamma (wiki)".
func (r *recovery) shares() string {
	var all []string
	for _, p := range r.parts {
		all = append(all, fmt.Sprintf("%s (%s)", p.host.Name, strings.Join(p.stacks, ", ")))
	}
	return strings.Join(all, ", ")
}

// question is what the operator confirms; nothing where a recovery that was
// interrupted continues.
func (r *recovery) question() (question, name string, loses []string) {
	if len(r.moves) == 0 && !r.resumed() {
		return fmt.Sprintf("Have %s serve the routes of %s?", r.heir, r.Lost), "", nil
	}
	if r.resumed() {
		if !r.AcceptLoss {
			return "", "", nil
		}
		return fmt.Sprintf("Finish the recovery of %s on %s? %s", r.Lost, strings.Join(r.hosts(), ", "), acceptedLoss), r.Lost, []string{acceptedLoss}
	}
	from := "from their newest snapshots"
	if r.From != "" {
		from += " on target " + r.From + ", whatever the others have"
	}
	question = fmt.Sprintf("Recover %s of %s on %s, %s?", terminal.Count(len(r.stacks), "stack"), r.Lost, r.shares(), from)
	if !r.AcceptLoss {
		return question, "", nil
	}
	loss := "Data that " + r.Lost + " wrote since then is lost."
	return question + "\n" + loss + " " + acceptedLoss, r.Lost, []string{loss, acceptedLoss}
}

// asked are the stacks whose failure fails the recovery: none names all, since every
// stack of the new host may be meant when it was interrupted.
func (r *recovery) asked() []string {
	if r.resumed() {
		return nil
	}
	return r.stacks
}
