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
	Set      map[string]bool     // variables that the stack's .env, stack.env and secrets set
	Dotenvs  []string            // that Compose takes the variables of included files from, as such paths
	Files    []File              // the Compose files themselves, with those that they include or extend

	SecretFiles []SecretFile // that are listed under secrets:
}

// A SecretFile is a plain file that is a secret of a stack.
type SecretFile struct {
	Name    string // under secrets:
	File    string // its path in the repository
	Written string // that path in the Compose file
	In      string // which lists it
}

// A File is a Compose file in the repository.
type File struct {
	Name string
	Base string // the folder from which its paths count
}

var (
	anyVariable   = regexp.MustCompile(`\$(?:\$|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*))`)
	wholeVariable = regexp.MustCompile(`^\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)[^{}]*\})$`)
	inURL         = regexp.MustCompile(`://[^\s/@]*:\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)[^{}]*\})@`)
)

// Mentioned reads a stack's Compose files.
func Mentioned(opts Options) (Mentions, error) {
	m := Mentions{Names: map[string]bool{}, Becomes: map[string][]string{}, Password: map[string]bool{}, Set: map[string]bool{}}
	l, err := newLoad(opts)
	if err != nil {
		return m, err
	}
	for _, s := range l.files {
		m.Files = append(m.Files, File{s.name, s.base})
		walkMounts(s.root, false, func(n *yamldoc.Node, _ bool) { m.add(n.Value) })
		for _, service := range yamldoc.Entries(yamldoc.Find(s.root, "services")) {
			m.environment(yamldoc.Find(service, "environment"))
			m.envFiles(l, s, yamldoc.Find(service, "env_file"))
		}
		m.secretFiles(l, s)
	}
	m.Dotenvs = l.files.dotenvs(opts.Stack.Dir)
	for name := range l.stackEnv {
		m.Set[name] = true
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

func (m *Mentions) envFiles(l *load, s source, n *yamldoc.Node) {
	written := scalars(n)
	for _, item := range yamldoc.Items(n) {
		written = append(written, scalars(yamldoc.Find(item, "path"))...)
	}
	for _, p := range written {
		if at, err := l.inside(s.base, p); err == nil && !slices.Contains(m.EnvFiles, at) {
			m.EnvFiles = append(m.EnvFiles, at)
		}
	}
}

func (m *Mentions) secretFiles(l *load, s source) {
	for name, declared := range yamldoc.Entries(yamldoc.Find(s.root, "secrets")) {
		written := yamldoc.ValueOf(yamldoc.Find(declared, "file"))
		if at, err := l.inside(s.base, written); written != "" && err == nil && !within("secrets", at) {
			m.SecretFiles = append(m.SecretFiles, SecretFile{name, at, written, s.name})
		}
	}
}

// dotenvs are the files from which Compose takes the variables of those that are not the
// stack's own.
func (s sources) dotenvs(own string) []string {
	var all []string
	for _, src := range s {
		if file := path.Join(src.base, ".env"); src.base != own && !slices.Contains(all, file) {
			all = append(all, file)
		}
	}
	return all
}
