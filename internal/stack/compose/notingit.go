package compose

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/dotenv"

	"salvor/internal/finding"
)

// aside reports whether a file is in the working tree that a commit of it would not
// have: an ignore rule names it. Without a working tree nothing does.
func (l *load) aside(repoPath string) bool {
	if l.WorkTree == "" {
		return false
	}
	if _, replaced := l.Replaced[repoPath]; replaced {
		return false
	}
	if _, inGit := l.stat(repoPath); inGit {
		return false
	}
	info, err := os.Stat(filepath.Join(l.WorkTree, filepath.FromSlash(repoPath)))
	return err == nil && info.Mode().IsRegular()
}

func (l *load) notInGit(severity finding.Severity, pos, text, fix string) {
	l.found(finding.Finding{Code: finding.NotInGit, Severity: severity, Subject: pos, Text: text, Fix: fix})
}

// emptyEnvFile reports a `.env` that a service lists and that neither Git nor the
// host has: the service would get none of its variables, without a word.
func (l *load) emptyEnvFile(service, pos string) {
	file := l.Stack.Dir + "/.env"
	missing := l.lacking(file)
	switch {
	case slices.ContainsFunc(l.findings, func(f finding.Finding) bool { return f.Code == finding.NotInGit && f.Fix == importing(file) }):
		// it is said of another service
	case len(missing) > 0:
		l.notInGit(finding.Fatal, pos, fmt.Sprintf("%s lists %s, which is not in Git, and the stack has no %s", service, file, some(missing)), importing(file))
	case len(l.stackEnv) == 0 && !l.aside(file):
		l.notInGit(finding.Fatal, pos, fmt.Sprintf("%s lists %s, which is not in Git, and the stack has no variables: the file would be empty", service, file), importing(file))
	}
}

// optionalEnvFile reports an env file that need not be there and that only the
// working tree has.
func (l *load) optionalEnvFile(service, pos, file string) {
	if l.aside(file) {
		l.notInGit(finding.Fatal, pos, fmt.Sprintf("%s lists %s, which Git ignores: hosts do not get it", service, file), importing(file))
	}
}

// lacking returns the variables of an ignored env file that the stack does not
// have, sorted.
func (l *load) lacking(file string) []string {
	if !l.aside(file) {
		return nil
	}
	content, err := os.ReadFile(filepath.Join(l.WorkTree, filepath.FromSlash(file)))
	if err != nil {
		return nil
	}
	set, err := dotenv.UnmarshalWithLookup(string(content), func(name string) (string, bool) { v, ok := l.env[name]; return v, ok })
	if err != nil {
		return nil // Compose does not read it either
	}
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if _, has := l.stackEnv[name]; !has {
			missing = append(missing, name)
		}
	}
	return missing
}

// composeSettings are the variables of a `.env` that decide what Compose runs.
var composeSettings = []string{consts.ComposeFilePath, consts.ComposePathSeparator, consts.ComposeProfiles, "COMPOSE_ENV_FILES", "COMPOSE_DISABLE_ENV_FILE"}

// ignoredSettings reports files that Compose always reads and Git ignores.
func (l *load) ignoredSettings() {
	for _, name := range l.lacking(l.Stack.Dir + "/.env") {
		if slices.Contains(composeSettings, name) {
			l.notInGit(finding.Fatal, l.Stack.Dir+"/.env", name+" is set in a file that Git ignores: hosts do not get it", importing(l.Stack.Dir+"/.env"))
		}
	}
	for _, name := range append([]string{"stack.env"}, cli.DefaultOverrideFileNames...) {
		if file := path.Join(l.Stack.Dir, name); l.aside(file) {
			l.notInGit(finding.Warning, file, "Git ignores it: hosts do not get it", "git add -f "+file+", or move it out of the stack's folder")
		}
	}
}

// maxNamed is how many ignored files of a folder are looked for.
const maxNamed = 3

// ignoredBelow reports the ignored files of a folder that is mounted from Git. None is
// opened, and the first few are enough: there may be a stack's whole data.
func (l *load) ignoredBelow(pos, repoPath string) {
	if l.WorkTree == "" {
		return
	}
	var left []string
	root := filepath.Join(l.WorkTree, filepath.FromSlash(repoPath))
	_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || leftBehind(d.Name()) {
			return nil //nolint:nilerr // what can't be read here is not in the commit either
		}
		if rel, err := filepath.Rel(l.WorkTree, p); err == nil && l.aside(filepath.ToSlash(rel)) {
			left = append(left, filepath.ToSlash(rel))
		}
		if len(left) > maxNamed {
			return fs.SkipAll
		}
		return nil
	})
	if len(left) == 0 {
		return
	}
	names := strings.Join(left[:min(len(left), maxNamed)], ", ")
	if len(left) > maxNamed {
		names += " and more"
	}
	l.notInGit(finding.Warning, pos, fmt.Sprintf("hosts get %s from Git without %s, which Git ignores", repoPath, names), fixForFile(left[0]))
}

// fileNotInGit reports a mount of one file that Git does not have: the engine would
// make an empty folder of its name.
func (l *load) fileNotInGit(m *mount, repoPath string) bool {
	adopted := l.Stack.ProjectDir != "" // what Git lacks is data in the user's folder
	if adopted || !l.aside(repoPath) && !namesFile(m.entry.Source, m.entry.Target) {
		return false
	}
	l.notInGit(finding.Fatal, l.files.mount(m.service, m.entry.Target), fmt.Sprintf("%s mounts the file %s, which is not in Git: it would be an empty folder on the host", m.service, repoPath), fixForFile(repoPath))
	return true
}

func fixForFile(file string) string {
	if slices.Contains(keyEndings, path.Ext(file)) {
		return fmt.Sprintf("salvor secret set NAME <%s, and list it under secrets: with its target; if it is public: git add -f %s", file, file)
	}
	return "git add -f " + file
}

// keyEndings are those of files that hold a key more often than not.
var keyEndings = []string{".key", ".pem", ".p12", ".pfx", ".env", ".htpasswd"}

func importing(file string) string { return "salvor secret import " + file }

// fileEndings are those of files that are mounted one by one.
var fileEndings = []string{".yml", ".yaml", ".json", ".toml", ".conf", ".cfg", ".ini", ".env", ".key", ".crt", ".pem", ".txt", ".xml", ".sh", ".sql", ".html", ".properties", ".lua", ".py", ".js", ".htpasswd", ".cnf", ".rules", ".list", ".cer", ".p12"}

// namesFile reports whether both sides of a mount are named like one file.
func namesFile(source, target string) bool {
	return slices.Contains(fileEndings, path.Ext(source)) && path.Ext(source) == path.Ext(target)
}

// leftBehind reports whether editors and systems leave files of that name.
func leftBehind(name string) bool {
	return name == ".DS_Store" || name == ".gitkeep" || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".swp") || strings.HasSuffix(name, ".pyc")
}

// some names the first of many.
func some(names []string) string {
	const shown = 3
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}
