package agent

// A keeper keeps the data of the host's stacks.
type keeper struct {
	*base
	who *ownership
}

func newKeeper(h *base) *keeper { return &keeper{base: h, who: h.ownership(askWithin)} }
