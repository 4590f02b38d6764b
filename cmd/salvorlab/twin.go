package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
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
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
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
	var sum twin.Tally
	broken, began := []uint64{}, time.Now()
	report := func(r twin.Result) {
		sum.Add(r.Tally)
		if len(r.Broken) > 0 {
			broken = append(broken, r.Seed)
			fmt.Print(r.Report())
		}
		if sum.Worlds%reportEvery == 0 || sum.Worlds == *worlds {
			took := time.Since(began)
			fmt.Printf("%d worlds in %s (%.1f a second): %d commands, %d faults, %d kills, %d worlds with a broken law\n",
				sum.Worlds, took.Round(time.Second), float64(sum.Worlds)/took.Seconds(), sum.Commands, sum.Faults, sum.Kills, len(broken))
		}
	}
	makeAll := func(t *testing.T) {
		for made := 0; made < *worlds && ctx.Err() == nil; made += reportEvery {
			t.Run("worlds", func(t *testing.T) { all.Many(t, *seed+uint64(made), min(reportEvery, *worlds-made), 0, report) }) //nolint:contextcheck // a world has its own
		}
		if len(broken) > 0 {
			t.Errorf("broken in the worlds of the seeds %d", broken)
		}
	}
	// a bubble of synctest, whose clock is a world's, belongs to a test
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "twin", F: makeAll}}, nil, nil)
	return nil // not reached: Main ends the program
}
