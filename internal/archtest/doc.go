// Package archtest keeps the architecture: which package may import which, how
// long a file may get, that nothing global can change. It has tests only.
package archtest
