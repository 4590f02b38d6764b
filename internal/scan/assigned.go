package scan

import (
	"regexp"
	"strings"
)

// assigned finds keys with values inside of one value: flags of a command,
// mount options, the query of a URL.
type assigned struct {
	pair   *regexp.Regexp // key=value, --key=value
	client *regexp.Regexp // mysql -pVALUE
	flag   *regexp.Regexp // --key value
	bare   *regexp.Regexp // --key, its value is the next argument
}

func newAssigned() assigned {
	return assigned{
		pair: regexp.MustCompile(`(?:^|[\s,;&?"'(])-{0,2}([A-Za-z][A-Za-z0-9_.-]*)=("[^"\n]*"|'[^'\n]*'|[^\s,;&"']+)`),
		flag: regexp.MustCompile(`(?:^|\s)--([A-Za-z][A-Za-z0-9_-]*)[ \t]+("[^"\n]*"|'[^'\n]*'|[^\s"'-][^\s"']*)`),
		// The clients whose short flag for a password everybody knows.
		client: regexp.MustCompile(`\b(?:(?:mysql|mariadb)[a-z-]*\b[^\n|;&]*?\s-p|redis-cli\b[^\n|;&]*?\s-a\s+)("[^"\n]*"|'[^'\n]*'|[^\s"'|;&]+)`),
		bare:   regexp.MustCompile(`^--?([A-Za-z][A-Za-z0-9_-]*)$`),
	}
}

// A part is a key and where its value is in a longer one, without quotes.
type part struct {
	key        string
	start, end int
}

func (a assigned) parts(value string) []part {
	var parts []part
	for _, pattern := range []*regexp.Regexp{a.pair, a.flag} {
		// One by one: the separator after a value is the one before the next key.
		for at := 0; at < len(value); {
			m := pattern.FindStringSubmatchIndex(value[at:])
			if m == nil {
				break
			}
			p := part{key: value[at+m[2] : at+m[3]], start: at + m[4], end: at + m[5]}
			if quote := value[p.start]; quote == '"' || quote == '\'' {
				p.start, p.end = p.start+1, p.end-1
			}
			parts = append(parts, p)
			at += m[5]
		}
	}
	return parts
}

// inside returns the secrets that the parts of a value name, as hits in the
// value's own bytes.
func (s *Scanner) inside(value string, explained bool) []hit {
	if !strings.ContainsAny(value, "=-") {
		return nil
	}
	var hits []hit
	for _, p := range s.assigned.parts(value) {
		text := value[p.start:p.end]
		if start, end, found := s.values.in(text, s.keys.meaning(p.key, false), explained); found {
			hits = append(hits, s.plain(p.key, text[start:end], p.start+start))
		}
	}
	for _, m := range s.assigned.client.FindAllStringSubmatchIndex(value, -1) {
		text := strings.Trim(value[m[2]:m[3]], `"'`)
		if start, end, found := s.values.literal(text, explained); found {
			at := m[2] + strings.Index(value[m[2]:m[3]], text) + start
			hits = append(hits, hit{start: at, end: at + end - start, rank: byKey, rule: RulePlain, says: "a password in a command"})
		}
	}
	return hits
}

// plain is the hit for a value that a key names.
func (s *Scanner) plain(key, value string, at int) hit {
	h := hit{start: at, end: at + len(value), rank: byKey, rule: RulePlain, says: "a secret in plain text", name: key}
	if s.keys.sayable(key, value) {
		h.key, h.says = key, key+" has its value in plain text"
	}
	return h
}
