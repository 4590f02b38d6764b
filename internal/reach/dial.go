// Package reach is how the fleet's hosts are reached: over SSH, once each, by the keys
// that are pinned for them.
package reach

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/embedded"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/machine"
	"salvor/internal/machine/ssh"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/secret"
	"salvor/internal/secretnames"
	"salvor/internal/version"
)

// Options say with what hosts are reached.
type Options struct {
	SSHKey     string                                                     // private key, "" for the agent and the usual files
	Passphrase func(file string, wrong int) (secret.Value, error)         // of an SSH key, see ssh.Auth
	Connect    func(context.Context, fleet.Host) (machine.Machine, error) // reaches a host, nil for SSH
	Kept       func(context.Context) (secret.Value, error)                // opens the fleet's own SSH key, and the previous one behind it
	Own        func() ([]net.Addr, error)                                 // this computer's addresses, nil for those of its interfaces
	Sink       progress.Sink
}

// Dialer reaches hosts over SSH, once each.
type Dialer struct {
	checkout *checkout.Checkout
	opts     Options

	mu     sync.Mutex // guards what follows
	links  map[string]*dialing
	pinned []controlrepo.HostKey // by Pin

	unlocked ssh.Unlocked
	last     lastKeys
}

type dialing struct {
	once sync.Once
	link *hostlink.Link
	err  error
}

// New returns what reaches the hosts of a checkout. The caller closes it.
func New(c *checkout.Checkout, o Options) *Dialer {
	return &Dialer{checkout: c, opts: o, links: map[string]*dialing{}, last: lastKeys{file: lastKeysFile(c)}}
}

// Dial implements deploy.Dialer. The second call for a host returns the first
// one's link, or its error.
func (d *Dialer) Dial(ctx context.Context, h fleet.Host) (*hostlink.Link, error) {
	d.mu.Lock()
	entry := d.links[h.Name]
	if entry == nil {
		entry = &dialing{}
		d.links[h.Name] = entry
	}
	d.mu.Unlock()
	entry.once.Do(func() {
		m, err := d.dial(ctx, h)
		if err != nil {
			entry.err = fmt.Errorf("%s: %w", h.Name, err)
			return
		}
		entry.link = &hostlink.Link{Host: h.Name, Machine: m, Carrier: carrier{}, Sink: d.opts.Sink}
	})
	return entry.link, entry.err
}

// Fresh reaches a host over a connection of its own, which the caller closes: the host lets in someone who comes now, not only who came before.
func (d *Dialer) Fresh(ctx context.Context, h fleet.Host) (*hostlink.Link, error) {
	m, err := d.dial(ctx, h)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.Name, err)
	}
	return &hostlink.Link{Host: h.Name, Machine: m, Carrier: carrier{}, Sink: d.opts.Sink}, nil
}

// Again has the next Dial for a host that could not be reached try once more.
func (d *Dialer) Again(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if entry := d.links[host]; entry != nil && entry.link == nil {
		delete(d.links, host)
	}
}

// Close ends all connections.
func (d *Dialer) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	for _, entry := range d.links {
		if entry.link != nil {
			err = errors.Join(err, entry.link.Machine.Close())
		}
	}
	return err
}

func (d *Dialer) dial(ctx context.Context, h fleet.Host) (machine.Machine, error) {
	reach, err := d.To(h)
	if err != nil {
		return nil, err
	}
	return reach(ctx)
}

// To returns what connects to a host, trusting the keys that are pinned now. It may
// be called in parallel to anything else.
func (d *Dialer) To(h fleet.Host) (func(context.Context) (machine.Machine, error), error) {
	if d.opts.Connect != nil {
		return func(ctx context.Context) (machine.Machine, error) { return d.opts.Connect(ctx, h) }, nil
	}
	o, err := d.Login(h)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (machine.Machine, error) { return d.connect(ctx, h, o) }, nil
}

// ParseJump reads "user@host:port"; the loader has checked it.
func ParseJump(s string) ssh.Options {
	var o ssh.Options
	if name, rest, found := strings.Cut(s, "@"); found {
		o.User, s = name, rest
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		o.Address = s
		return o
	}
	o.Address = host
	o.Port, _ = strconv.Atoi(port)
	return o
}

// Pinned returns the host keys pinned for an address, as known_hosts writes it. A
// revoked key does not belong to a host.
func Pinned(keys []controlrepo.HostKey, address string, port int) []ssh.PublicKey {
	var found []ssh.PublicKey
	for _, k := range keys {
		revoked := slices.ContainsFunc(keys, func(r controlrepo.HostKey) bool { return r.Marker == "@revoked" && string(r.Key) == string(k.Key) })
		if k.Marker == "" && !revoked && slices.Contains(k.Patterns, KnownHostsName(address, port)) {
			found = append(found, ssh.PublicKey(k.Type+" "+base64.StdEncoding.EncodeToString(k.Key)))
		}
	}
	return found
}

// KnownHostsName is an address as known_hosts writes it: with its port, unless that is 22.
func KnownHostsName(address string, port int) string {
	if port == 0 || port == 22 {
		return address
	}
	return "[" + address + "]:" + strconv.Itoa(port)
}

// sshAuth is the operator's agent and key files for a host, or the key that was named, then
// the fleet's key.
func (d *Dialer) sshAuth(host string) (ssh.Auth, error) {
	auth, err := ssh.UserAuth(host)
	auth.Kept = d.keptKeys()
	if d.opts.SSHKey != "" {
		auth, err = ssh.Auth{Files: []string{d.opts.SSHKey}, Kept: auth.Kept}, nil
	}
	auth.Passphrase, auth.Unlocked = d.opts.Passphrase, &d.unlocked
	auth.Last, auth.Took = d.last.of(host), func(key ssh.PublicKey) { d.last.note(host, key) }
	return auth, err
}

// carrier is the salvord that this salvor carries.
type carrier struct{}

// Version implements hostlink.Carrier.
func (carrier) Version() string { return version.String() }

// Open implements hostlink.Carrier.
func (carrier) Open(arch string) (io.ReadCloser, error) { return embedded.Salvord(arch) }

// keptKeys are the fleet's keys for hosts that take none of the operator's own:
// the present one, and the one before for hosts that nothing was applied to since.
func (d *Dialer) keptKeys() []ssh.KeptKey {
	var kept []ssh.KeptKey
	for _, comment := range []string{SSHKeyComment, OldSSHKeyComment} {
		if line := Marked(d.checkout.LetIn, comment); line != "" {
			kept = append(kept, d.KeptKey(line))
		}
	}
	return kept
}

// KeptKey is the key of a line in authorized_keys whose private part Salvor keeps.
func (d *Dialer) KeptKey(line string) ssh.KeptKey {
	return ssh.KeptKey{Public: ssh.PublicKey(line), Open: func(ctx context.Context) (secret.Value, error) {
		return d.opts.Kept(ctx)
	}}
}

// Login says how a host is reached with the operator's keys and the fleet's.
func (d *Dialer) Login(h fleet.Host) (ssh.Options, error) {
	auth, err := d.sshAuth(h.Address)
	if err != nil {
		return ssh.Options{}, err
	}
	return d.SSHOptions(h, auth), nil
}

// SSHOptions say how a host is reached with these keys.
func (d *Dialer) SSHOptions(h fleet.Host, auth ssh.Auth) ssh.Options {
	o := ssh.Options{Name: h.Name, Address: h.Address, Port: h.Port, User: h.User, Keys: Pinned(d.HostKeys(), h.Address, h.Port), Auth: auth}
	if h.Jump != "" {
		j := ParseJump(h.Jump)
		j.Name, j.Auth, j.Keys = h.Name+"'s jump host", auth, Pinned(d.HostKeys(), j.Address, j.Port)
		o.Jump = &j
	}
	return o
}

// ScanHost returns the key that a host shows, for the operator to compare: through
// its jump host where it has one, whose own key is pinned by then.
func (d *Dialer) ScanHost(ctx context.Context, h fleet.Host) (ssh.HostKey, error) {
	o := ssh.Options{Name: h.Name, Address: h.Address, Port: h.Port, User: h.User}
	if h.Jump != "" {
		login, err := d.Login(h)
		if err != nil {
			return ssh.HostKey{}, err
		}
		o.Jump = login.Jump
	}
	return ssh.Scan(ctx, o)
}

// Jump returns the jump host of a host as a host of its own; unpinned reports whether
// no key of it is pinned yet.
func (d *Dialer) Jump(h fleet.Host) (jump fleet.Host, unpinned bool) {
	if h.Jump == "" {
		return fleet.Host{}, false
	}
	j := ParseJump(h.Jump)
	jump = fleet.Host{Name: h.Name + "'s jump host", Address: j.Address, Port: j.Port, User: j.User}
	return jump, len(Pinned(d.HostKeys(), j.Address, j.Port)) == 0
}

// Machine reaches a declared host.
func (d *Dialer) Machine(ctx context.Context, host string) (machine.Machine, error) {
	h, err := placement.Host(&d.checkout.Fleet, host)
	if err != nil {
		return nil, err
	}
	link, err := d.Dial(ctx, h)
	if err != nil {
		return nil, err
	}
	return link.Machine, nil
}

// Client readies ssh(1) for a declared host: with its pinned key, and the keys that Dial
// tries. The caller closes it.
func (d *Dialer) Client(ctx context.Context, host string) (*ssh.Client, error) {
	h, err := placement.Host(&d.checkout.Fleet, host)
	if err != nil {
		return nil, err
	}
	o, err := d.Best(ctx, h)
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(ctx, o)
}

// Pin trusts a key for the rest of this command.
func (d *Dialer) Pin(h fleet.Host, key ssh.PublicKey) error {
	kind, encoded, found := strings.Cut(string(key), " ")
	wire, err := base64.StdEncoding.DecodeString(encoded)
	if !found || err != nil {
		return errors.Join(fmt.Errorf("%s: %q is not a host key", h.Name, key), err)
	}
	name := KnownHostsName(h.Address, h.Port)
	for _, k := range d.HostKeys() {
		if k.Marker == "@revoked" {
			if string(k.Key) == string(wire) {
				return fmt.Errorf("%s: its key is revoked in %s", h.Name, fleet.KnownHostsFile)
			}
			continue
		}
		if slices.Contains(k.Patterns, name) && string(k.Key) != string(wire) {
			return fault.WithHint(fmt.Errorf("another key is pinned for %s in %s", name, fleet.KnownHostsFile), "remove "+
				"that line if the machine at this address was replaced")
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pinned = append(d.pinned, controlrepo.HostKey{Patterns: []string{name}, Type: kind, Key: wire})
	return nil
}

// HostKeys returns the keys that are trusted: those of the checkout, then those that were
// pinned since, in that order.
func (d *Dialer) HostKeys() []controlrepo.HostKey {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Concat(d.checkout.HostKeys, d.pinned)
}

// Marked finds the line with that comment in authorized_keys, "" for none.
func Marked(lines []string, comment string) string {
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasSuffix(l, " "+comment) })
	if i < 0 {
		return ""
	}
	return lines[i]
}

// sshKeyName is the secret that is the fleet's SSH key. The comments mark its public
// key in hosts/authorized_keys, and the previous one while both are accepted.
const (
	SSHKeyName       = secretnames.SSHKey
	SSHKeyComment    = "salvor-fleet"
	OldSSHKeyComment = "salvor-fleet-old"
)

// FingerprintOf returns the fingerprint of a public key, as ssh prints it.
func FingerprintOf(wire []byte) string {
	sum := sha256.Sum256(wire)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// Lines returns the lines of a known_hosts file.
func Lines(content []byte) []string {
	return strings.Split(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n")
}
