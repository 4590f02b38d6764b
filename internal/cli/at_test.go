package cli

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 29, 10, 30, 0, 0, zone)
	for text, want := range map[string]string{
		"2026-11-23 08:00":          "2026-11-23T08:00:00+01:00",
		"2026-11-23T08:00":          "2026-11-23T08:00:00+01:00",
		"2026-11-23 08:00:30":       "2026-11-23T08:00:30+01:00",
		"2026-11-23T08:00:00Z":      "2026-11-23T08:00:00Z",
		"2026-11-23T08:00:00-05:00": "2026-11-23T08:00:00-05:00",
		"2026-11-23":                "2026-11-23T23:59:59+01:00",
		"08:00":                     "2026-11-29T08:00:00+01:00",
		"2h":                        "2026-11-29T08:30:00+01:00",
		"3d":                        "2026-11-26T10:30:00+01:00",
		"yesterday":                 "",
		"2026-13-01":                "",
		"":                          "",
		"-2h":                       "",
	} {
		got, err := parseTime(text, now)
		if want == "" {
			if err == nil {
				t.Errorf("%q is %s", text, got)
			}
			continue
		}
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q is %s, %v; want %s", text, got.Format(time.RFC3339), err, want)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	f.Add("2026-11-23 08:00")
	f.Add("3d")
	now := time.Date(2026, 11, 29, 10, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := parseTime(text, now); err == nil && got.IsZero() && text[0] != '0' {
			t.Errorf("%q is no time at all", text)
		}
	})
}
