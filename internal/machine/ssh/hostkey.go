package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"

	"salvor/internal/fault"
	"salvor/internal/machine"
)

// PublicKey is a host key as a line of known_hosts has it, without the host's
// name: "ssh-ed25519 AAAA…".
type PublicKey string

// Fingerprint returns "SHA256:…", as ssh-keygen -l prints it.
func (k PublicKey) Fingerprint() (string, error) {
	key, err := k.parse()
	if err != nil {
		return "", err
	}
	return ssh.FingerprintSHA256(key), nil
}

// A HostKey is what a host shows before anyone trusts it.
type HostKey struct {
	Key         PublicKey
	Fingerprint string
}

// Scan returns the key that a host shows (Ed25519 where it has one), for the
// operator to compare and pin. It proves nothing about the host and logs in to
// nothing but o.Jump.
func Scan(ctx context.Context, o Options) (HostKey, error) {
	var via dialer = &net.Dialer{}
	if o.Jump != nil {
		jump, err := connect(ctx, *o.Jump, via)
		if err != nil {
			return HostKey{}, fmt.Errorf("%s: jump host: %w", o.Name, err)
		}
		defer jump.Close()
		via = jump
	}
	conn, err := o.open(ctx, via)
	if err != nil {
		return HostKey{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.handshake(), o.noAnswer())
	defer cancel()
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var seen HostKey
	config := &ssh.ClientConfig{
		User:              o.user(),
		HostKeyAlgorithms: preferred(),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			seen = HostKey{Key: PublicKey(strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))), Fingerprint: ssh.FingerprintSHA256(key)}
			return errors.New("seen")
		},
	}
	_, _, _, err = ssh.NewClientConn(conn, o.address(), config)
	if seen.Key == "" {
		return HostKey{}, o.unreachable(ctx, fmt.Errorf("no host key: %w", err))
	}
	return seen, nil
}

// keyCheck compares the host's key with the pinned ones. It keeps what it saw,
// which the SSH library would turn into text.
type keyCheck struct {
	name   string
	pinned []PublicKey
	shown  string // fingerprint of a key that was refused
	passed bool
}

func (k *keyCheck) verify(_ string, _ net.Addr, key ssh.PublicKey) error {
	for _, p := range k.pinned {
		pinned, _, _, _, err := ssh.ParseAuthorizedKey([]byte(p))
		if err == nil && bytes.Equal(pinned.Marshal(), key.Marshal()) {
			k.passed = true
			return nil
		}
	}
	k.shown = ssh.FingerprintSHA256(key)
	return machine.ErrHostKey
}

// refusal returns why the host is not trusted, nil when a handshake ended with
// err for another reason.
func (k *keyCheck) refusal(err error) error {
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case k.shown != "" && len(k.pinned) == 0:
		return fault.WithHint(fmt.Errorf("%w: %s: no key is pinned; it presents %s", machine.ErrHostKey, k.name, k.shown), "salvor host add pins it")
	case k.shown != "":
		return k.changed("presents " + k.shown)
	case errors.As(err, &negotiation) && negotiation.What == "host key":
		return k.changed("no longer has a key of the pinned kind")
	default:
		return nil
	}
}

func (k *keyCheck) changed(how string) error {
	var prints []string
	for _, p := range k.pinned {
		fingerprint, err := p.Fingerprint()
		if err != nil {
			fingerprint = err.Error()
		}
		prints = append(prints, fingerprint)
	}
	return fault.WithHint(fmt.Errorf("%w: %s %s; the pinned key is %s", machine.ErrHostKey, k.name, how, strings.Join(prints, ", ")),
		"if the host was reinstalled, recover its stacks onto it under a new name; otherwise someone may be intercepting the connection")
}

// algorithms asks for the kinds of key that are pinned, so that a host with
// several does not look changed.
func (k *keyCheck) algorithms() []string {
	var names []string
	for _, p := range k.pinned {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(p))
		switch {
		case err != nil: // verify and changed deal with it
		case key.Type() == ssh.KeyAlgoRSA:
			names = append(names, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			names = append(names, key.Type())
		}
	}
	if len(names) == 0 {
		return preferred()
	}
	return names
}

// preferred lists the kinds of key that are pinned, best first.
func preferred() []string {
	return []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
}
