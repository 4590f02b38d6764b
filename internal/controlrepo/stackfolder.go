package controlrepo

import (
	"cmp"
	"fmt"
	"io/fs"
	pathpkg "path"
	"slices"
	"strings"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/suggest"
	"salvor/internal/yamldoc"
)

// composeFiles are the names Compose looks for, in its order.
var composeFiles = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}

// ComposeFiles returns the names of which a stack's folder has one, the first that
// counts first.
func ComposeFiles() []string { return slices.Clone(composeFiles) }

// A stackFolder is a folder of stacks/, which stacks can share if it is not one.
type stackFolder struct {
	name   string
	placed bool // a stack of that name is: it does not become a shared folder
}

// readStacks reads every folder of stacks/ that is a stack, and returns the names of
// those that are not. Files next to the folders and hidden folders are neither.
func readStacks(fsys fs.FS, lock fleet.Lock, problems *yamldoc.Report) (stacks []stackFile, shared []string) {
	dirs, err := fs.ReadDir(fsys, fleet.StackDir)
	if err != nil {
		problems.AddRead(fleet.StackDir, err)
		return nil, nil
	}
	for _, d := range dirs {
		if !d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			continue
		}
		s, is := readStack(fsys, stackFolder{d.Name(), isPlaced(lock, d.Name())}, problems)
		if is {
			stacks = append(stacks, s)
		} else {
			shared = append(shared, d.Name())
		}
	}
	return stacks, shared
}

// isPlaced reports whether a stack is placed whose folder has that name.
func isPlaced(lock fleet.Lock, folder string) bool {
	for name, p := range lock.Stacks {
		if cmp.Or(p.Called, name) == folder {
			return true
		}
	}
	return false
}

// composeFile returns the name of the Compose file among the entries of the folder, of
// several the one that Compose takes, or why there is none; neither where the folder is not
// a stack.
func (f stackFolder) composeFile(entries []fs.DirEntry) (name, problem string) {
	first, near := len(composeFiles), ""
	for _, e := range entries {
		switch {
		case e.IsDir():
		case slices.Contains(composeFiles, e.Name()):
			first = min(first, slices.Index(composeFiles, e.Name()))
		case strings.HasSuffix(e.Name(), ".yaml") || strings.HasSuffix(e.Name(), ".yml"):
			near = cmp.Or(near, suggest.DidYouMean(e.Name(), composeFiles))
		}
	}
	switch {
	case first < len(composeFiles):
		return composeFiles[first], ""
	case f.placed || near != "":
		return "", fmt.Sprintf("the stack has no Compose file (%s)%s", strings.Join(composeFiles, ", "), near)
	}
	return "", ""
}

// noticeShared reports folders that are not stacks and that no stack names.
func (repo *Repository) noticeShared(fsys fs.FS, shared []string, stacks []stackFile) {
	for _, name := range shared {
		named := slices.ContainsFunc(stacks, func(s stackFile) bool { return strings.Contains(string(s.content), "../"+name) })
		if named {
			continue
		}
		dir := pathpkg.Join(fleet.StackDir, name)
		f := finding.Finding{
			Code: finding.FolderUnused, Severity: finding.Info, Subject: dir,
			Text: fmt.Sprintf("it has no Compose file (%s), so it is not a stack, and no stack names it", strings.Join(composeFiles, ", ")),
			Fix:  "add its Compose file, or move the folder out of " + fleet.StackDir + "/",
		}
		if below := stackBelow(fsys, dir); below != "" {
			f.Severity = finding.Warning
			f.Text = fmt.Sprintf("%s has a Compose file, but is not a stack: only the folders of %s/ are", below, fleet.StackDir)
			f.Fix = fmt.Sprintf("git mv %s %s/%s", below, fleet.StackDir, pathpkg.Base(below))
		}
		repo.Findings = append(repo.Findings, f)
	}
}

// stackBelow returns a folder within one of stacks/ that has a Compose file, "" for none.
func stackBelow(fsys fs.FS, dir string) string {
	for _, file := range composeFiles {
		if found, err := fs.Glob(fsys, dir+"/*/"+file); err == nil && len(found) > 0 {
			return pathpkg.Dir(found[0])
		}
	}
	return ""
}
