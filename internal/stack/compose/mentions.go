package compose

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"salvor/internal/yamldoc"
)

// Mentions are what a stack's Compose files say of variables and env files, as they are
// written: they need not load.
type Mentions struct {
	Names    map[string]bool     // variables that ${…} names
	Becomes  map[string][]string // by variable: the environment variables whose whole value it is
	Password map[string]bool     // variables that are the password in a URL
	EnvFiles []string            // that services list, as paths in the repository
	Files    []string            // the Compose files themselves, with those that they include or extend, as paths in the repository
}

var (
	anyVariable   = regexp.MustCompile(`\$(?:\$|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*))`)
	wholeVariable = regexp.MustCompile(`^\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)[^{}]*\})$`)
	inURL         = regexp.MustCompile(`://[^\s/@]*:\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)[^{}]*\})@`)
)

// Mentioned reads a stack's Compose files.
func Mentioned(opts Options) (Mentions, error) {
	m := Mentions{Names: map[string]bool{}, Becomes: map[string][]string{}, Password: map[string]bool{}}
	l, err := newLoad(opts)
	if err != nil {
		return m, err
	}
	for _, s := range l.files {
		m.Files = append(m.Files, s.name)
		walkMounts(s.root, false, func(n *yamldoc.Node, _ bool) { m.add(n.Value) })
		for _, service := range yamldoc.Entries(yamldoc.Find(s.root, "services")) {
			m.environment(yamldoc.Find(service, "environment"))
			m.envFiles(l, yamldoc.Find(service, "env_file"))
		}
	}
	return m, nil
}

func (m Mentions) add(text string) {
	for _, found := range anyVariable.FindAllStringSubmatch(text, -1) {
		m.Names[found[1]+found[2]] = true
	}
	for _, found := range inURL.FindAllStringSubmatch(text, -1) {
		m.Password[found[1]+found[2]] = true
	}
	delete(m.Names, "") // of $$
}

// environment reads what a service's environment: is made of, in both of its forms.
func (m Mentions) environment(env *yamldoc.Node) {
	for key, value := range yamldoc.Entries(env) {
		m.becomes(key, yamldoc.ValueOf(value), !yamldoc.IsNull(value))
	}
	for _, item := range yamldoc.Items(env) {
		key, value, set := strings.Cut(yamldoc.ValueOf(item), "=")
		m.becomes(key, value, set)
	}
}

// becomes notes a variable of an environment; one that is not set is handed on by its name.
func (m Mentions) becomes(key, value string, set bool) {
	if !set {
		m.Names[key], m.Becomes[key] = true, append(m.Becomes[key], key)
		return
	}
	if found := wholeVariable.FindStringSubmatch(value); found != nil {
		m.Becomes[found[1]+found[2]] = append(m.Becomes[found[1]+found[2]], key)
	}
}

func (m *Mentions) envFiles(l *load, n *yamldoc.Node) {
	written := scalars(n)
	for _, item := range yamldoc.Items(n) {
		written = append(written, scalars(yamldoc.Find(item, "path"))...)
	}
	for _, p := range written {
		if at, inside := l.inRepo(l.local(p)); inside && !path.IsAbs(p) && !slices.Contains(m.EnvFiles, at) {
			m.EnvFiles = append(m.EnvFiles, at)
		}
	}
}
