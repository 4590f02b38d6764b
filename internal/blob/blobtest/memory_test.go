package blobtest_test

import (
	"testing"

	"salvor/internal/blob"
	"salvor/internal/blob/blobtest"
)

func TestMemory(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Store { return &blobtest.Memory{} })
}
