package scan

import "strings"

// lines returns the secrets of a file with a key and a value in each line: a
// dotenv or INI file, or YAML that does not parse.
func (s *Scanner) lines(t *text) []hit {
	var hits []hit
	for row, start := range t.starts {
		line := t.line(row)
		key, from, ok := assignment(line, isYAML(t.path))
		if !ok {
			continue
		}
		from, to := unquoted(line, from)
		value, explained := line[from:to], isExample(t.path)
		m := s.keys.meaning(key, isFleet(t.path))
		if a, b, found := s.values.in(value, m, explained); found {
			hits = append(hits, s.plain(key, value[a:b], start+from+a))
		}
		if m != harmless {
			continue
		}
		for _, h := range s.inside(value, explained) {
			h.start, h.end = h.start+start+from, h.end+start+from
			hits = append(hits, h)
		}
	}
	return hits
}

// assignment splits a line into a key and the place of its value. YAML keys end
// with a colon, or with an equals sign in the list form of Compose.
func assignment(line string, yaml bool) (key string, value int, ok bool) {
	signs := "="
	if yaml {
		signs = "=:"
	}
	at := strings.IndexAny(line, signs)
	if at < 0 {
		return "", 0, false
	}
	key = strings.TrimSpace(line[:at])
	if yaml {
		key = strings.TrimSpace(strings.TrimPrefix(key, "-"))
	}
	key = strings.Trim(strings.TrimSpace(strings.TrimPrefix(key, "export ")), `"'`)
	return key, at + 1, key != "" && key[0] != '#' && !strings.ContainsAny(key, " \t")
}

// unquoted returns where the value is that begins at from: inside of its quotes, or
// up to a comment.
func unquoted(line string, from int) (start, end int) {
	value := strings.TrimLeft(line[from:], " \t")
	start = len(line) - len(value)
	if value != "" && (value[0] == '"' || value[0] == '\'') {
		if closing := strings.IndexByte(value[1:], value[0]); closing >= 0 {
			return start + 1, start + 1 + closing
		}
		return start + 1, len(line)
	}
	if comment := strings.Index(value, " #"); comment >= 0 {
		value = value[:comment]
	}
	return start, start + len(strings.TrimRight(value, " \t\r"))
}
