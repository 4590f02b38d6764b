package cli

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"salvor/internal/yamldoc"
)

// A duration is the value of a flag that is a span of time, written as in fleet.yaml: 15m
// or 7d.
type duration struct {
	time.Duration
	typed string
}

var _ pflag.Value = (*duration)(nil)

// Set implements pflag.Value.
func (d *duration) Set(text string) (err error) {
	d.typed = text
	d.Duration, err = yamldoc.ParseDuration(text)
	return err
}

// String is the duration as it was written.
func (d *duration) String() string { return d.typed }

// Type implements pflag.Value.
func (d *duration) Type() string { return "duration" }

// A moment is the value of a flag that is a point in time, or how long ago it was. It
// is kept as Docker Compose takes it.
type moment string

var _ pflag.Value = (*moment)(nil)

// Set implements pflag.Value.
func (m *moment) Set(text string) error {
	if ago, err := yamldoc.ParseDuration(text); err == nil {
		*m = moment(ago.String())
		return nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateOnly} {
		if _, err := time.Parse(layout, text); err == nil {
			*m = moment(text)
			return nil
		}
	}
	return fmt.Errorf("%q is neither a duration, such as 10m or 2d, nor a time, such as 2026-11-23T08:00:00Z", text)
}

// String implements pflag.Value.
func (m *moment) String() string { return string(*m) }

// Type implements pflag.Value.
func (m *moment) Type() string { return "moment" }
