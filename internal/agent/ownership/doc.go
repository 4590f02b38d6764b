// Package ownership finds out whether this host still owns its stacks, and stops
// those that it has lost.
package ownership
