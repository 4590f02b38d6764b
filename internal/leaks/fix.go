package leaks

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/scan"
)

// Advice is the next command for leaks in files that are not committed yet.
func Advice(leaks []scan.Leak) string {
	for _, l := range leaks {
		if importable(l) {
			return importing(l.Path, leaks)
		}
	}
	for _, l := range leaks {
		if stackOf(l.Path) != "" {
			return fix(l, leaks)
		}
	}
	return "salvor secret set NAME keeps it encrypted"
}

// fix is what is to be done about one of several leaks.
func fix(l scan.Leak, leaks []scan.Leak) string {
	stack := stackOf(l.Path)
	replaced, _, _ := strings.Cut(l.Default, " ")
	switch {
	case importable(l):
		return importing(l.Path, leaks)
	case stack != "" && replaced != "":
		return "salvor secret set " + stack + "/" + replaced + " (--generate makes a value), so that no one gets this default"
	case stack != "":
		return "salvor secret set " + wholeFile(l.Path) + " <" + l.Path + ", and mount it (docs/secrets.md); if it is not real, in fleet.yaml: scan: {allow: [" + l.Path + "]}"
	}
	return "salvor secret set NAME, and change the value where it is used: Git keeps its history"
}

// composeFile is what Compose files are called.
var composeFile = regexp.MustCompile(`^(?:docker-)?compose[A-Za-z0-9._-]*\.ya?ml$`)

// importable reports whether secret import takes a leak out of its file.
func importable(l scan.Leak) bool {
	inline := stackOf(l.Path) != "" && composeFile.MatchString(path.Base(l.Path)) && l.Default == "" && l.Rule != scan.RulePrivateKey
	return inline || l.EnvFile
}

// notInName is what the name of a secret can't have.
var notInName = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// wholeFile is the name of a secret that is a file of a stack.
func wholeFile(file string) string {
	return stackOf(file) + "_" + notInName.ReplaceAllString(path.Base(file), "_")
}

// importing is the command for a file, and for the others of its stack.
func importing(file string, leaks []scan.Leak) string {
	files := []string{file}
	for _, l := range leaks {
		if importable(l) && stackOf(l.Path) == stackOf(file) && stackOf(file) != "" {
			files = append(files, l.Path)
		}
	}
	slices.Sort(files)
	return "salvor secret import " + strings.Join(slices.Compact(files), " ")
}

// stackOf returns the folder below stacks/ that a file is in, "" for none.
func stackOf(file string) string {
	if parts := strings.Split(file, "/"); len(parts) > 2 && parts[0] == fleet.StackDir {
		return parts[1]
	}
	return ""
}
