package record

import "fmt"

// Local is what a host itself knows of a stack.
type Local struct {
	Host  string
	Key   string // the recipient of the host's own identity, "" when it can't be read
	Epoch int    // at which the stack last ran here, 0 for never
	Lost  bool   // the host knows that it lost the stack
}

// is reports whether a host that Git or a claim names is this one. A host is its
// key; names decide only where a key is not known.
func (l Local) is(host, key string) bool {
	if l.Key == "" || key == "" {
		return host == l.Host
	}
	return key == l.Key
}

// nameOf names another host, also one that has this host's name.
func (l Local) nameOf(host string) string {
	switch host {
	case "":
		return "no host"
	case l.Host:
		return "another machine called " + host
	}
	return host
}

// InGit is the stack's placement in the newest commit that could be reached.
// Epoch 0 in a reached repository means that the stack is not placed.
type InGit struct {
	Reached bool
	Host    string
	Key     string // the recipient that Git has for Host, "" when it has none
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
	Epoch     int  // the highest that Git or a claim has, 0 where neither was heard
	Ended     bool // it is lost since its placement ended: no host has it
	Unclaimed bool // it is lost by its placement, and by the claims, which were read, no other host has it yet
	Reason    string
	Claim     string // what is wrong with the claim of this host's placement, "" for nothing
	Off       string // the claim that decides, where its commit is not on the branch; "" for nothing
	Ignored   []Ignored
}

// Decide is the fencing rule. The highest claim decides. Git decides where the
// record has nothing to say, does not answer, or is behind: a stack that Git
// places elsewhere at a higher epoch than any claim is lost, and one that it
// places here waits for its claim, unless it ran here at that epoch already. With
// neither in reach a host starts what it ran before.
func Decide(local Local, git InGit, record OnRecord) Verdict {
	v := decide(local, git, record)
	v.Claim, v.Epoch = claimProblem(local, git, record), max(git.Epoch, record.Ruling.Epoch)
	if r := record.Ruling; record.Reached && r.Off && r.Epoch >= git.Epoch {
		v.Off = fmt.Sprintf("%s claimed epoch %d from commit %.7s, which is not on the branch", local.nameOf(r.Owner), r.Epoch, r.Commit)
	}
	return v
}

func decide(local Local, git InGit, record OnRecord) Verdict {
	r := record.Ruling
	claimed := record.Reached && r.Epoch > 0
	switch {
	case !git.Reached && !record.Reached:
		v := local.undecided(local.unreachable())
		v.Unfenced = v.MayStart
		return v
	case git.Reached && git.Epoch > 0 && git.Epoch >= r.Epoch && git.Host == local.Host && !local.is(git.Host, git.Key):
		return Verdict{State: Lost, Reason: "another machine has the name " + local.Host + " in Git"}
	case claimed && git.Reached && git.Epoch > r.Epoch:
		return unclaimed(local, git)
	case claimed:
		return byClaim(local, git, r)
	case git.Reached:
		return byPlacement(local, git, record.Reached)
	default:
		v := local.undecided("the stack has no claim and Git does not answer")
		v.Unfenced = v.MayStart
		return v
	}
}

// unreachable is why neither Git nor the record was heard. What opens the record
// remote is sealed to the host's identity.
func (l Local) unreachable() string {
	if l.Key == "" {
		return "this host's identity can't be read, so the record remote can't be read, and Git does not answer"
	}
	return "neither Git nor the record remote answers"
}

func byClaim(local Local, git InGit, r Ruling) Verdict {
	mine := local.is(r.Owner, r.Key)
	confirmed := git.Reached && git.Epoch == r.Epoch && local.is(git.Host, git.Key)
	switch {
	case r.Epoch < local.Epoch:
		return local.undecided(fmt.Sprintf("epoch %d ran here, but the highest visible epoch is %d", local.Epoch, r.Epoch))
	case mine && local.Lost && r.Epoch == local.Epoch && !confirmed:
		return Verdict{State: Lost, Reason: fmt.Sprintf("lost since epoch %d, and the claim of its new host is not visible", r.Epoch)}
	case mine:
		return Verdict{State: Own, MayStart: true, MayChange: true, Reason: fmt.Sprintf("claimed for this host at epoch %d", r.Epoch)}
	}
	if r.Owner == "" && r.Key == "" {
		return Verdict{State: Lost, Ended: true, Reason: fmt.Sprintf("its placement ended at epoch %d", r.Epoch)}
	}
	return Verdict{State: Lost, Reason: fmt.Sprintf("%s claimed epoch %d", local.nameOf(r.Owner), r.Epoch)}
}

// unclaimed decides while Git is ahead of the claims: a move is under way, or
// the record lost its newest claims. A move has its old host release the stack
// before Git says anything, so a host that Git does not name has no more right to
// run it.
func unclaimed(local Local, git InGit) Verdict {
	reason := fmt.Sprintf("epoch %d is placed on %s but not claimed", git.Epoch, local.nameOf(git.Host))
	switch {
	case local.Epoch > git.Epoch:
		return local.undecided(fmt.Sprintf("epoch %d ran here, but the highest visible epoch is %d", local.Epoch, git.Epoch))
	case !local.is(git.Host, git.Key):
		return Verdict{State: Lost, Unclaimed: true, Reason: reason}
	case local.Epoch == git.Epoch && !local.Lost:
		return Verdict{State: Own, MayStart: true, MayChange: true, Reason: "it ran here at that epoch already, but the claim is gone"}
	}
	return Verdict{State: Unknown, Reason: fmt.Sprintf("epoch %d is placed here but not claimed", git.Epoch)}
}

// byPlacement decides by Git alone.
func byPlacement(local Local, git InGit, recordReached bool) Verdict {
	silent := "the record remote does not answer"
	if recordReached {
		silent = "the stack has no claim"
	}
	switch {
	case git.Epoch < local.Epoch:
		return local.undecided(fmt.Sprintf("%s, but Git has only epoch %d", silent, git.Epoch))
	case !local.is(git.Host, git.Key):
		return Verdict{State: Lost, Reason: fmt.Sprintf("Git places epoch %d on %s", git.Epoch, local.nameOf(git.Host))}
	case git.Epoch == local.Epoch && !local.Lost:
		return Verdict{State: Own, MayStart: true, MayChange: true, Reason: fmt.Sprintf("Git places epoch %d here; %s", git.Epoch, silent)}
	}
	return Verdict{State: Unknown, Reason: fmt.Sprintf("Git places epoch %d here, but %s", git.Epoch, silent)}
}

// claimProblem says what is wrong with the claim of a placement on this host.
func claimProblem(local Local, git InGit, record OnRecord) string {
	r := record.Ruling
	here := git.Reached && git.Epoch > 0 && local.is(git.Host, git.Key)
	switch {
	case !record.Reached || local.Lost && !here:
		return ""
	case here && r.Epoch < git.Epoch:
		return fmt.Sprintf("the claim of epoch %d is not on the record remote", git.Epoch)
	case !git.Reached && r.Epoch < local.Epoch:
		return fmt.Sprintf("the claim of epoch %d is not on the record remote", local.Epoch)
	}
	return ""
}

// undecided keeps what was: a stack that ran here and was not lost may start.
func (l Local) undecided(reason string) Verdict {
	if l.Lost {
		return Verdict{State: Lost, Reason: reason + ", and the stack was lost before"}
	}
	return Verdict{State: Unknown, MayStart: l.Epoch > 0, Reason: reason}
}
