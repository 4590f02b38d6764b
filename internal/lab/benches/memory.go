package benches

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"salvor/internal/lab"
)

// memory is what salvord takes of a host's memory, idle with six stacks and
// while it takes a snapshot of 2 GiB.
func memory(ctx context.Context, log func(string, ...any), report func(Figure)) (err error) {
	l, err := lab.Start(ctx, lab.Options{Name: "bench-memory", Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Down(context.WithoutCancel(ctx))) }()
	s, err := startSix(ctx, l, sixMiB, sixFiles)
	if err != nil {
		return err
	}
	// the first snapshots that salvord takes automatically are over then
	if err := s.snapshots(ctx); err != nil {
		return err
	}
	idle, err := watch(ctx, s.alpha, func() error { return pause(ctx, 10*time.Second) })
	if err != nil {
		return err
	}
	log("idle: %s", idle)
	if err := s.fill(ctx, sixMiB, sixFiles); err != nil { // other bytes: all of it is taken again
		return err
	}
	busy, err := watch(ctx, s.alpha, func() error {
		_, err := s.Salvor(ctx, nil, "snapshot", "take", bulk)
		return err
	})
	if err != nil {
		return err
	}
	log("during a snapshot: %s", busy)
	report(AtMost("memory.idle", idle.salvord, "MiB", 40))
	report(AtMost("memory.snapshot", busy.salvord, "MiB", 300))
	report(Figure{Name: "memory.snapshot.restic", Value: busy.restic, Unit: "MiB", OK: true})
	return nil
}

// A usage is the most resident memory that the processes of a program had at
// one moment, in MiB. The program's own pages, which they share, count once.
type usage struct{ salvord, restic float64 }

func (u usage) String() string {
	return fmt.Sprintf("salvord %.0f MiB, restic %.0f MiB", u.salvord, u.restic)
}

// sampler prints every 100 ms a line "NAME ANONYMOUS FILE", in KiB, for each
// process of salvord and restic, then an empty one.
const sampler = `while :; do for d in /proc/[0-9]*; do
	read -r name 2>/dev/null <$d/comm || continue
	case $name in salvord|restic) while read -r key value unit; do case $key in RssAnon:) anon=$value;; RssFile:) echo "$name $anon $value";; esac; done 2>/dev/null <$d/status;; esac
done; echo; sleep 0.1; done`

// watch samples the host's memory while work runs.
func watch(ctx context.Context, h *lab.Host, work func() error) (usage, error) {
	sampling, stop := context.WithCancel(ctx)
	defer stop()
	var out string
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// ends by being stopped, which is its only error
		out, _ = h.Exec(sampling, "timeout", "1800", "sh", "-c", sampler)
	}()
	err := work()
	stop()
	<-ended
	if err != nil {
		return usage{}, err
	}
	return peaks(out)
}

// peaks reads the sampler's output; a last sample interrupted counts as far as it
// goes.
func peaks(out string) (usage, error) {
	var peak usage
	for sample := range strings.SplitSeq(out, "\n\n") {
		anon, file := map[string]float64{}, map[string]float64{}
		for line := range strings.Lines(sample) {
			var name string
			var a, f float64
			if _, err := fmt.Sscanf(line, "%s %f %f\n", &name, &a, &f); err == nil {
				anon[name] += a / 1024
				file[name] = max(file[name], f/1024)
			}
		}
		peak.salvord, peak.restic = max(peak.salvord, anon["salvord"]+file["salvord"]), max(peak.restic, anon["restic"]+file["restic"])
	}
	if peak.salvord == 0 {
		return peak, errors.New("no salvord was seen on the host")
	}
	return peak, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
