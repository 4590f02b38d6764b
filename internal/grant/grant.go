// Package grant names what a commit lets others do: open secrets, log in to hosts, be
// a host, receive a secret. Anyone who can push to the repository can write such a
// line, so each clone keeps a ledger of those that its operator confirmed, and what
// is not in it is confirmed by name before anything acts on it.
package grant

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/fault"
)

// A Grant is one power that a commit gives. Two with the same name and another
// value (another key, another address) are two grants.
type Grant struct {
	Name string `json:"grant"` // how it is confirmed: "operator/eve"; a commit may give several under one name
	Text string `json:"text"`  // what it means, in one line

	value string
	// instead is Text for one that takes the place of others which were confirmed.
	instead func(before string) string
}

// Operator is that a key opens everything which the operators open.
func Operator(name, recipient string) Grant {
	return Grant{
		Name: "operator/" + name, value: recipient, Text: fmt.Sprintf("%s can open everything from now on, with the key %s", name, recipient),
		instead: func(before string) string {
			return fmt.Sprintf("%s's key changes from %s to %s, which can open everything from now on", name, before, recipient)
		},
	}
}

// Recovery is that a key opens everything, as the recovery key.
func Recovery(recipient string) Grant {
	return Grant{
		Name: "recovery", value: recipient, Text: fmt.Sprintf("the recovery key, which can open everything from now on, is %s", recipient),
		instead: func(before string) string {
			return fmt.Sprintf("the recovery key, which can open everything from now on, changes from %s to %s", before, recipient)
		},
	}
}

// Host is that a host's secrets are sealed for a recipient, and that what a key signs
// is what the host says. signer is the fingerprint of that key, "" for none.
func Host(name, recipient, signer string) Grant {
	keys := strings.TrimSpace(recipient + " " + signer)
	return Grant{
		Name: "host/" + name, value: keys, Text: fmt.Sprintf("%s is a host of the fleet: its secrets are sealed for %s", name, keys),
		instead: func(before string) string {
			return fmt.Sprintf("%s's key changes from %s to %s", name, before, keys)
		},
	}
}

// Address is where a host is reached: "root@192.0.2.10:22", and through which jump
// host, "" for none.
func Address(host, at, jump string) Grant {
	where := shown(at)
	if jump != "" {
		where += " through " + shown(jump)
	}
	return Grant{
		Name: "address/" + host, value: where, Text: fmt.Sprintf("%s is reached at %s", host, where),
		instead: func(before string) string {
			return fmt.Sprintf("%s is no longer reached at %s, but at %s", host, before, where)
		},
	}
}

// HostKey is that a server which shows an SSH key is taken for who has one of these
// names, as a line of known_hosts writes them. whose says which hosts those are.
func HostKey(names, whose, kind, fingerprint string) Grant {
	names = shown(names)
	return Grant{
		Name: "key/" + names, value: kind + " " + fingerprint,
		Text: fmt.Sprintf("%s is the server that presents the %s key %s", strings.TrimSpace(whose+" "+names), shown(kind), fingerprint),
		instead: func(before string) string {
			return fmt.Sprintf("%s is the server that presents the %s key %s; the confirmed key is %s", strings.TrimSpace(whose+" "+names), shown(kind), fingerprint, before)
		},
	}
}

// Login is that an SSH key is accepted; as says as whom and where.
func Login(fingerprint, comment, as string) Grant {
	return Grant{Name: "login/" + fingerprint, value: as, Text: "accepts logins with " + strings.TrimSpace(fingerprint+" "+shown(comment)) + " as " + as}
}

// Secret is that a stack gets a secret. from says whose it is, "" for the stack's own.
func Secret(stack, host, name, from string) Grant {
	if host != "" {
		host = " on " + host
	}
	return Grant{Name: "secret/" + stack, value: name, Text: strings.TrimSpace(fmt.Sprintf("stack %s%s gets the secret %s %s", stack, host, name, from))}
}

// Remote is that a remote is used where it is; text says where, and which secrets it
// is given.
func Remote(name, text string) Grant {
	return Grant{Name: "remote/" + name, value: text, Text: text}
}

// Sent is that something of fleet.yaml ("registry ghcr.io") is sent a secret.
func Sent(to, name string) Grant {
	return Grant{Name: strings.Replace(to, " ", "/", 1), value: name, Text: fmt.Sprintf("%s gets the secret %s", to, name)}
}

// Source is that hosts take something from an address: what is "the repository" or
// "Docker"; by is the key that vouches for it, "" for none.
func Source(name, what, url, by string) Grant {
	url = shown(url)
	text := fmt.Sprintf("hosts take %s from %s", what, url)
	if by != "" {
		text += ", signed by the key with the SHA-256 " + by
	}
	return Grant{Name: "source/" + name, value: strings.TrimSpace(url + " " + by), Text: text, instead: func(before string) string {
		return text + "; before, from " + before
	}}
}

// shown is a text of the repository as it may be printed: quoted where it has
// anything that a terminal would not show as it is.
func shown(text string) string {
	if quoted := strconv.Quote(text); quoted != `"`+text+`"` {
		return quoted
	}
	return text
}

// Value is what exactly is given: a key, an address, the name of a secret.
func (g Grant) Value() string { return g.value }

// Is reports whether two are the same grant.
func (g Grant) Is(o Grant) bool { return g.Name == o.Name && g.value == o.value }

// Unconfirmed is the error of a command that acts on nothing unconfirmed.
func Unconfirmed(names []string) error {
	return fault.WithCode(fault.WithHint(fmt.Errorf("not confirmed in this clone: %s", strings.Join(names, ", ")),
		"salvor plan explains each; --grant NAME confirms one, --yes does not"), fault.Usage)
}

// Names returns the names of grants, each once, in their order.
func Names(all []Grant) []string {
	var names []string
	for _, g := range all {
		if !slices.Contains(names, g.Name) {
			names = append(names, g.Name)
		}
	}
	return names
}

// Named returns those of that name.
func Named(all []Grant, name string) []Grant {
	var found []Grant
	for _, g := range all {
		if g.Name == name {
			found = append(found, g)
		}
	}
	return found
}

// Opens reports whether a grant gives a key everything that the operators open.
func (g Grant) Opens() bool { return g.Name == "recovery" || strings.HasPrefix(g.Name, "operator/") }
