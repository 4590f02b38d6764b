package routecase

import (
	"regexp"
	"slices"
	"strings"
)

// A moment is what was after an event.
type moment struct {
	event   event
	running int  // containers
	waiting bool // a route is within its grace period
	state   State
}

var (
	verbs   = regexp.MustCompile(`start|stop|kill|reconcile|cleanup|rename|create|destroy`)
	over    = regexp.MustCompile(`expired?|expiry|after (the )?grace|ended|removed|gone`)
	inGrace = regexp.MustCompile(`(inside|within|during|before|pending).*`)
	quiet   = regexp.MustCompile(`stop|grace|pending|gone|kill`)
	words   = regexp.MustCompile(`[a-z0-9_-]+`)
)

// matched returns for each checkpoint the moment that it is about. A case says that in
// words ("foo expired"), so it is the assignment in the order of both whose moments fit the
// words best; of two that fit alike, the later one.
func matched(checkpoints []checkpoint, moments []moment) []int {
	if len(checkpoints) == 0 || len(moments) == 0 {
		return nil
	}
	type cell struct{ score, from int }
	table := make([][]cell, len(checkpoints))
	for i, c := range checkpoints {
		table[i] = make([]cell, len(moments))
		best := cell{score: -1 << 10}
		for j, m := range moments {
			before := cell{}
			if i > 0 {
				before = cell{table[i-1][j].score, j}
				if best.score >= before.score { // a moment of its own, if it fits as well
					before = best
				}
				if next := (cell{table[i-1][j].score + 1, j}); next.score >= best.score {
					best = next
				}
			}
			table[i][j] = cell{before.score + fits(c, m), before.from}
		}
	}
	at := make([]int, len(checkpoints))
	last := len(checkpoints) - 1
	for j := range moments {
		if table[last][j].score >= table[last][at[last]].score {
			at[last] = j
		}
	}
	for i := last; i > 0; i-- {
		at[i-1] = table[i][at[i]].from
	}
	return at
}

// fits says how well a moment is what a checkpoint is about.
func fits(c checkpoint, m moment) (score int) {
	if c.At != nil && m.event.At <= *c.At {
		return 1 << 10 // it says when; the later one counts
	}
	text, event := strings.ToLower(c.After), strings.ToLower(m.event.Event)
	said := words.FindAllString(text, -1)
	tick := m.event.Container == nil && !strings.Contains(event, "reconcile")
	inside := inGrace.MatchString(text) && strings.Contains(text, "grace")
	for _, verb := range slices.Compact(verbs.FindAllString(event, -1)) {
		if strings.Contains(text, verb) {
			score += 2
		}
	}
	if m.event.Container != nil && slices.Contains(said, strings.ToLower(*m.event.Container)) {
		score += 2
	}
	for _, hint := range []bool{
		strings.Contains(text, "running") && !m.waiting,
		strings.Contains(text, "both") && m.running > 1,
		over.MatchString(text) && tick,
		strings.Contains(text, "grace") && !inside && tick,
		inside && m.waiting,
	} {
		if hint {
			score += 2
		}
	}
	if m.waiting && !quiet.MatchString(text) {
		score--
	}
	return score
}
