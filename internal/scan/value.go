package scan

import (
	"regexp"
	"strings"
)

// values distinguishes a placeholder from the secret itself.
type values struct {
	reference   *regexp.Regexp // to a secret kept elsewhere
	blank       *regexp.Regexp // a place to fill in
	truth       *regexp.Regexp // a setting after all
	hash        *regexp.Regexp // of a password, as crypt and its successors write them
	format      *regexp.Regexp // a program fills it in
	path        *regexp.Regexp
	plainURL    *regexp.Regexp // without user or query
	placeholder *regexp.Regexp // a word that examples use
	random      *regexp.Regexp // letters and digits as a program draws them
	variable    *regexp.Regexp
	defaults    *regexp.Regexp // a text that goes on with a variable's default
}

func newValues() values {
	return values{
		reference: regexp.MustCompile(`^(?:(?:secret|env|file|op|vault):\S|\{\{.*\}\}$|\{%|\$\$?\(|\$\$\{|\$\$[A-Za-z_][A-Za-z0-9_]*$|%env\(|!)|^/run/secrets/`),
		blank:     regexp.MustCompile(`^(?:<.*>|\[.*\]|[*xX.•…]+|["']+)$`),
		truth:     regexp.MustCompile(`(?i)^(?:true|false|yes|no|on|off|none|null|~|auto|always|never|on_create|[0-9])$`),
		hash:      regexp.MustCompile(`^(?:\$\$?(?:2[abxy]|argon2[a-z]*|apr1|pbkdf2[a-z0-9-]*|scrypt|y|gy|1|5|6)\$|\{(?:S?SHA|SSHA|MD5|SMD5|CRYPT|PBKDF2|BCRYPT)[0-9-]*\}|sha1:[0-9a-f]+:)`),
		// %s, %(password)s, {password}, <%= x %>, @PASSWORD@, __PASSWORD__, https://a.example.net/?token=%s
		format:      regexp.MustCompile(`^%[sdvq]$|^%\([A-Za-z_]+\)s$|^\{[A-Za-z_][A-Za-z0-9_.]*\}$|^<%|^@[A-Z][A-Z0-9_]*@$|^__[A-Z][A-Z0-9_]*__$|^[A-Za-z][A-Za-z0-9+.-]*://[^\s%]*%[sdv]`),
		path:        regexp.MustCompile(`^(?:~|\.{1,2}|[A-Za-z]:)?(?:[/\\][A-Za-z0-9._@ -]{1,64}){2,}/?$|^(?:~|\.{1,2})/[A-Za-z0-9._@-]+$|^/[A-Za-z._@-]+$`),
		plainURL:    regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*://[^@?]*$`),
		placeholder: regexp.MustCompile(`(?i)^(?:change[-_ ]?(?:me|this|it).*|replace[-_ ]?(?:me|this|with).*|(?:your|my|some|the|enter|insert|put|set|use|add)[-_ ].*|.*[-_ ]here|.*example.*|.*placeholder.*|(?:db|database|postgres|mysql|root|user|admin|super)?[-_ ]?(?:password|passwd|pass|pw|pwd|secret|token|key)|todo|fixme|dummy|foo|bar|test)$`),
		random:      regexp.MustCompile(`[0-9][A-Za-z]+[0-9]`),
		defaults:    regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*):?-[ \t"']*$`),
		variable:    regexp.MustCompile(`^\$[A-Za-z_][A-Za-z0-9_]*`),
	}
}

// literal returns where in a value a secret is written out: all of it, the
// default of a ${VARIABLE:-default}, or nothing. explained says that the value
// is written for readers, so a placeholder is one.
func (v values) literal(value string, explained bool) (start, end int, found bool) {
	start = len(value) - len(strings.TrimLeft(value, " \t\r\n"))
	value = strings.TrimRight(value, " \t\r\n")
	end = len(value)
	if start >= end {
		return 0, 0, false
	}
	core := value[start:]
	for _, harmless := range []*regexp.Regexp{v.reference, v.blank, v.truth, v.hash, v.format, v.path, v.plainURL} {
		if harmless.MatchString(core) {
			return 0, 0, false
		}
	}
	if explained && v.placeholder.MatchString(core) {
		return 0, 0, false
	}
	if !strings.Contains(core, "$") {
		return start, end, true
	}
	from, to, found := v.interpolated(core, explained)
	return start + from, start + to, found
}

// interpolated is literal for a value with variables. What surrounds one is
// glue, unless a bare $name follows a letter or digit: that is more likely a
// password with a dollar sign.
func (v values) interpolated(value string, explained bool) (start, end int, found bool) {
	variables := false
	for i := 0; i < len(value); i++ {
		rest := value[i:]
		switch {
		case strings.HasPrefix(rest, "$$"):
			i++
		case strings.HasPrefix(rest, "${"):
			variables = true
			size := braced(rest)
			from, to := defaultOf(rest[:size])
			if a, b, literal := v.literal(rest[from:to], explained); literal {
				return i + from + a, i + from + b, true
			}
			i += size - 1
		case v.variable.MatchString(rest):
			if i > 0 && isWordByte(value[i-1]) {
				return 0, len(value), true
			}
			variables = true
		}
	}
	return 0, len(value), !variables
}

func isWordByte(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'
}

// braced returns how long the ${…} is that a text begins with, others in its
// default included.
func braced(s string) int {
	depth := 0
	for i := range len(s) {
		switch {
		case s[i] == '{':
			depth++
		case s[i] == '}' && depth == 1:
			return i + 1
		case s[i] == '}':
			depth--
		}
	}
	return len(s)
}

// defaultOf returns where the default is in a ${NAME:-default} or ${NAME-default}.
// The text of ${NAME:?text} is a message.
func defaultOf(s string) (start, end int) {
	name := strings.IndexAny(s, ":-?+")
	if name < 0 {
		return 0, 0
	}
	operator := strings.TrimPrefix(s[name:], ":")
	if !strings.HasPrefix(operator, "-") {
		return 0, 0
	}
	return len(s) - len(operator) + 1, len(strings.TrimSuffix(s, "}"))
}

// replacing returns the variables whose default a text ends in front of, the outermost
// first: those of "${A:-${B-".
func (v values) replacing(before string) string {
	var names []string
	before = before[max(0, len(before)-maxDefault):]
	for {
		m := v.defaults.FindStringSubmatchIndex(before)
		if m == nil {
			return strings.Join(names, " ")
		}
		names = append([]string{before[m[2]:m[3]]}, names...)
		before = before[:m[0]]
	}
}

// maxDefault is more than the names of nested defaults take.
const maxDefault = 400

// isPath reports whether a value can be the path that a key asks for.
func (v values) isPath(value string) bool {
	return strings.ContainsAny(value, `/\.`) && !strings.ContainsAny(value, "\n")
}

// in returns where in the value of a key a secret is written out.
func (v values) in(value string, m meaning, explained bool) (start, end int, found bool) {
	switch {
	case m == harmless, m == secretPath && v.isPath(value):
		return 0, 0, false
	case m == address && !strings.ContainsAny(value, "@") && !strings.Contains(strings.ToLower(value), "password="):
		return 0, 0, false
	}
	return v.literal(value, explained)
}
