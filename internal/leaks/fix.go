package leaks

import (
	"slices"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/scan"
)

// Advice is the next command for leaks in files that are not committed yet.
func Advice(leaks []scan.Leak) string {
	for _, l := range leaks {
		if scan.IsDotenv(l.Path) {
			return importing(l.Path, leaks)
		}
	}
	return "salvor secret set NAME keeps it encrypted"
}

// fix is what is to be done about one of several leaks.
func fix(l scan.Leak, leaks []scan.Leak) string {
	stack := stackOf(l.Path)
	replaced, _, _ := strings.Cut(l.Default, " ")
	switch {
	case scan.IsDotenv(l.Path):
		return importing(l.Path, leaks)
	case stack != "" && replaced != "":
		return "salvor secret set " + stack + "/" + replaced + " (--generate makes a value), so that no one gets this default"
	case stack != "" && fleet.IsVariable(l.Key):
		return "salvor secret set " + stack + "/" + l.Key + ", and write ${" + l.Key + "} here; if it was committed, give it a new value: Git keeps its history"
	}
	return "salvor secret set NAME, and change the value where it is used: Git keeps its history"
}

// importing is the command for an env file, and for the others of its stack.
func importing(file string, leaks []scan.Leak) string {
	files := []string{file}
	for _, l := range leaks {
		if scan.IsDotenv(l.Path) && stackOf(l.Path) == stackOf(file) && stackOf(file) != "" {
			files = append(files, l.Path)
		}
	}
	slices.Sort(files)
	return "salvor secret import " + strings.Join(slices.Compact(files), " ")
}
