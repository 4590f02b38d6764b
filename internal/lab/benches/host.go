package benches

import (
	"context"
	"errors"
	"time"

	"salvor/internal/lab"
)

func hostReady(ctx context.Context, log func(string, ...any), report func(Figure)) (err error) {
	l, err := lab.Start(ctx, lab.Options{Name: "bench", Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(ctx))) }()
	if _, err := l.Host(ctx, "warm", lab.HostOptions{}); err != nil { // builds the image
		return err
	}
	start := time.Now()
	if _, err := l.Host(ctx, "alpha", lab.HostOptions{}); err != nil {
		return err
	}
	report(AtMost("host.ready", time.Since(start).Seconds(), "s", 10))
	return nil
}
