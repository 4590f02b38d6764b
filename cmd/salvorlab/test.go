package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"

	"salvor/internal/lab/suite"
)

// errFailed says that tests ran and some did not pass.
var errFailed = errors.New("some tests failed")

func test(ctx context.Context, args []string) error {
	o := suite.Options{Out: os.Stdout, Err: os.Stderr, Log: logLine}
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.DurationVar(&o.Budget, "budget", 0, "wall clock after which no test with a lab begins (0: no bound)")
	flags.StringVar(&o.Since, "since", "", "the commit of the last landing")
	flags.IntVar(&o.Labs, "labs", 0, "tests with a lab at a time (0: three)")
	flags.BoolVar(&o.Verbose, "v", slices.Contains(strings.Fields(os.Getenv("GOFLAGS")), "-v"), "print what passing tests say, too")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return errUsage
	}
	passed, err := suite.Run(ctx, o)
	if err == nil && !passed {
		err = errFailed
	}
	return err
}
