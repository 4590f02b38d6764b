package keeper_test

import (
	"os"
	"testing"

	"salvor/internal/agent/heretest"
)

// TestMain makes this binary the helper that runs restic, as salvord is.
func TestMain(m *testing.M) { os.Exit(heretest.Main(m)) }
