//go:build !linux

package keyagent

// stayInMemory does nothing where only a vault can be kept out of the swap. macOS
// encrypts its swap.
func stayInMemory() {}
