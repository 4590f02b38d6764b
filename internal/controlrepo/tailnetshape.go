package controlrepo

import (
	"slices"

	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/yamldoc"
)

func tailnetShape() yamldoc.Shape[fleet.PrivateNetwork] {
	return yamldoc.Object(
		yamldoc.Key("tags", "Tags of the hosts' nodes, like tag:salvor. Keys of an OAuth client need at least one.", yamldoc.List(yamldoc.Text(checkTag)), func(t *fleet.PrivateNetwork, v []string) { t.Tags = slices.Compact(slices.Sorted(slices.Values(v))) }),
		yamldoc.Key("auth", "A reference to an auth key, or to the secret of an OAuth client, which makes a key for each host: secret:NAME.", reference(), func(t *fleet.PrivateNetwork, v secret.Setting) { t.Auth = v }).Must(),
		yamldoc.Key("login_server", "A control server instead of Tailscale's own, such as Headscale.", yamldoc.Text(checkURL), func(t *fleet.PrivateNetwork, v string) { t.LoginServer = v }),
		yamldoc.Key("accept_dns", "Hosts resolve names by the tailnet (MagicDNS); false by default.", yamldoc.Truth(), func(t *fleet.PrivateNetwork, v bool) { t.AcceptDNS = v }),
		yamldoc.Key("url", "An apt repository to use instead of Tailscale's own.", yamldoc.Text(checkURL), func(t *fleet.PrivateNetwork, v string) { t.URL = v }),
		yamldoc.Key("key", "The signing key of the apt repository, armored. Without it hosts need the package tailscale in their own sources, or have it already.", yamldoc.Text(nil), func(t *fleet.PrivateNetwork, v string) { t.Key = v }),
	)
}

// checkTailnet reports hosts of an area that the fleet says nothing of, and a repository
// without its key.
func checkTailnet(r *yamldoc.Reader, f *fleet.Fleet) {
	if t := f.Tailnet; t != nil && t.URL != "" && t.Key == "" {
		r.Add(r.Places.Of("tailnet", "url"), "tailnet.url needs a key next to it: packages are never installed unsigned")
	}
	for _, h := range f.Hosts {
		if f.Tailnet == nil && h.Manage.Has(fleet.AreaTailnet) {
			r.Advise(r.Places.Of("hosts", h.Name, manageKey), "docs/tailnet.md says what it needs", "hosts.%s has the area tailnet, but the file has no key tailnet:", h.Name)
		}
	}
}
