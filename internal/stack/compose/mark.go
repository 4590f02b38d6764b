package compose

import (
	"regexp"
	"strings"
)

// A mark stands where a secret's value belongs while compose-go works on the
// project: private-use characters around the key, which no Compose file holds
// and every parser on the way lets through. So `${KEY:-default}` and its kin
// are decided as on the host, where the value is there.
const (
	markBegin = "\ue000"
	markEnd   = "\ue001"
)

var markPattern = regexp.MustCompile(markBegin + `([^` + markBegin + markEnd + `]*)` + markEnd)

func mark(key string) string { return markBegin + key + markEnd }

func marked(s string) bool { return strings.Contains(s, markBegin) }

// unmark writes marks as Compose does: ${KEY}.
func unmark(s string) string {
	if !marked(s) {
		return s
	}
	return markPattern.ReplaceAllStringFunc(s, func(m string) string {
		return "${" + strings.TrimSuffix(strings.TrimPrefix(m, markBegin), markEnd) + "}"
	})
}

// marks returns the keys of the marks in s.
func marks(s string) []string {
	var keys []string
	for _, m := range markPattern.FindAllStringSubmatch(s, -1) {
		keys = append(keys, m[1])
	}
	return keys
}
