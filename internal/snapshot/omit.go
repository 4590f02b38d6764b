package snapshot

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/fleet"
)

// allLeft reports whether nothing is left of a volume that has files.
func (s scan) allLeft() bool {
	return s.stats.Left.Files > 0 && (s.stats.Files == 0 || slices.Contains(s.caches, "."))
}

func (s scan) allLeftText() string {
	if slices.Contains(s.caches, ".") {
		return "its own folder is marked as a cache (CACHEDIR.TAG), so snapshots would leave out all of it; caches: keep takes it"
	}
	return "its exclude: matches everything that is in it: " + strings.Join(s.stats.Left.Patterns, ", ")
}

// excludeFile writes what restic leaves out, and returns the file's path: "" for nothing. What restic and scan leave out is
// the same: the patterns mean the same to both, also for files that are made meanwhile, and the folders that are
// caches are listed as scan has found them. Each pattern begins with the volume's own path.
func excludeFile(t *taking, spool string) (string, error) {
	var lines []string
	for _, v := range t.job.Volumes {
		root := inside(t.job.Stack, DirName(v.Name))
		for _, rel := range t.scans[v.Name].caches {
			folder := literal(path.Join(root, rel))
			lines = append(lines, folder+"/*", "!"+folder+"/"+cacheTag)
		}
		lines = append(lines, t.copies[v.Name].excluded(root)...)
		lines = append(lines, patternLines(literal(root), v.Omit)...) // last: a pattern may leave out a cache's tag
	}
	if len(lines) == 0 {
		return "", nil
	}
	file := filepath.Join(spool, "exclude")
	return file, atomicfile.Write(file, strings.NewReader(strings.Join(lines, "\n")+"\n"), 0o600)
}

// patternLines are an omission's patterns as restic has them, below a folder.
func patternLines(root string, omit fleet.Omission) []string {
	var lines []string
	for _, p := range omit.Patterns {
		lines = append(lines, root+"/"+strings.Join(fleet.PatternParts(p), "/"))
	}
	return lines
}

// literal is a path as a line of restic's --exclude-file, where $ begins a variable and some signs are of patterns.
func literal(name string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "$", "$$").Replace(name)
}
