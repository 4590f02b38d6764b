package controlrepo

import (
	"salvor/internal/secret"
	"salvor/internal/yamldoc"
)

// later declares a key of fleet.yaml that is checked, but that this version
// does not act on; Load says so with a finding.
func later[V any](name, doc string, s yamldoc.Shape[V]) yamldoc.Field[fleetFile] {
	return yamldoc.Field[fleetFile]{Key: name, Schema: s.Schema.Describe(doc), Decode: func(r *yamldoc.Reader, n *yamldoc.Node, at yamldoc.Path, into *fleetFile) {
		s.Read(r, n, at)
		into.unused = append(into.unused, name)
	}}
}

// checked declares a key whose value is checked and then dropped.
func checked[V any](name, doc string, s yamldoc.Shape[V]) yamldoc.Field[struct{}] {
	return yamldoc.Key(name, doc, s, func(*struct{}, V) {})
}

func monitoringShape() yamldoc.Shape[struct{}] {
	return yamldoc.Object(checked("netdata", "Run Netdata on every host.", yamldoc.Truth()))
}

// plainVariable is one of `vars:`, which end up in plain files: no secrets.
func plainVariable() yamldoc.Shape[string] {
	s := yamldoc.Plain()
	return yamldoc.Shape[string]{Schema: s.Schema, Decode: func(r *yamldoc.Reader, n *yamldoc.Node, at yamldoc.Path) string {
		v := s.Decode(r, n, at)
		_, isReference := secret.ParseSetting(v).Secret()
		if isReference || n.ShortTag() == "!!str" && v != "" && looksSecret(at[len(at)-1]) {
			r.Advise(r.Position(n), "put it into secrets/<stack>.env (salvor secret set), which is encrypted", "%s looks "+
				"like a secret, but vars are not encrypted", at)
		}
		return v
	}}
}
