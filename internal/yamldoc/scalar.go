package yamldoc

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

// Text is a string that check accepts; a nil check accepts every string but "".
func Text(check func(string) error) Shape[string] {
	return Shape[string]{Schema: &Schema{Type: Types{"string"}}, Decode: func(r *Reader, n *yaml.Node, at Path) string {
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
			r.Fail(n, "%s is %s, want text%s", at, KindOf(n), quoteAdvice(n))
			return ""
		}
		switch {
		case check != nil:
			if err := check(n.Value); err != nil {
				r.Fail(n, "%s: %v", at, err)
			}
		case n.Value == "":
			r.Fail(n, "%s is empty", at)
		}
		return n.Value
	}}
}

// quoteAdvice helps with what YAML takes for a number or a truth value.
func quoteAdvice(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.Value == "" || IsNull(n) {
		return ""
	}
	return fmt.Sprintf(": write it as %q", n.Value)
}

// Matching is text of a pattern that JSON Schema understands as well.
func Matching(pattern *regexp.Regexp, want string) Shape[string] {
	s := Text(func(v string) error {
		if !pattern.MatchString(v) {
			return fmt.Errorf("%q is not %s", v, want)
		}
		return nil
	})
	s.Schema.Pattern = pattern.String()
	return s
}

// KeysLike is the rule for keys of a pattern. want says what one is.
func KeysLike(pattern *regexp.Regexp, want string) Naming {
	return Naming{pattern.String(), func(v string) error {
		if !pattern.MatchString(v) {
			return fmt.Errorf("%q is not %s", v, want)
		}
		return nil
	}}
}

// Choice is one of a few words.
func Choice[T ~string](words ...T) Shape[T] {
	known := make([]string, len(words))
	for i, w := range words {
		known[i] = string(w)
	}
	return Shape[T]{Schema: &Schema{Type: Types{"string"}, Enum: known}, Decode: func(r *Reader, n *yaml.Node, at Path) T {
		if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
			for _, w := range words {
				if string(w) == n.Value {
					return w
				}
			}
			r.Fail(n, "%s is %q, want one of %s%s", at, n.Value, strings.Join(known, ", "), suggest.DidYouMean(n.Value, known))
			return ""
		}
		r.Fail(n, "%s is %s, want one of %s", at, KindOf(n), strings.Join(known, ", "))
		return ""
	}}
}

// Number is a whole number within limits.
func Number(least, most int) Shape[int] {
	s := &Schema{Type: Types{"integer"}, Minimum: &least, Maximum: &most}
	return Shape[int]{Schema: s, Decode: func(r *Reader, n *yaml.Node, at Path) int {
		var v int
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || n.Decode(&v) != nil {
			r.Fail(n, "%s is %s, want a number from %d to %d", at, KindOf(n), least, most)
			return 0
		}
		if v < least || v > most {
			r.Fail(n, "%s is %d, want a number from %d to %d", at, v, least, most)
		}
		return v
	}}
}

// Truth is true or false.
func Truth() Shape[bool] {
	return Shape[bool]{Schema: &Schema{Type: Types{"boolean"}}, Decode: func(r *Reader, n *yaml.Node, at Path) bool {
		var v bool
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Decode(&v) != nil {
			r.Fail(n, "%s is %s, want true or false", at, KindOf(n))
		}
		return v
	}}
}

// Duration is a span of time in weeks, days, hours, minutes and seconds: 15m, 1h30m, 7d.
func Duration() Shape[time.Duration] {
	s := &Schema{Type: Types{"string"}, Pattern: durationPattern.String()}
	return Shape[time.Duration]{Schema: s, Decode: func(r *Reader, n *yaml.Node, at Path) time.Duration {
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
			r.Fail(n, "%s is %s, want a duration such as 15m, 1h or 7d", at, KindOf(n))
			return 0
		}
		d, err := ParseDuration(n.Value)
		if err != nil {
			r.Fail(n, "%s: %v", at, err)
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

// Plain is any scalar, taken as it is written: 8080, true, Europe/Zurich.
func Plain() Shape[string] {
	s := &Schema{Type: Types{"string", "number", "boolean"}}
	return Shape[string]{Schema: s, Decode: func(r *Reader, n *yaml.Node, at Path) string {
		if n.Kind != yaml.ScalarNode || !isPlainTag(n.ShortTag()) {
			r.Fail(n, "%s is %s, want text, a number, true or false", at, KindOf(n))
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
