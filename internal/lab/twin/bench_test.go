package twin

import (
	"context"
	"testing"
	"time"
)

func TestCost(t *testing.T) {
	for range 5 {
		t.Run("world", func(t *testing.T) {
			inWorld(t, 1, func(t *testing.T, w *world) {
				alice := &operator{w: w, name: "alice", clone: w.git.Clone()}
				_ = alice.run("apply", 0, func(ctx context.Context, c *command) error { return c.apply(ctx, nil) })
				for range 5 {
					w.pass(time.Minute)
					_ = alice.run("snapshot", 0, func(ctx context.Context, c *command) error { _, err := c.take(ctx, "notes"); return err })
					_ = alice.run("move", 0, func(ctx context.Context, c *command) error { return c.move(ctx, "notes", "beta") })
					_ = alice.run("move", 0, func(ctx context.Context, c *command) error { return c.move(ctx, "notes", "alpha") })
				}
			})
		})
	}
}
