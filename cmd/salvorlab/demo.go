package main

import (
	"context"
	"flag"
	"os"

	"salvor/internal/lab/demo"
)

func tellStory(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	keep := flags.Bool("keep", false, "end with a prompt, and take everything down when it is left")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return errUsage
	}
	return demo.Run(ctx, os.Stdout, *keep)
}

func play(ctx context.Context, args []string) error {
	if len(args) > 0 {
		return errUsage
	}
	return demo.Play(ctx, os.Stdout)
}
