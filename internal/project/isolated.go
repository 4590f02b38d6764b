package project

import "strings"

// isolatedPrefix begins the names of the projects in which a database is loaded next to
// the one that runs.
const isolatedPrefix = "salvor-restore-"

// Isolated is the name of the project in which a stack's database is loaded.
func Isolated(stack string) string { return isolatedPrefix + stack }

// IsIsolated reports whether a Compose project is one that Salvor runs for a moment,
// not a stack.
func IsIsolated(name string) bool { return strings.HasPrefix(name, isolatedPrefix) }
