//go:build !linux

package keychain

import "runtime"

// there knows that macOS has one.
func there() bool { return runtime.GOOS == "darwin" }
