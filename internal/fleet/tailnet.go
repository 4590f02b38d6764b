package fleet

import "salvor/internal/secret"

// A PrivateNetwork is the tailnet of those hosts that have the area tailnet.
type PrivateNetwork struct {
	Tags        []string       // of the hosts' nodes, sorted: "tag:salvor"
	Auth        secret.Setting // an auth key, or the secret of an OAuth client
	LoginServer string         // "" for Tailscale's own
	AcceptDNS   bool           // hosts resolve names by the tailnet
	URL         string         // of the apt repository, "" for Tailscale's own
	Key         string         // its signing key, armored; "" where hosts have the package from elsewhere
}
