package storage

import (
	"errors"
	"testing"
	"time"

	"salvor/internal/fault"
	"salvor/internal/fleet"
)

// TestTimetables are read as rclone reads them.
func TestTimetables(t *testing.T) {
	t.Parallel()
	at := func(day, hour int) time.Time { return time.Date(2026, 3, 1+day, hour, 30, 0, 0, time.Local) } // 1 March 2026 is a Sunday
	for text, wants := range map[string]map[time.Time][2]int64{
		"":                              {at(0, 0): {0, 0}},
		"off":                           {at(0, 0): {0, 0}},
		"1M":                            {at(0, 0): {1 << 20, 1 << 20}},
		"512":                           {at(0, 0): {512 << 10, 512 << 10}},
		"1M:off":                        {at(0, 0): {1 << 20, 0}},
		"08:00,512k 23:00,off":          {at(0, 3): {0, 0}, at(2, 12): {512 << 10, 512 << 10}, at(2, 23): {0, 0}},
		"Mon-08:00,1M Sat-00:00,2M:off": {at(0, 3): {2 << 20, 0}, at(1, 9): {1 << 20, 1 << 20}, at(6, 0): {2 << 20, 0}},
	} {
		table, err := ParseTimetable(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		for when, want := range wants {
			if got := table.at(when); got != want {
				t.Errorf("%q at %s: %v, want %v", text, when.Format("Mon 15:04"), got, want)
			}
		}
	}
}

// TestBadTimetablesAreRefused, with the key that has them and how to write one.
func TestBadTimetablesAreRefused(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]fleet.Remote{
		"no number":    {Type: "drive", Bandwidth: "fast"},
		"no hour":      {Type: "drive", Bandwidth: "25:00,1M"},
		"no day":       {Type: "drive", Bandwidth: "Sön-08:00,1M"},
		"nothing":      {Type: "drive", Bandwidth: " "},
		"of a wrapper": {Type: typeCrypt, Bandwidth: "1M"},
	} {
		err := CheckBandwidth(r)
		if about := new(OptionError); !errors.As(err, &about) || about.Option != Bandwidth || fault.Hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, good := range []fleet.Remote{{Type: "drive"}, {Type: typeCrypt}, {Type: "sftp", Bandwidth: "08:00,1M 20:00,off"}} {
		if err := CheckBandwidth(good); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
}

// TestUploading counts the hours in which a timetable lets less through.
func TestUploading(t *testing.T) {
	t.Parallel()
	night := time.Date(2026, 3, 2, 6, 0, 0, 0, time.Local)
	const mib = 1 << 20
	for name, c := range map[string]struct {
		table        string
		bytes, speed int64
		want         time.Duration
		limited      bool
	}{
		"no limit":           {"", 7200 * mib, 2 * mib, time.Hour, false},
		"a slower line":      {"4M", 7200 * mib, 2 * mib, time.Hour, false},
		"a lower limit":      {"1M", 7200 * mib, 2 * mib, 2 * time.Hour, true},
		"only downloads":     {"off:1M", 7200 * mib, 2 * mib, time.Hour, false},
		"from eight on less": {"08:00,1M 20:00,off", 5 * 3600 * mib, 2 * mib, 3 * time.Hour, true},
		"over before that":   {"08:00,1M 20:00,off", 3600 * mib, 2 * mib, 30 * time.Minute, false},
		"speed is not known": {"1M", 3600 * mib, 0, time.Hour, true},
		"nothing is known":   {"", 3600 * mib, 0, 0, false},
		"longer than a year": {"1k", 1 << 50, 0, longestUpload, true},
		"nothing to upload":  {"1k", 0, 0, 0, false},
	} {
		table, err := ParseTimetable(c.table)
		if err != nil {
			t.Fatal(err)
		}
		got, limited := table.Uploading(c.bytes, c.speed, night)
		if (got-c.want).Abs() > time.Second || limited != c.limited {
			t.Errorf("%s: %s, %v; want %s, %v", name, got, limited, c.want, c.limited)
		}
	}
}

func FuzzTimetable(f *testing.F) {
	for _, text := range []string{"", "off", "1M", "1M:off", "08:00,512k 23:00,off", "Mon-08:00,1M;Sat-00:00,2M:1k", "0:1", "-1", ","} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		table, err := ParseTimetable(text)
		if err != nil {
			return
		}
		for _, limit := range table.at(time.Unix(1e9, 0)) {
			if limit < 0 {
				t.Errorf("%q: %d", text, limit)
			}
		}
	})
}
