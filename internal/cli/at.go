package cli

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"salvor/internal/yamldoc"
)

// A pointInTime is the value of a flag that is a time by the operator's clock, or how long
// ago it was.
type pointInTime struct {
	time.Time
	typed string
}

var _ pflag.Value = (*pointInTime)(nil)

// Set implements pflag.Value.
func (p *pointInTime) Set(text string) (err error) {
	p.typed = text
	p.Time, err = parseTime(text, time.Now())
	return err
}

// String is the time as it was written.
func (p *pointInTime) String() string { return p.typed }

// Type implements pflag.Value.
func (p *pointInTime) Type() string { return "time" }

// parseTime reads 2026-11-23 08:00 in the zone of the clock, also with seconds or a T, or as
// RFC 3339 with a zone of its own; 08:00 of the same day; a date, which is its end; or a
// duration, which is so long ago.
func parseTime(text string, now time.Time) (time.Time, error) {
	if ago, err := yamldoc.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		return t.AddDate(0, 0, 1).Add(-time.Nanosecond), nil
	}
	if t, err := time.ParseInLocation("15:04", text, now.Location()); err == nil {
		return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, now.Location()), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a time, such as %q or 2026-11-23, nor how long ago it was, such as 2h or 3d", text, "2026-11-23 08:00")
}

const atUsage = "the newest snapshot at or before this `TIME` of your time zone, such as \"2026-11-23 08:00\", 2026-11-23 (its end), 08:00 (today) or 2h (ago)"
