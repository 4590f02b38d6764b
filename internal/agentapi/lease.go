package agentapi

import "time"

// A Lease says how long a host may run a stack on its last look at who owns it. A
// host that reaches Git or the record remote has stopped what it lost when Length
// has passed since the claim was visible, or since it could reach one of them again.
type Lease struct {
	Every   time.Duration // from one look to the next
	Metered time.Duration // the same where the record remote counts calls, and has answered; 0 for no difference
	Within  time.Duration // what a look may take
	Grace   time.Duration // what the containers of a lost stack get to end
	Git     time.Duration // Git is asked at least so often, also while the record remote answers
}

// DefaultLease is what hosts keep to.
func DefaultLease() Lease {
	return Lease{Every: 6 * time.Second, Metered: 45 * time.Second, Within: 8 * time.Second, Grace: 5 * time.Second, Git: time.Minute}
}

// On returns the lease of a host whose record remote counts calls, or does not.
func (l Lease) On(metered bool) Lease {
	if metered && l.Metered > 0 {
		l.Every = l.Metered
	}
	return l
}

// Length is how long a host that takes a stack over waits for one that can't be
// asked to stop it.
func (l Lease) Length() time.Duration { return l.Every + l.Within + l.Grace + time.Second }
