package controlrepo

import (
	"fmt"
	"regexp"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/yamldoc"
)

var (
	variablePattern   = regexp.MustCompile(fleet.VariablePattern)
	optionPattern     = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	dockerNamePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)
	vaultPattern      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	secretPattern     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./-]*$`)
)

// name is text that names a host, stack, remote or target.
func name() yamldoc.Shape[string] {
	s := yamldoc.Text(fleet.ValidName)
	s.Schema.Pattern = names().Pattern
	return s
}

func names() yamldoc.Naming {
	return yamldoc.Naming{Pattern: `^[a-z0-9][a-z0-9_-]{0,62}$`, Check: fleet.ValidName}
}

// setting is a scalar as it is written, or a reference `secret:NAME`.
func setting() yamldoc.Shape[secret.Setting] {
	s := yamldoc.Plain()
	return yamldoc.Shape[secret.Setting]{Schema: s.Schema, Decode: func(r *yamldoc.Reader, n *yamldoc.Node, at yamldoc.Path) secret.Setting {
		v := secret.ParseSetting(s.Decode(r, n, at))
		if ref, ok := v.Secret(); ok && !secretPattern.MatchString(ref) {
			r.Fail(n, "%s: %q is not the name of a secret: use letters, digits, _, -, . and /", at, v)
		}
		return v
	}}
}

// reference is a setting that has to be `secret:NAME`.
func reference() yamldoc.Shape[secret.Setting] {
	s := &yamldoc.Schema{Type: yamldoc.Types{"string"}, Pattern: "^secret:[A-Za-z0-9_][A-Za-z0-9_./-]*$"}
	inner := setting()
	return yamldoc.Shape[secret.Setting]{Schema: s, Decode: func(r *yamldoc.Reader, n *yamldoc.Node, at yamldoc.Path) secret.Setting {
		v := inner.Decode(r, n, at)
		if _, ok := v.Secret(); !ok && yamldoc.IsScalar(n) {
			refusePlainSecret(r, n, at)
		}
		return v
	}}
}

// refusePlainSecret reports a secret written as it is. The value is not shown.
func refusePlainSecret(r *yamldoc.Reader, n *yamldoc.Node, at yamldoc.Path) {
	name := strings.Join(at[max(0, len(at)-2):], "_")
	r.Advise(r.Position(n), fmt.Sprintf("salvor secret set %s, then write secret:%s here", name, name),
		"%s is a secret, but it is written here in plain text", at)
}
