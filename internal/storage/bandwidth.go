package storage

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/rclone/rclone/fs"

	"salvor/internal/fault"
	"salvor/internal/fleet"
)

// Bandwidth is the key of a remote in fleet.yaml that says how much of the line it may use.
const Bandwidth = "bandwidth"

// A Timetable is how much of the line a remote may use, and when: rclone's own, as its flag
// --bwlimit takes it. Without entries nothing is limited.
type Timetable struct{ entries fs.BwTimetable }

// ParseTimetable reads rclone's syntax: "1M", "2M:off" for uploads and downloads,
// "08:00,512k 23:00,off", "Mon-08:00,512k Sat-00:00,off". "" limits nothing.
func ParseTimetable(text string) (Timetable, error) {
	var t Timetable
	if text == "" {
		return t, nil
	}
	if err := t.entries.Set(text); err != nil {
		return Timetable{}, fault.WithHint(fmt.Errorf("%s: %w", Bandwidth, err), `write it as rclone's --bwlimit: "1M" for 1 MiB a second, "08:00,512k 23:00,off", "2M:off" to limit uploads only`)
	}
	if len(t.entries) == 0 {
		return Timetable{}, fault.WithHint(errors.New(Bandwidth+" has no entries"), "remove it, or write a limit: 1M")
	}
	return t, nil
}

// at returns the limits at a time in bytes a second, by direction; 0 for none.
func (t Timetable) at(now time.Time) [2]int64 {
	slot := t.entries.LimitAt(now)
	return [2]int64{up: max(int64(slot.Bandwidth.Tx), 0), down: max(int64(slot.Bandwidth.Rx), 0)}
}

// longestUpload is where Uploading stops to count.
const longestUpload = 365 * 24 * time.Hour

// Uploading returns how long an upload takes that begins at now, at a speed in bytes a second
// where the timetable allows it, 0 for one that is not known; limited reports whether the
// timetable makes it longer. It counts up to a year.
func (t Timetable) Uploading(bytes, speed int64, now time.Time) (took time.Duration, limited bool) {
	line := float64(speed)
	if speed <= 0 {
		line = math.Inf(1)
	}
	for left := float64(bytes); left > 0 && took < longestUpload; {
		rate := line
		if limit := t.at(now.Add(took))[up]; limit > 0 && float64(limit) < line {
			rate, limited = float64(limit), true
		}
		if math.IsInf(rate, 1) {
			break
		}
		step := min(left/rate, time.Minute.Seconds())
		took += time.Duration(step * float64(time.Second))
		left -= rate * step
	}
	return took, limited
}

// CheckBandwidth refuses a timetable that rclone can't read, and one of a crypt remote, as
// an OptionError.
func CheckBandwidth(r fleet.Remote) error {
	_, err := ParseTimetable(r.Bandwidth)
	if err == nil && r.Bandwidth != "" && r.Type == typeCrypt {
		err = fault.WithHint(fmt.Errorf("a crypt remote has the %s of the remote that it wraps", Bandwidth), "set it there")
	}
	if err != nil {
		return &OptionError{Option: Bandwidth, Err: err}
	}
	return nil
}

// TimetableOf returns the timetable by which a declared remote goes: a crypt remote by that of
// the remote that it is on. One that can't be read limits nothing: check refuses it.
func TimetableOf(f *fleet.Fleet, remote string) Timetable {
	all := Remotes{}
	for _, r := range f.Remotes {
		all[r.Name] = Unresolved(r)
	}
	base, _ := f.Remote(all.Base(remote))
	t, _ := ParseTimetable(base.Bandwidth)
	return t
}
