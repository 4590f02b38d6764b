package fleet

import "strings"

// OnChange says how a running service is notified that one of its secrets changed:
// "none", "signal:HUP" (any name of signal(7) without SIG; "signal" is HUP),
// "restart" or "recreate". "" means not at all: files under /run/secrets change at once in
// every running container, which may read them again on its own.
type OnChange string

// The policies without an argument.
const (
	ChangeNone     OnChange = "none"
	ChangeRestart  OnChange = "restart"
	ChangeRecreate OnChange = "recreate"
)

// Signal returns the signal's name without SIG, and whether it is one.
func (c OnChange) Signal() (name string, ok bool) {
	if c == "signal" {
		return "HUP", true
	}
	return strings.CutPrefix(string(c), "signal:")
}

// Starts reports whether the service's container is started again, after which it
// sees every mount again.
func (c OnChange) Starts() bool { return c == ChangeRestart || c == ChangeRecreate }
