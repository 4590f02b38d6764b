package scan

import (
	"regexp"
	"strings"
)

// anywhere finds what is a secret in any text.
type anywhere struct {
	url       *regexp.Regexp
	pem       *regexp.Regexp
	age       *regexp.Regexp
	wireguard *regexp.Regexp
	webhook   *regexp.Regexp
}

func newAnywhere() anywhere {
	const variable = `\$\{[^}\s]*\}`
	return anywhere{
		url: regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://(?:` + variable + `|[^\s:/?#@"'<>` + "`" + `])*:((?:` + variable + `|[^\s/@"'` + "`" + `])+)@[^\s@/"']`),
		// With the first letters of a body, so that a text about keys does not match.
		// They may be indented, quoted, in one line with \n, after headers.
		pem:       regexp.MustCompile(`-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[\s"'#,+]|\\[nr]|[A-Za-z-]{1,20}: [^\n]{0,100}\n)*[A-Za-z0-9+/=]{16,}`),
		age:       regexp.MustCompile(`(?i)AGE-SECRET-KEY-(?:PQ-)?1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{40,}`),
		wireguard: regexp.MustCompile(`(?m)^[ \t]*(?:PrivateKey|PresharedKey)[ \t]*=[ \t]*([A-Za-z0-9+/]{43}=)`),
		// gitleaks knows those of Slack and Teams.
		webhook: regexp.MustCompile(`https://(?:[a-z]+\.)?discord(?:app)?\.com/api/webhooks/[0-9]{15,21}/([A-Za-z0-9_-]{60,80})`),
	}
}

func (a anywhere) find(t *text, v values) []hit {
	var hits []hit
	if strings.Contains(t.content, "://") {
		hits = a.urls(t, v)
	}
	for _, m := range a.pem.FindAllStringIndex(t.content, -1) {
		hits = append(hits, hit{start: m[0], end: pemEnd(t.content, m[1]), rank: byFormat, rule: RulePrivateKey, says: "a private key"})
	}
	for _, m := range a.age.FindAllStringIndex(t.content, -1) {
		hits = append(hits, hit{start: m[0], end: m[1], rank: byFormat, rule: RulePrivateKey, says: "an age identity"})
	}
	for _, m := range a.wireguard.FindAllStringSubmatchIndex(t.content, -1) {
		hits = append(hits, hit{start: m[2], end: m[3], rank: byFormat, rule: RulePrivateKey, says: "a WireGuard key"})
	}
	for _, m := range a.webhook.FindAllStringSubmatchIndex(t.content, -1) {
		hits = append(hits, hit{start: m[2], end: m[3], rank: byFormat, rule: RuleURL, says: "the token of a Discord webhook"})
	}
	return hits
}

// pemEnd returns where the key ends that holds a byte: at its footer, unless the
// next one belongs to another key.
func pemEnd(content string, at int) int {
	const longest = 16 << 10
	rest := content[at:min(at+longest, len(content))]
	footer := strings.Index(rest, "-----END ")
	if footer < 0 || strings.Contains(rest[:footer], "-----BEGIN ") {
		return at
	}
	return at + footer
}

func (a anywhere) urls(t *text, v values) []hit {
	var hits []hit
	for _, m := range a.url.FindAllStringSubmatchIndex(t.content, -1) {
		password := t.content[m[2]:m[3]]
		if start, end, found := v.literal(password, t.explains(m[2])); found {
			hits = append(hits, hit{start: m[2] + start, end: m[2] + end, rank: byFormat, rule: RuleURL, says: "a password in a URL"})
		}
	}
	return hits
}
