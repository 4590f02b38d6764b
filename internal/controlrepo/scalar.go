package controlrepo

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"salvor/internal/fleet"
	"salvor/internal/secret"
)

var (
	durationPattern   = regexp.MustCompile(`^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$`)
	variablePattern   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	optionPattern     = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	dockerNamePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)
	vaultPattern      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	secretPattern     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./-]*$`)
)

// text is a string that check accepts; a nil check accepts every string but "".
func text(check func(string) error) shape[string] {
	return shape[string]{schema: &schema{Type: types{"string"}}, decode: func(r *reader, n *yaml.Node, at path) string {
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
			r.fail(n, "%s is %s, want text%s", at, kindOf(n), quoteAdvice(n))
			return ""
		}
		switch {
		case check != nil:
			if err := check(n.Value); err != nil {
				r.fail(n, "%s: %v", at, err)
			}
		case n.Value == "":
			r.fail(n, "%s is empty", at)
		}
		return n.Value
	}}
}

// quoteAdvice helps with what YAML takes for a number or a truth value.
func quoteAdvice(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.Value == "" || isNull(n) {
		return ""
	}
	return fmt.Sprintf(": write it as %q", n.Value)
}

// matching is text of a pattern that JSON Schema understands as well.
func matching(pattern *regexp.Regexp, want string) shape[string] {
	s := text(func(v string) error {
		if !pattern.MatchString(v) {
			return fmt.Errorf("%q is not %s", v, want)
		}
		return nil
	})
	s.schema.Pattern = pattern.String()
	return s
}

// name is text that names a host, stack, remote or target.
func name() shape[string] {
	s := text(fleet.ValidName)
	s.schema.Pattern = names().pattern
	return s
}

func names() naming {
	return naming{`^[a-z0-9][a-z0-9_-]{0,62}$`, fleet.ValidName}
}

func keysLike(pattern *regexp.Regexp, want string) naming {
	return naming{pattern.String(), func(v string) error {
		if !pattern.MatchString(v) {
			return fmt.Errorf("%q is not %s", v, want)
		}
		return nil
	}}
}

// choice is one of a few words.
func choice[T ~string](words ...T) shape[T] {
	known := make([]string, len(words))
	for i, w := range words {
		known[i] = string(w)
	}
	return shape[T]{schema: &schema{Type: types{"string"}, Enum: known}, decode: func(r *reader, n *yaml.Node, at path) T {
		if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
			for _, w := range words {
				if string(w) == n.Value {
					return w
				}
			}
			r.fail(n, "%s is %q, want one of %s%s", at, n.Value, strings.Join(known, ", "), didYouMean(n.Value, known))
			return ""
		}
		r.fail(n, "%s is %s, want one of %s", at, kindOf(n), strings.Join(known, ", "))
		return ""
	}}
}

// number is a whole number within limits.
func number(least, most int) shape[int] {
	s := &schema{Type: types{"integer"}, Minimum: &least, Maximum: &most}
	return shape[int]{schema: s, decode: func(r *reader, n *yaml.Node, at path) int {
		var v int
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || n.Decode(&v) != nil {
			r.fail(n, "%s is %s, want a number from %d to %d", at, kindOf(n), least, most)
			return 0
		}
		if v < least || v > most {
			r.fail(n, "%s is %d, want a number from %d to %d", at, v, least, most)
		}
		return v
	}}
}

// truth is true or false.
func truth() shape[bool] {
	return shape[bool]{schema: &schema{Type: types{"boolean"}}, decode: func(r *reader, n *yaml.Node, at path) bool {
		var v bool
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Decode(&v) != nil {
			r.fail(n, "%s is %s, want true or false", at, kindOf(n))
		}
		return v
	}}
}

// duration is a span of time in weeks, days, hours, minutes and seconds: 15m, 1h30m, 7d.
func duration() shape[time.Duration] {
	s := &schema{Type: types{"string"}, Pattern: durationPattern.String()}
	return shape[time.Duration]{schema: s, decode: func(r *reader, n *yaml.Node, at path) time.Duration {
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
			r.fail(n, "%s is %s, want a duration such as 15m, 1h or 7d", at, kindOf(n))
			return 0
		}
		d, err := ParseDuration(n.Value)
		if err != nil {
			r.fail(n, "%s: %v", at, err)
		}
		return d
	}}
}

// ParseDuration reads a duration as fleet.yaml writes it: whole weeks, days,
// hours, minutes and seconds in this order, such as 15m, 1h30m or 7d. A day is
// 24 hours. The duration is longer than zero.
func ParseDuration(s string) (time.Duration, error) {
	m := durationPattern.FindStringSubmatch(s)
	if m == nil || s == "" {
		return 0, fmt.Errorf("%q is not a duration: write it like 15m, 1h or 7d", s)
	}
	var total time.Duration
	for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if m[i+1] == "" {
			continue
		}
		count, err := strconv.ParseInt(m[i+1][:len(m[i+1])-1], 10, 32)
		part := time.Duration(count) * unit
		if err != nil || count > int64(maxDuration/unit) || total+part > maxDuration {
			return 0, fmt.Errorf("%q is too long, want at most 100 years", s)
		}
		total += part
	}
	if total == 0 {
		return 0, fmt.Errorf("%q is zero, which is not allowed", s)
	}
	return total, nil
}

const maxDuration = 100 * 365 * 24 * time.Hour

// plain is any scalar, taken as it is written: 8080, true, Europe/Zurich.
func plain() shape[string] {
	s := &schema{Type: types{"string", "number", "boolean"}}
	return shape[string]{schema: s, decode: func(r *reader, n *yaml.Node, at path) string {
		if n.Kind != yaml.ScalarNode || !isPlainTag(n.ShortTag()) {
			r.fail(n, "%s is %s, want text, a number, true or false", at, kindOf(n))
			return ""
		}
		return n.Value
	}}
}

func isPlainTag(tag string) bool {
	switch tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
		return true
	}
	return false
}

// setting is a scalar as it is written, or a reference `secret:NAME`.
func setting() shape[secret.Setting] {
	s := plain()
	return shape[secret.Setting]{schema: s.schema, decode: func(r *reader, n *yaml.Node, at path) secret.Setting {
		v := secret.ParseSetting(s.decode(r, n, at))
		if ref, ok := v.Secret(); ok && !secretPattern.MatchString(ref) {
			r.fail(n, "%s: %q is not the name of a secret: use letters, digits, _, -, . and /", at, v)
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
		"%s is a secret, but it is written here in plain text", at)
}
