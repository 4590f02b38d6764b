package ssh

import "strings"

// quote makes the command line that a POSIX shell splits into exactly argv:
// each argument in single quotes, and '\” for a single quote (POSIX 2.2.2).
func quote(argv []string) string {
	quoted := make([]string, len(argv))
	for i, a := range argv {
		quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}
