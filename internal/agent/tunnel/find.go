package tunnel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"salvor/internal/cloudflare"
	"salvor/internal/fault"
)

const localSource = "local" // of a tunnel whose rules are in a file of its connector's

// look brings what is kept up to what Cloudflare has, if it is time to. Where that fails, what
// was kept stays, if it is of the tunnel that is wanted.
func (t *Tunnel) look(ctx context.Context, s Settings, api *cloudflare.Client, k *kept) error {
	if k.of(s) && !t.due() {
		return nil
	}
	found, err := find(ctx, s, api)
	if err != nil {
		return err
	}
	token, err := api.TunnelToken(ctx, found.ID)
	if err != nil {
		return err
	}
	if !k.of(s) || k.Tunnel.ID != found.ID || string(k.Token) != string(token.Reveal()) {
		k.Account, k.Tunnel, k.Token = s.Account, found, token.Reveal()
		if err := t.save(*k); err != nil {
			return err
		}
	}
	t.note(func() { t.looked = t.time() })
	return nil
}

// due reports whether Cloudflare is to be looked at again.
func (t *Tunnel) due() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	age := t.time().Sub(t.looked)
	return age >= lookEvery || !t.silent.IsZero() && age >= doubtful
}

// find returns the tunnel that is wanted. The host's own is made where it is missing; an
// adopted one is not.
func find(ctx context.Context, s Settings, api *cloudflare.Client) (cloudflare.Tunnel, error) {
	if s.ID != "" {
		found, err := api.Tunnel(ctx, s.ID)
		if errors.Is(err, cloudflare.ErrGone) {
			err = fault.WithHint(err, "remove the host from ingress.tunnels in fleet.yaml, then salvor apply makes a tunnel of its own")
		}
		if err != nil {
			return found, err
		}
		return usable(found, "migrate it at Cloudflare's dashboard (Networks, Tunnels), or remove the host from ingress.tunnels in fleet.yaml")
	}
	var there error
	for range 3 {
		all, err := api.Tunnels(ctx, s.Name)
		if err != nil {
			return cloudflare.Tunnel{}, err
		}
		if i := slices.IndexFunc(all, func(c cloudflare.Tunnel) bool { return c.Name == s.Name }); i >= 0 {
			return usable(all[i], "delete it at Cloudflare, and Salvor makes another; or migrate it there (Networks, Tunnels)")
		}
		made, err := api.CreateTunnel(ctx, s.Name)
		if !errors.Is(err, cloudflare.ErrThere) {
			return made, err
		}
		there = err // another made it since the list was read
	}
	return cloudflare.Tunnel{}, there
}

func usable(found cloudflare.Tunnel, hint string) (cloudflare.Tunnel, error) {
	if found.Source == localSource {
		return found, fault.WithHint(fmt.Errorf("the rules of the tunnel %s are in a file of its connector's, so they can't be set at Cloudflare", found.Name), hint)
	}
	return found, nil
}
