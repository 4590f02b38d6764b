package compose

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/yamldoc"
)

// plainVariable matches $$ (an escape) and the forms that have no default of
// their own: $NAME and ${NAME}. leadingVariable matches any form that a text
// begins with.
var (
	plainVariable   = regexp.MustCompile(`\$(?:\$|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})`)
	leadingVariable = regexp.MustCompile(`^\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)[^{}]*\})`)
)

// variables looks for those that nothing sets, and for secrets in an environment.
type variables struct{ load *load }

// unset finds variables that nothing sets. compose-go puts an empty text in their
// place and reports that only in its log. In a mount that text makes another path of
// it, so there it is fatal, whatever the empty text is from. Those that an env file in the
// working tree sets are one finding, about the file, and fatal: what runs on this computer would
// run with other values on a host.
func (v variables) unset() {
	for _, name := range []string{".env", "stack.env"} {
		v.unsetIn(v.load.Stack.Dir + "/" + name)
	}
	said := map[string]bool{}
	files := v.besides()
	for _, s := range v.load.files {
		walkMounts(s.root, false, func(n *yamldoc.Node, mount bool) {
			for _, file := range files {
				if file.add(n.Value) && mount {
					v.noSource(n.Value)
				}
			}
			for _, name := range v.emptyIn(n.Value, mount) {
				lacking := slices.ContainsFunc(files, func(f *besideFile) bool { return f.lacking[name] })
				if !lacking && (mount || !said[name]) {
					said[name] = true
					v.empty(name, s.name, n, mount)
				}
			}
		})
	}
	for _, file := range files {
		file.report(v.load)
	}
}

// empty reports a variable that becomes an empty text in a node.
func (v variables) empty(name, file string, n *yamldoc.Node, mount bool) {
	f := finding.Finding{
		Code: finding.VariableUnset, Severity: finding.Warning, Subject: fmt.Sprintf("%s:%d:%d", file, n.Line, n.Column),
		Text: fmt.Sprintf("${%s} is not set and becomes an empty text", name),
		Fix:  v.setting(name),
	}
	if mount {
		v.noSource(n.Value)
		f.Severity, f.Text = finding.Fatal, fmt.Sprintf("${%s} is empty, which changes the path %s", name, n.Value)
	}
	v.load.found(f)
}

// A besideFile is an env file that the working tree has and hosts do not get.
type besideFile struct {
	name    string
	lacking map[string]bool // variables of it that the stack does not have
	used    map[string]bool // of those, the ones that Compose files name
}

// besides are the env files from which Compose, or a person with --env-file, would take
// variables on this computer.
func (v variables) besides() []*besideFile {
	var files []*besideFile
	seen := map[string]bool{}
	for _, name := range append([]string{v.load.Stack.Dir + "/.env", fleet.StackDir + "/.env", ".env"}, v.load.files.dotenvs(v.load.Stack.Dir)...) {
		f := &besideFile{name: name, lacking: map[string]bool{}, used: map[string]bool{}}
		for _, variable := range v.load.lacking(name) {
			if _, set := v.load.env[variable]; !set && !seen[variable] {
				f.lacking[variable], seen[variable] = true, true
			}
		}
		files = append(files, f)
	}
	return files
}

// add notes the variables of the file that a text names, and reports whether there are any.
func (f *besideFile) add(text string) bool {
	found := false
	for _, m := range anyVariable.FindAllStringSubmatch(text, -1) {
		if name := m[1] + m[2]; f.lacking[name] {
			f.used[name], found = true, true
		}
	}
	return found
}

// noSource notes that a mount's source is not what it will be: it lacks variables of a file that
// is to be imported.
func (v variables) noSource(text string) {
	if became, err := template.Substitute(text, template.Mapping(lookup(v.load.env))); err == nil {
		source, _, _ := strings.Cut(became, ":")
		v.load.unsettled[path.Clean(source)] = true
	}
}

func (f *besideFile) report(l *load) {
	if len(f.used) == 0 {
		return
	}
	l.notInGit(finding.Fatal, l.files.variable(slices.Sorted(maps.Keys(f.used))[0]), fmt.Sprintf("hosts do not get %s, which sets %s", f.name, some(slices.Sorted(maps.Keys(f.used)))), importing(f.name))
}

// unsetIn finds variables in an env file of the repository that nothing sets.
func (v variables) unsetIn(repoPath string) {
	content, err := v.load.readRepo(repoPath)
	if err != nil {
		return // what is not there names none
	}
	file, err := ParseEnv(repoPath, content, lookup(v.load.env))
	if err != nil {
		return // reported where it is read
	}
	for _, p := range file.parts {
		for _, m := range plainVariable.FindAllStringSubmatch(file.text[p.start:p.end], -1) {
			name := m[1] + m[2]
			refers := slices.ContainsFunc(p.entries, func(e EnvEntry) bool { return slices.Contains(e.Refs, name) })
			if _, set := v.load.env[name]; set || !refers || slices.Contains(file.Names(), name) {
				continue
			}
			v.load.found(finding.Finding{Code: finding.VariableUnset, Severity: finding.Warning, Subject: fmt.Sprintf("%s:%d:1", repoPath, file.line(p.start)),
				Text: fmt.Sprintf("${%s} is not set and becomes an empty text", name), Fix: v.setting(name)})
		}
	}
}

// lookup returns what variables stand for.
func lookup(env map[string]string) Lookup {
	return func(name string) (string, bool) { value, set := env[name]; return value, set }
}

// emptyIn returns the variables of a text that become an empty one: those that
// nothing sets, and where a mount begins also those that are set to it.
func (v variables) emptyIn(text string, mount bool) []string {
	var names []string
	for _, m := range plainVariable.FindAllStringSubmatch(text, -1) {
		name := m[1] + m[2]
		if _, set := v.load.env[name]; name != "" && !set {
			names = append(names, name)
		}
	}
	first := leadingVariable.FindStringSubmatch(text)
	if !mount || first == nil || slices.Contains(names, first[1]+first[2]) {
		return names
	}
	if became, err := template.Substitute(first[0], template.Mapping(lookup(v.load.env))); err == nil && became == "" {
		names = append(names, first[1]+first[2])
	}
	return names
}

// setting says where a variable can be set: an ignored .env that has it is imported.
func (v variables) setting(name string) string {
	if name == "HOME" {
		return "write the full path; Compose takes HOME from the shell that it is typed in, which no host has"
	}
	for _, file := range v.besides() {
		if file.lacking[name] {
			return importing(file.name)
		}
	}
	return fmt.Sprintf("set it under vars: in fleet.yaml, in %s/stack.env, or with salvor secret set %s/%s", v.load.Stack.Dir, v.load.Stack.Name, name)
}

// walkMounts visits every scalar below n, not following aliases, and says whether
// it is part of a mount.
func walkMounts(n *yamldoc.Node, mount bool, visit func(n *yamldoc.Node, mount bool)) {
	if yamldoc.IsScalar(n) {
		visit(n, mount)
	}
	for i, child := range n.Content {
		below := mount
		if yamldoc.IsMapping(n) && i%2 == 1 {
			switch key := n.Content[i-1].Value; {
			case key == "volumes":
				below = true
			case strings.HasPrefix(key, "x-salvor"):
				below = false
			}
		}
		walkMounts(child, below, visit)
	}
}
