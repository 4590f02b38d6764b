package compose

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode"

	"salvor/internal/finding"
	"salvor/internal/suggest"
)

// misspelt asks about a relative source that the commit does not have next to one whose
// name differs in one letter: taken as new data, the container would start with an empty
// folder.
func (c classifier) misspelt(m *mount, repoPath string) bool {
	meant := c.neighbour(repoPath)
	if meant == "" {
		return false
	}
	rel, err := filepath.Rel(filepath.FromSlash(c.load.Stack.Dir), filepath.FromSlash(meant))
	if err != nil {
		return false
	}
	source := written(m.entry.Source)
	c.load.found(finding.Finding{Code: finding.MountUnclassified, Severity: finding.Fatal, Subject: c.load.files.mount(m.service, m.entry.Target),
		Text: fmt.Sprintf("%s: %s is not in Git, but %s is", m.service, source, written(filepath.ToSlash(rel))),
		Fix:  fmt.Sprintf("write %s; if %s is data of its own: x-salvor.volumes: {%s: {protect: snapshot}}", written(filepath.ToSlash(rel)), source, source)})
	return true
}

// neighbour returns the path of the commit that one which it does not have was probably
// meant to be: the first part that is missing is spelt like one that is there.
func (c classifier) neighbour(repoPath string) string {
	at := ""
	for part := range strings.SplitSeq(repoPath, "/") {
		next := path.Join(at, part)
		if _, there := c.load.stat(next); there {
			at = next
			continue
		}
		entries, err := os.ReadDir(filepath.Join(c.load.RepoDir, filepath.FromSlash(at)))
		if err != nil {
			return ""
		}
		for _, e := range entries {
			if looksLike(part, e.Name()) {
				return path.Join(at, e.Name()) + strings.TrimPrefix(repoPath, next)
			}
		}
		return ""
	}
	return ""
}

// looksLike reports whether a name is another one with a slip of the finger: not data2
// next to data.
func looksLike(a, b string) bool {
	const least = 4 // letters; shorter names are alike by chance
	letters := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsDigit(r) {
				return -1
			}
			return unicode.ToLower(r)
		}, s)
	}
	return a != b && len(a) >= least && len(b) >= least && letters(a) != letters(b) && suggest.Distance(strings.ToLower(a), strings.ToLower(b)) == 1 ||
		a != b && strings.EqualFold(a, b)
}
