package hostlink

import (
	"fmt"
	"time"

	"salvor/internal/finding"
)

// clocksDiffer is how far two clocks that something keeps may be apart, with the time that an
// answer takes.
const clocksDiffer = 5 * time.Minute

// WrongClock says that a host's clock and that of this computer differ, from the time that the
// host put into its answer and the time at which that arrived; nothing for a zero time, of a
// salvord that tells none. No snapshot is lost by a wrong clock, since newer is decided by
// numbers; but ages and goals are wrong, and so are certificates.
func WrongClock(host string, there, now time.Time) []finding.Finding {
	off, way := there.Sub(now), "ahead of"
	if off < 0 {
		off, way = -off, "behind"
	}
	if there.IsZero() || off < clocksDiffer {
		return nil
	}
	return []finding.Finding{{
		Code: finding.ClockWrong, Severity: finding.Warning, Subject: host,
		Text: fmt.Sprintf("its clock is %s %s this computer's: the ages of snapshots are wrong", off.Round(time.Second), way),
		Fix:  "timedatectl on " + host + " and on this computer shows which of the two is wrong, and what sets it",
	}}
}
