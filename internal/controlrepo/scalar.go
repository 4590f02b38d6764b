package controlrepo

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"salvor/internal/suggest"
)

var durationPattern = regexp.MustCompile(`^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$`)

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
			r.fail(n, "%s is %q, want one of %s%s", at, n.Value, strings.Join(known, ", "), suggest.DidYouMean(n.Value, known))
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
		return 0, fmt.Errorf("%q is no duration: write it like 15m, 1h or 7d", s)
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
		return 0, fmt.Errorf("%q is no time at all", s)
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
