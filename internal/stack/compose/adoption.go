package compose

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/hostpath"
	"salvor/internal/project"
)

// adoptionOf gathers what Compose reads of the stack in Git, nil for a stack that has no
// folder of its own on its host and is not a draft, which has no relative path. Which services
// it makes of that is the host's to say.
func adoptionOf(l *load, tailnet bool) (*project.Adoption, error) {
	if l.Stack.ProjectDir == "" && !l.Stack.Draft {
		return nil, nil
	}
	composeFiles, err := l.composeFiles()
	if err != nil {
		return nil, err
	}
	a := &project.Adoption{Dir: cmp.Or(l.Stack.ProjectDir, hostpath.Default().Project(l.Stack.Name)), Vars: map[string]string{}}
	for _, name := range composeFiles {
		a.Compose = append(a.Compose, below(l.Stack.Dir, name))
	}
	for _, name := range slices.Sorted(maps.Keys(l.reads)) {
		content, err := l.readRepo(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		mode := uint32(0o644)
		if info, there := l.stat(name); there && info.Mode()&0o111 != 0 {
			mode = 0o755
		}
		a.Files = append(a.Files, project.File{Path: below(l.Stack.Dir, name), Mode: mode, Data: content})
	}
	if !tailnet {
		delete(l.env, project.TailnetIP)
	}
	for name, value := range l.env {
		a.Vars[name] = escapedValue(value)
	}
	if _, inGit := l.stat(l.Stack.Dir + "/.env"); !inGit {
		a.Env = map[string]string{}
		for name, value := range l.stackEnv {
			a.Env[name] = escapedValue(value)
		}
	}
	return a, nil
}

// below is a path of the repository as seen from a folder of it.
func below(dir, repoPath string) string {
	rel, err := filepath.Rel(dir, repoPath)
	if err != nil {
		return repoPath // both are relative to the repository, so there is a way
	}
	return filepath.ToSlash(rel)
}

// escapedValue writes marks as ${NAME}, and a dollar as $$.
func escapedValue(value string) string { return unmark(strings.ReplaceAll(value, "$", "$$")) }
