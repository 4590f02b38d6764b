package compose

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/finding"
	"salvor/internal/hostpath"
)

// composeFiles returns the files that Compose merges for the stack, in its order, as
// paths in the repository: those of COMPOSE_FILE, else the stack's own and the
// override file next to it.
func (l *load) composeFiles() ([]string, error) {
	if listed := l.env[consts.ComposeFilePath]; listed != "" {
		return l.listedFiles(listed)
	}
	files := []string{path.Join(l.Stack.Dir, l.Stack.File)}
	for _, name := range cli.DefaultOverrideFileNames {
		if override := path.Join(l.Stack.Dir, name); l.isFile(override) {
			return append(files, override), nil
		}
	}
	return files, nil
}

// unusedFiles reports files with names that Compose looks for and of which it takes only the
// first.
func unusedFiles(l *load) {
	used, err := l.composeFiles()
	if err != nil || l.env[consts.ComposeFilePath] != "" {
		return // COMPOSE_FILE names what is used
	}
	for _, names := range [][]string{cli.DefaultFileNames, cli.DefaultOverrideFileNames} {
		taken := ""
		for _, name := range names {
			file := path.Join(l.Stack.Dir, name)
			switch {
			case !l.isFile(file):
			case taken == "":
				taken = name
			case !slices.ContainsFunc(l.files, func(s source) bool { return s.name == file }): // an include can name it
				l.found(finding.Finding{Code: finding.FileUnused, Severity: finding.Warning, Subject: file,
					Text: fmt.Sprintf("it is not used: Compose takes %s, which comes before it", taken),
					Fix:  fmt.Sprintf("remove it, or write COMPOSE_FILE=%s into %s/stack.env", listed(append(used, file)), l.Stack.Dir)})
			}
		}
	}
}

// listed are files of the stack's folder as COMPOSE_FILE names them.
func listed(files []string) string {
	var names []string
	for _, file := range files {
		names = append(names, path.Base(file))
	}
	return strings.Join(names, ":")
}

func (l *load) listedFiles(listed string) ([]string, error) {
	var files []string
	for _, name := range strings.Split(listed, cmp.Or(l.env[consts.ComposePathSeparator], ":")) {
		file, inside := l.inRepo(l.local(name))
		switch {
		case name == "-" || path.IsAbs(l.local(name)) || !inside:
			return nil, l.fail(setIn(l, consts.ComposeFilePath), "COMPOSE_FILE names %s, which is outside of the repository; copy it into the stack's folder", name)
		case !l.isFile(file):
			return nil, l.fail(setIn(l, consts.ComposeFilePath), "COMPOSE_FILE names %s, which is not in Git; git add %[1]s, or correct the path", file)
		case len(files) == 0 && path.Dir(file) != l.Stack.Dir:
			return nil, l.fail(setIn(l, consts.ComposeFilePath), "COMPOSE_FILE begins with %s, and Compose would read every path relative to its folder; list one of %s first", file, l.Stack.Dir)
		}
		files = append(files, file)
	}
	return files, nil
}

// setIn returns where an env file of the stack sets a variable, its folder if none does.
func setIn(l *load, name string) string {
	place := l.Stack.Dir
	for _, file := range []string{l.Stack.Dir + "/.env", l.Stack.Dir + "/stack.env"} {
		content, err := l.readRepo(file)
		if err != nil {
			continue
		}
		parsed, err := ParseEnv(file, content, lookup(l.env))
		if err != nil {
			continue // reported where it is read
		}
		for _, p := range parsed.parts {
			for _, e := range p.entries {
				if e.Name == name {
					place = fmt.Sprintf("%s:%d:1", file, e.Line)
				}
			}
		}
	}
	return place
}

// configFiles are the Compose files as compose-go takes them, which reads the repository in
// a folder.
func (l *load) configFiles(root string) ([]types.ConfigFile, error) {
	names, err := l.composeFiles()
	if err != nil {
		return nil, err
	}
	var files []types.ConfigFile
	for _, name := range names {
		content, err := l.readRepo(name)
		if err != nil {
			return nil, err
		}
		files = append(files, types.ConfigFile{Filename: filepath.Join(root, filepath.FromSlash(name)), Content: content})
	}
	return files, nil
}

// profiles are those that COMPOSE_PROFILES turns on.
func (l *load) profiles() []string {
	var names []string
	for _, name := range strings.Split(l.env[consts.ComposeProfiles], ",") {
		names = append(names, strings.TrimSpace(name))
	}
	return names
}

// runs reports whether `up` starts a service with these profiles.
func runs(profiles, on []string) bool {
	return len(profiles) == 0 || slices.Contains(on, "*") || slices.ContainsFunc(profiles, func(p string) bool { return slices.Contains(on, p) })
}

// projectDir is the stack's folder on its host, as its files see it: PWD, and what
// relative paths count from. An adopted stack's is its user's, where nothing is written.
func (l *load) projectDir() string {
	return cmp.Or(l.Stack.ProjectDir, hostpath.Default().Project(l.Stack.Name))
}

// local returns a path below the project's folder on the host as a path relative
// to the stack's folder; any other path stays as it is.
func (l *load) local(p string) string {
	if dir := l.projectDir(); p == dir || strings.HasPrefix(p, dir+"/") {
		return path.Clean("." + strings.TrimPrefix(p, dir))
	}
	return p
}

func (l *load) isFile(repoPath string) bool {
	if content, replaced := l.Replaced[repoPath]; replaced {
		return content != nil
	}
	info, there := l.stat(repoPath)
	return there && info.Mode().IsRegular()
}
