// Package here is this host and its stacks as all work on them sees them: the
// machine, the locks, what the host remembers in files of its own, the keys that it
// goes by, and what a stack's seal opens.
package here
