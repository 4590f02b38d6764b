package ssh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"salvor/internal/atomicfile"
)

// A Client is how ssh(1) reaches a host as Dial does: it trusts the pinned keys and no
// others, and is offered the same keys of the operator's. Close it when done.
type Client struct {
	Argv []string // of ssh, to which a command may be added

	keys *lentKeys
	stop []func()
}

// NewClient readies a client for a host. Keys that are kept encrypted are opened once
// the host takes them, and are in no file: ssh reaches them by an agent in this process.
func NewClient(ctx context.Context, o Options) (_ *Client, err error) {
	c := &Client{keys: newLentKeys(ctx, o.Auth)}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	c.stop = append(c.stop, c.keys.close)
	socket, stop, err := serveAgent(ctx, c.keys)
	if err != nil {
		return nil, err
	}
	c.stop = append(c.stop, stop)
	dir, err := os.MkdirTemp("", "salvor-ssh-")
	if err != nil {
		return nil, err
	}
	c.stop = append(c.stop, func() { _ = os.RemoveAll(dir) }) // it has no secrets
	config, known, err := o.config(filepath.Join(dir, "known_hosts"), socket)
	if err != nil {
		return nil, err
	}
	err = errors.Join(atomicfile.Write(filepath.Join(dir, "known_hosts"), strings.NewReader(known), 0o600),
		atomicfile.Write(filepath.Join(dir, "config"), strings.NewReader(config), 0o600))
	c.Argv = []string{"ssh", "-F", filepath.Join(dir, "config"), o.Name}
	return c, err
}

// Err returns why a key that the host takes could not be opened, nil where none was tried.
func (c *Client) Err() error { return c.keys.failure() }

// Close ends the agent and removes what ssh was given.
func (c *Client) Close() {
	for _, stop := range c.stop {
		stop()
	}
}

const jumpAlias = "jump.salvor"

// config is ssh's configuration for a host, and the known_hosts that it names.
func (o Options) config(knownHosts, socket string) (config, known string, err error) {
	var out, keys strings.Builder
	reach := []setting{}
	if o.Jump != nil {
		if err := o.Jump.writeHost(&out, &keys, jumpAlias, nil); err != nil {
			return "", "", err
		}
		reach = append(reach, setting{"ProxyJump", jumpAlias})
	}
	if err := o.writeHost(&out, &keys, o.Name, reach); err != nil {
		return "", "", err
	}
	out.WriteString("Host *\n")
	err = write(&out, append(strict(knownHosts, socket), o.Auth.identities()...))
	return out.String(), keys.String(), err
}

// writeHost writes how one host is reached, and which keys are its own.
func (o Options) writeHost(config, known *strings.Builder, alias string, more []setting) error {
	fmt.Fprintf(config, "Host %s\n", alias)
	for _, key := range o.Keys {
		fmt.Fprintf(known, "%s %s\n", alias, key)
	}
	lines := []setting{{"HostName", o.Address}, {"Port", fmt.Sprint(cmp.Or(o.Port, 22))}, {"User", o.user()}, {"HostKeyAlias", alias}}
	return write(config, append(lines, more...))
}

// A setting is a line of ssh's configuration.
type setting struct{ name, value string }

// strict are the settings of every host: nothing but the pinned keys is trusted, and
// nothing is asked or learned. socket is that of an agent, "" for ssh's own.
func strict(knownHosts, socket string) []setting {
	lines := []setting{
		{"UserKnownHostsFile", knownHosts}, {"GlobalKnownHostsFile", os.DevNull}, {"StrictHostKeyChecking", "yes"}, {"UpdateHostKeys", "no"},
		{"VerifyHostKeyDNS", "no"}, {"PasswordAuthentication", "no"}, {"KbdInteractiveAuthentication", "no"},
		{"ConnectTimeout", "10"}, {"ServerAliveInterval", "15"},
	}
	if socket != "" {
		lines = append(lines, setting{"IdentityAgent", socket})
	}
	return lines
}

// identities are the key files that are there.
func (a Auth) identities() []setting {
	var lines []setting
	for _, file := range a.Files {
		if _, err := os.Stat(file); err == nil {
			lines = append(lines, setting{"IdentityFile", file})
		}
	}
	return lines
}

func write(out *strings.Builder, lines []setting) error {
	for _, l := range lines {
		if strings.ContainsFunc(l.value, func(r rune) bool { return r == '"' || r == '\\' || unicode.IsControl(r) }) {
			return fmt.Errorf("%q can't be written into a configuration of ssh", l.value)
		}
		fmt.Fprintf(out, "  %s \"%s\"\n", l.name, strings.ReplaceAll(l.value, "%", "%%"))
	}
	return nil
}
