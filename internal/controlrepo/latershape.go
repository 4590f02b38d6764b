package controlrepo

import (
	"go.yaml.in/yaml/v3"

	"salvor/internal/secret"
)

// later declares a key of fleet.yaml that is checked, but that this version
// does not act on; Load says so with a finding.
func later[V any](name, doc string, s shape[V]) field[fleetFile] {
	return field[fleetFile]{key: name, schema: s.schema.describe(doc), decode: func(r *reader, n *yaml.Node, at path, into *fleetFile) {
		s.read(r, n, at)
		into.unused = append(into.unused, name)
	}}
}

// checked declares a key whose value is checked and then dropped.
func checked[V any](name, doc string, s shape[V]) field[struct{}] {
	return key(name, doc, s, func(*struct{}, V) {})
}

func tailnetShape() shape[struct{}] {
	return object(
		checked("tags", "Tags of the hosts' nodes.", list(text(checkTag))),
		checked("auth", "A reference to an auth key or OAuth client, secret:NAME.", reference()),
		checked("login_server", "A control server to use instead of Tailscale's own.", text(checkURL)),
	)
}

func ingressShape() shape[struct{}] {
	return object(
		checked("provider", "The account that owns the tunnel.", choice("cloudflare")).must(),
		checked("account", "The account's id.", text(nil)),
		checked("token", "A reference, secret:NAME.", reference()),
	)
}

func monitoringShape() shape[struct{}] {
	return object(checked("netdata", "Run Netdata on every host.", truth()))
}

// plainVariable is one of `vars:`, which end up in plain files: no secrets.
func plainVariable() shape[string] {
	s := plain()
	return shape[string]{schema: s.schema, decode: func(r *reader, n *yaml.Node, at path) string {
		v := s.decode(r, n, at)
		_, isReference := secret.ParseSetting(v).Secret()
		if isReference || n.ShortTag() == "!!str" && v != "" && looksSecret(at[len(at)-1]) {
			r.advise(r.position(n), "put it into secrets/<stack>.env (salvor secret set), which is encrypted", "%s looks "+
				"like a secret, but vars are not encrypted", at)
		}
		return v
	}}
}
