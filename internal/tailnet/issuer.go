package tailnet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"salvor/internal/fault"
	"salvor/internal/secret"
)

// lifetime is how long a key that is made for one host is good: its package is installed
// first, and that may wait for apt.
const lifetime = 30 * time.Minute

// Beginnings of what Tailscale makes.
const (
	authPrefix   = "tskey-auth-"
	clientPrefix = "tskey-client-"
)

// An Issuer lets hosts into the fleet's tailnet: with the operator's auth key, or by an
// OAuth client with a key for each host. It is safe for concurrent use.
type Issuer struct {
	Tags   []string
	Other  bool                                        // the control server is not Tailscale's own
	Secret string                                      // the name of the secret, for hints
	Open   func(context.Context) (secret.Value, error) // the auth key, or the secret of the OAuth client
	Base   string                                      // of the API, PublicAPI

	mu     sync.Mutex // guards what follows
	opened bool
	value  secret.Value
	api    *API // nil with an auth key
}

// ErrNoClient means that the fleet has an auth key: by that alone nothing in the tailnet can
// be removed.
var ErrNoClient = errors.New("the fleet has an auth key and no OAuth client")

// Key returns a key with which one host may join now. Errors have a hint.
func (i *Issuer) Key(ctx context.Context, host string) (secret.Value, error) {
	value, api, err := i.open(ctx)
	if err != nil || api == nil {
		return value, err
	}
	made, err := api.Mint(ctx, host, i.Tags, lifetime)
	return made.Value, i.advise(err)
}

// Forget removes the devices of a host that is gone, so that its name is free, and returns
// how many: those with its address in the tailnet, or that call themselves so and have the
// fleet's tags. ErrNoClient means that this can't be done here.
func (i *Issuer) Forget(ctx context.Context, host, address string) (int, error) {
	_, api, err := i.open(ctx)
	if err == nil && api == nil {
		err = ErrNoClient
	}
	if err != nil {
		return 0, err
	}
	all, err := api.Devices(ctx)
	if err != nil {
		return 0, i.advise(err)
	}
	gone := 0
	for _, d := range all {
		if !i.is(d, host, address) {
			continue
		}
		if err := api.Delete(ctx, d.ID); err != nil {
			return gone, i.advise(err)
		}
		gone++
	}
	return gone, nil
}

// is reports whether a device is the host's. A name alone is not enough: a person's own
// computer may call itself so.
func (i *Issuer) is(d Device, host, address string) bool {
	for _, tag := range i.Tags {
		if !slices.Contains(d.Tags, tag) {
			return false
		}
	}
	return address != "" && slices.Contains(d.Addresses, address) || d.Hostname == host && len(i.Tags) > 0
}

// open opens the secret once.
func (i *Issuer) open(ctx context.Context) (secret.Value, *API, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.opened {
		return i.value, i.api, nil
	}
	value, err := i.Open(ctx)
	if err != nil {
		return secret.Value{}, nil, err
	}
	text := strings.TrimSpace(string(value.Reveal()))
	fix := "make an auth key or an OAuth client in the admin console, then salvor secret set " + i.Secret
	switch {
	case strings.HasPrefix(text, clientPrefix) && i.Other:
		return secret.Value{}, nil, fault.WithHint(fmt.Errorf("secret %s is of an OAuth client, which only Tailscale's own control server has", i.Secret), "put an auth key of your login_server there: salvor secret set "+i.Secret)
	case strings.HasPrefix(text, clientPrefix):
		id, _, whole := strings.Cut(strings.TrimPrefix(text, clientPrefix), "-")
		if !whole || id == "" {
			return secret.Value{}, nil, fault.WithHint(fmt.Errorf("secret %s is not the whole secret of an OAuth client", i.Secret), fix)
		}
		if i.api, err = NewAPI(i.Base, id, secret.NewString(text)); err != nil {
			return secret.Value{}, nil, err
		}
	case text == "" || strings.ContainsAny(text, " \t\r\n\x00") || !i.Other && !strings.HasPrefix(text, authPrefix):
		return secret.Value{}, nil, fault.WithHint(fmt.Errorf("secret %s is neither an auth key (%s…) nor the secret of an OAuth client (%s…)", i.Secret, authPrefix, clientPrefix), fix)
	}
	i.opened, i.value = true, secret.NewString(text)
	return i.value, i.api, nil
}

// advise adds what mends an error of the API.
func (i *Issuer) advise(err error) error {
	switch {
	case errors.Is(err, ErrClient):
		return fault.WithHint(err, "make another OAuth client in the admin console, then salvor secret set "+i.Secret)
	case errors.Is(err, ErrScope):
		return fault.WithHint(err, "give the OAuth client the scopes auth_keys and devices:core in the admin console, then salvor apply")
	case errors.Is(err, ErrTags):
		return fault.WithHint(err, fmt.Sprintf("give the OAuth client the tags %s, which the tailnet's policy has to name under tagOwners, then salvor apply", strings.Join(i.Tags, ", ")))
	case errors.Is(err, ErrAway):
		return fault.WithHint(err, "salvor apply tries again")
	}
	return err
}
