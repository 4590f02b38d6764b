package hosts

import (
	"context"
	"fmt"

	"salvor/internal/fault"
	"salvor/internal/firstlogin"
	"salvor/internal/fleet"
	"salvor/internal/machine/ssh"
)

// LetIn makes sure that a machine lets Salvor in as root, with the SSH key by which the
// operator trusts it: a first login with a password where no key is accepted, or where
// sudo asks for one. It may be called again, and does nothing where a key works.
func (c *Changes) LetIn(ctx context.Context, h fleet.Host, key ssh.PublicKey, asks firstlogin.Asks) (firstlogin.Opened, error) {
	var done firstlogin.Opened
	if err := c.another(h, key); err != nil {
		return done, err
	}
	if err := c.reach.Pin(h, key); err != nil {
		return done, err
	}
	_, err := c.reach.Dial(ctx, h)
	why := ssh.WhyDenied(err)
	if why == 0 {
		return done, err
	}
	if asks.Password == nil {
		return done, fault.WithHint(err, "run it at a terminal, which asks for the password, or with --password-file FILE")
	}
	login, err := c.reach.Login(h)
	if err != nil {
		return done, err
	}
	done, err = firstlogin.Door{Login: login, User: h.User, Lines: c.checkout.LetIn, Asks: asks}.Open(ctx, why)
	if err != nil {
		return done, fmt.Errorf("%s: %w", h.Name, err)
	}
	c.reach.Again(h.Name)
	_, err = c.reach.Dial(ctx, h)
	if done.Keys && ssh.WhyDenied(err) == ssh.NoKey {
		err = fault.WithHint(err, fmt.Sprintf("the fleet's key is in ~/.ssh/authorized_keys of %s there, and sshd refuses it: sshd -T shows its settings, and its log the reason", h.User))
	}
	return done, err
}
