package compose

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"salvor/internal/fault"
	"salvor/internal/yamldoc"
)

// A source is one Compose file as nodes, for positions only.
type source struct {
	name string // in the repository
	root *yamldoc.Node
}

// sources are the Compose files of a stack: its own first, then what it
// includes or extends, as far as they can be read.
type sources []source

// readSources reads the files that are merged, which must exist, and those they
// name.
func readSources(read func(repoPath string) ([]byte, error), names []string) (sources, error) {
	var s sources
	for _, name := range names {
		content, err := read(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, fault.WithoutPath(err))
		}
		s = append(s, newSource(name, content))
	}
	for i := 0; i < len(s) && len(s) < 100; i++ {
		for _, ref := range s[i].references() {
			next := path.Join(path.Dir(s[i].name), ref)
			if path.IsAbs(ref) || slices.ContainsFunc(s, func(o source) bool { return o.name == next }) {
				continue
			}
			// a missing one is compose-go's error to report
			if content, err := read(next); err == nil {
				s = append(s, newSource(next, content))
			}
		}
	}
	return s, nil
}

func newSource(name string, content []byte) source {
	var doc yaml.Node
	// a file that does not parse has no positions; compose-go says why
	if err := yaml.Unmarshal(content, &doc); err != nil || len(doc.Content) == 0 {
		return source{name: name, root: &yamldoc.Node{}}
	}
	return source{name: name, root: doc.Content[0]}
}

// references returns the files that include and extends name.
func (s source) references() []string {
	var refs []string
	for _, inc := range yamldoc.Items(yamldoc.Find(s.root, "include")) {
		refs = append(refs, scalars(inc)...)
		refs = append(refs, scalars(yamldoc.Find(inc, "path"))...)
	}
	for _, service := range yamldoc.Entries(yamldoc.Find(s.root, "services")) {
		refs = append(refs, scalars(yamldoc.Find(service, "extends", "file"))...)
	}
	return refs
}

// of returns "file:line:column" of the deepest part of a path that a file has,
// looking for a service in every file.
func (s sources) of(keys ...string) string {
	best, depth := s[0].name+":1:1", 0
	for _, src := range s {
		n := src.root
		for i, key := range keys {
			k, v := yamldoc.Lookup(yamldoc.Resolve(n), key)
			if v == nil {
				break
			}
			if n = v; i+1 > depth {
				depth = i + 1
				best = fmt.Sprintf("%s:%d:%d", src.name, k.Line, k.Column)
			}
		}
	}
	return best
}

// mount returns the place of the volume entry of a service that has a target.
func (s sources) mount(service, target string) string {
	for _, src := range s {
		for _, item := range yamldoc.Items(yamldoc.Find(src.root, "services", service, "volumes")) {
			if yamldoc.IsScalar(item) && slices.Contains(strings.Split(item.Value, ":"), target) || yamldoc.ValueOf(yamldoc.Find(item, "target")) == target {
				return fmt.Sprintf("%s:%d:%d", src.name, item.Line, item.Column)
			}
		}
	}
	return s.of("services", service, "volumes")
}

// variable returns where a text first names a variable.
func (s sources) variable(name string) string {
	place := s[0].name + ":1:1"
	uses := regexp.MustCompile(`\$\{?` + regexp.QuoteMeta(name) + `\b`)
	for _, src := range slices.Backward(s) {
		found := ""
		walkMounts(src.root, false, func(n *yamldoc.Node, _ bool) {
			if found == "" && uses.MatchString(n.Value) {
				found = fmt.Sprintf("%s:%d:%d", src.name, n.Line, n.Column)
			}
		})
		place = cmp.Or(found, place)
	}
	return place
}

// placed reports whether a message begins with a place.
func (s sources) placed(text string) bool {
	return slices.ContainsFunc(s, func(src source) bool { return strings.HasPrefix(text, src.name+":") })
}

var (
	keyPathPattern = regexp.MustCompile(`\b(?:services|volumes|networks|secrets|configs|jobs)(?:\.[A-Za-z0-9_-]+)+`)
	servicePattern = regexp.MustCompile(`service "?([A-Za-z0-9._-]+)"?`)
	linePattern    = regexp.MustCompile(`\b(?:L(\d+)\.C(\d+)|line (\d+))`)
)

// guess finds the place that a message of compose-go is about: the line that
// the YAML parser names, a path of keys, or a service.
func (s sources) guess(text string) string {
	name := s[0].name
	for _, src := range s {
		if strings.Contains(text, src.name) {
			name = src.name
		}
	}
	if m := linePattern.FindStringSubmatch(text); m != nil {
		return name + ":" + cmp.Or(m[1], m[3]) + ":" + cmp.Or(m[2], "1")
	}
	if m := keyPathPattern.FindString(text); m != "" {
		return s.of(strings.Split(m, ".")...)
	}
	if m := servicePattern.FindStringSubmatch(text); m != nil {
		return s.of("services", m[1])
	}
	return name + ":1:1"
}

// scalars are the texts of a value that is one or a list of them.
func scalars(n *yamldoc.Node) []string {
	if text := yamldoc.ValueOf(n); text != "" {
		return []string{text}
	}
	var out []string
	for _, c := range yamldoc.Items(n) {
		if yamldoc.IsScalar(c) {
			out = append(out, c.Value)
		}
	}
	return out
}
