package main

import (
	"context"
	"os"

	"salvor/internal/lab/demo"
)

func tellStory(ctx context.Context, args []string) error {
	if len(args) > 0 {
		return errUsage
	}
	return demo.Run(ctx, os.Stdout)
}
