package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"salvor/internal/lab/twin"
)

// reportEvery is after how many worlds their count is printed.
const reportEvery = 500

// twinWorlds makes random worlds in this process. A law that is broken is printed with
// all that happened; its seed makes that world again.
func twinWorlds(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("twin", flag.ContinueOnError)
	worlds := flags.Int("worlds", 10_000, "how many worlds")
	seed := flags.Uint64("seed", rand.Uint64()>>32, "of the first world; the next ones count up")
	first := flags.Bool("first", false, "end with the first world in which a law is broken")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || *worlds < 1 {
		return errUsage
	}
	testing.Init()
	if err := flag.CommandLine.Parse(nil); err != nil {
		return err
	}
	debug.SetGCPercent(1600) // worlds are short, and leave little behind
	all, err := twin.New(ctx)
	if err != nil {
		return err
	}
	var enough atomic.Bool
	more := func() bool { return ctx.Err() == nil && !enough.Load() }
	made := &tally{began: time.Now(), worlds: *worlds}
	makeAll := func(t *testing.T) { //nolint:contextcheck // a world has its own
		for from := 0; from < *worlds && more(); from += reportEvery {
			t.Run("worlds", func(t *testing.T) {
				all.Many(t, twin.Counted(*seed+uint64(from), min(reportEvery, *worlds-from)), more, func(r twin.Result) {
					made.add(r)
					enough.Store(*first && len(made.broken) > 0)
				})
			})
		}
		if len(made.broken) > 0 {
			t.Errorf("broken in the worlds of the seeds %d; a line in internal/lab/twin/testdata/seeds keeps one as a case", made.broken)
		}
	}
	// a bubble of synctest, whose clock is a world's, belongs to a test
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "twin", F: makeAll}}, nil, nil)
	return nil // not reached: Main ends the program
}

// A tally is what was made so far.
type tally struct {
	began  time.Time
	worlds int // to be made
	sum    twin.Tally
	broken []uint64
}

// add prints a world in which a law was broken, and from time to time how many were made.
func (a *tally) add(r twin.Result) {
	a.sum.Add(r.Tally)
	if len(r.Broken) > 0 {
		a.broken = append(a.broken, r.Seed)
		fmt.Print(r.Report())
	}
	if a.sum.Worlds%reportEvery != 0 && a.sum.Worlds != a.worlds {
		return
	}
	took := time.Since(a.began)
	fmt.Printf("%d worlds in %s (%.1f a second): %d commands, %d faults, %d kills, %d worlds with a broken law\n",
		a.sum.Worlds, took.Round(time.Second), float64(a.sum.Worlds)/took.Seconds(), a.sum.Commands, a.sum.Faults, a.sum.Kills, len(a.broken))
}
