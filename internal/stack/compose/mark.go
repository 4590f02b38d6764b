package compose

import (
	"regexp"
	"strings"

	"salvor/internal/project"
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

// tailnetMark stands for project.TailnetIP. compose-go takes nothing but an address in front
// of a port, so it is one.
const tailnetMark = project.TailnetStandIn

// marked reports whether a secret is in s. An address in the tailnet is not secret.
func marked(s string) bool { return strings.Contains(s, markBegin) }

// unmark writes marks as Compose does: ${KEY}.
func unmark(s string) string {
	s = strings.ReplaceAll(s, tailnetMark, "${"+project.TailnetIP+"}")
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
