package controlrepo

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"salvor/internal/fleet"
	"salvor/internal/secret"
)

var (
	variablePattern   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	optionPattern     = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	dockerNamePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)
	vaultPattern      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	secretPattern     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./-]*$`)
)

// name is text that names a host, stack, remote or target.
func name() shape[string] {
	s := text(fleet.ValidName)
	s.schema.Pattern = names().pattern
	return s
}

func names() naming {
	return naming{`^[a-z0-9][a-z0-9_-]{0,62}$`, fleet.ValidName}
}

// setting is a scalar as it is written, or a reference `secret:NAME`.
func setting() shape[secret.Setting] {
	s := plain()
	return shape[secret.Setting]{schema: s.schema, decode: func(r *reader, n *yaml.Node, at path) secret.Setting {
		v := secret.ParseSetting(s.decode(r, n, at))
		if ref, ok := v.Secret(); ok && !secretPattern.MatchString(ref) {
			r.fail(n, "%s: %q names no secret: use letters, digits, _, -, . and /", at, v)
		}
		return v
	}}
}

// reference is a setting that has to be `secret:NAME`.
func reference() shape[secret.Setting] {
	s := &schema{Type: types{"string"}, Pattern: "^secret:[A-Za-z0-9_][A-Za-z0-9_./-]*$"}
	inner := setting()
	return shape[secret.Setting]{schema: s, decode: func(r *reader, n *yaml.Node, at path) secret.Setting {
		v := inner.decode(r, n, at)
		if _, ok := v.Secret(); !ok && n.Kind == yaml.ScalarNode {
			refusePlainSecret(r, n, at)
		}
		return v
	}}
}

// refusePlainSecret reports a secret written as it is. The value is not shown.
func refusePlainSecret(r *reader, n *yaml.Node, at path) {
	name := strings.Join(at[max(0, len(at)-2):], "_")
	r.advise(r.position(n), fmt.Sprintf("salvor secret set %s, then write secret:%s here", name, name),
		"%s is a secret and stands here as plain text", at)
}
