package record

import "fmt"

// Local is what a host knows of a stack by itself.
type Local struct {
	Host  string
	Epoch int  // at which the stack last ran here, 0 for never
	Lost  bool // the host knows that it lost the stack
}

// InGit is the stack's placement in the newest commit that could be reached.
// Epoch 0 in a reached repository means that the stack is not placed.
type InGit struct {
	Reached bool
	Host    string
	Epoch   int
}

// OnRecord is the ruling by the claims, when the record could be reached.
type OnRecord struct {
	Reached bool
	Ruling  Ruling
}

// State says whether a host owns a stack.
type State string

// The states.
const (
	Own     State = "own"
	Lost    State = "lost"
	Unknown State = "unknown"
)

// A Verdict says what a host may do with a stack. Lost means: stop, keep the
// data, at most one snapshot tagged diverged. An Unknown stack that may start is
// run for availability's sake; where Unfenced is set that is worth the finding
// unfenced-start.
type Verdict struct {
	State     State
	MayStart  bool
	MayChange bool // anything outside the host: snapshots, prune, DNS
	Unfenced  bool
	Reason    string
}

// Decide is the fencing rule. The highest claim decides; Git decides where the
// record has nothing to say or does not answer; a placement that nobody claimed
// yet leaves the stack with the host that holds the claim, but frozen. With
// neither in reach a host starts what it ran before.
func Decide(local Local, git InGit, record OnRecord) Verdict {
	claimed := record.Reached && record.Ruling.Epoch > 0
	switch {
	case !git.Reached && !record.Reached:
		v := local.undecided("neither Git nor the record remote answers")
		v.Unfenced = v.MayStart
		return v
	case claimed && git.Reached && git.Epoch > record.Ruling.Epoch:
		return unclaimed(local, git, record.Ruling)
	case claimed:
		return byClaim(local, record.Ruling)
	case git.Reached:
		return byPlacement(local, git, record.Reached)
	default:
		v := local.undecided("nobody claimed the stack and Git does not answer")
		v.Unfenced = v.MayStart
		return v
	}
}

func byClaim(local Local, r Ruling) Verdict {
	switch {
	case r.Epoch < local.Epoch:
		return local.undecided(fmt.Sprintf("epoch %d ran here, but the highest that can be seen is %d", local.Epoch, r.Epoch))
	case r.Owner == "":
		return Verdict{State: Lost, Reason: r.Reason}
	case r.Owner == local.Host:
		return Verdict{State: Own, MayStart: true, MayChange: true, Reason: fmt.Sprintf("claimed for this host at epoch %d", r.Epoch)}
	}
	return Verdict{State: Lost, Reason: fmt.Sprintf("%s claimed epoch %d", r.Owner, r.Epoch)}
}

// unclaimed decides while Git is ahead of the claims: a move is under way, or
// the record lost its newest claims.
func unclaimed(local Local, git InGit, r Ruling) Verdict {
	reason := fmt.Sprintf("epoch %d is placed on %s but not claimed", git.Epoch, git.Host)
	switch {
	case local.Epoch > git.Epoch:
		return local.undecided(fmt.Sprintf("epoch %d ran here, but the highest that can be seen is %d", local.Epoch, git.Epoch))
	case git.Host == local.Host && local.Epoch == git.Epoch && !local.Lost:
		return Verdict{State: Own, MayStart: true, MayChange: true, Reason: "it ran here at that epoch already, and the claim is gone"}
	case git.Host == local.Host:
		return Verdict{State: Unknown, Reason: reason}
	case r.Owner == local.Host && !local.Lost && local.Epoch == r.Epoch:
		return Verdict{State: Unknown, MayStart: true, Reason: reason}
	}
	return Verdict{State: Lost, Reason: reason}
}

// byPlacement decides by Git alone.
func byPlacement(local Local, git InGit, recordReached bool) Verdict {
	silent := "the record remote does not answer"
	if recordReached {
		silent = "nobody claimed the stack"
	}
	switch {
	case git.Epoch < local.Epoch:
		return local.undecided(fmt.Sprintf("%s, and Git knows only epoch %d", silent, git.Epoch))
	case git.Host != local.Host:
		return Verdict{State: Lost, Reason: fmt.Sprintf("Git places epoch %d on %s", git.Epoch, orNobody(git.Host))}
	case git.Epoch == local.Epoch && !local.Lost:
		return Verdict{State: Own, MayStart: true, MayChange: true, Reason: fmt.Sprintf("Git places epoch %d here; %s", git.Epoch, silent)}
	}
	return Verdict{State: Unknown, Reason: fmt.Sprintf("Git places epoch %d here, but %s", git.Epoch, silent)}
}

// undecided keeps what was: a stack that ran here and was not lost may start.
func (l Local) undecided(reason string) Verdict {
	if l.Lost {
		return Verdict{State: Lost, Reason: reason + ", and the stack was lost before"}
	}
	return Verdict{State: Unknown, MayStart: l.Epoch > 0, Reason: reason}
}

func orNobody(host string) string {
	if host == "" {
		return "no host"
	}
	return host
}
