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
	"salvor/internal/yamldoc/explain"
)

// A source is one Compose file as nodes, for positions only.
type source struct {
	name string // in the repository
	base string // the folder from which its paths count
	root *yamldoc.Node
}

// sources are the Compose files of a stack: its own first, then what it
// includes or extends, as far as they can be read.
type sources []source

// readSources reads the files that are merged, which must exist and whose paths count from
// dir, and those they name.
func readSources(read func(repoPath string) ([]byte, error), dir string, names []string) (sources, error) {
	var s sources
	for _, name := range names {
		content, err := read(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, fault.WithoutPath(err))
		}
		src, err := newSource(name, dir, content)
		if err != nil {
			return nil, err
		}
		s = append(s, src)
	}
	for i := 0; i < len(s) && len(s) < 100; i++ {
		for _, ref := range s[i].references() {
			if path.IsAbs(ref.name) || slices.ContainsFunc(s, func(o source) bool { return o.name == path.Join(s[i].base, ref.name) }) {
				continue
			}
			next := path.Join(s[i].base, ref.name)
			content, err := read(next)
			if err != nil {
				continue // compose-go reports it
			}
			src, err := newSource(next, path.Join(s[i].base, ref.base), content)
			if err != nil {
				return nil, err
			}
			s = append(s, src)
		}
	}
	return s, nil
}

// newSource reads the first document of a Compose file. What does not parse is an error
// with its place.
func newSource(name, base string, content []byte) (source, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(content, &doc); err != nil {
		problems := &yamldoc.Report{}
		_, err := explain.Parse(name, content)
		problems.Join(err)
		return source{}, problems.Err()
	}
	if len(doc.Content) == 0 {
		return source{name, base, yamldoc.Empty()}, nil
	}
	return source{name, base, doc.Content[0]}, nil
}

// A naming is of a file that another one names, and the folder from which the paths in it
// count, both as they are written.
type naming struct{ name, base string }

// references returns the files that include and extends name.
func (s source) references() []naming {
	var refs []naming
	for _, inc := range yamldoc.Items(yamldoc.Find(s.root, "include")) {
		for _, names := range [][]string{scalars(inc), scalars(yamldoc.Find(inc, "path"))} {
			for _, name := range names { // those after the first are merged into it
				base := cmp.Or(yamldoc.ValueOf(yamldoc.Find(inc, "project_directory")), path.Dir(names[0]))
				refs = append(refs, naming{name, base})
			}
		}
	}
	for _, service := range yamldoc.Entries(yamldoc.Find(s.root, "services")) {
		for _, name := range scalars(yamldoc.Find(service, "extends", "file")) {
			refs = append(refs, naming{name, path.Dir(name)})
		}
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

// use returns where a name stands in a list, or as a key, at a path; else the place of
// the path.
func (s sources) use(name string, keys ...string) string {
	for _, src := range s {
		n := yamldoc.Find(src.root, keys...)
		if k, _ := yamldoc.Lookup(yamldoc.Resolve(n), name); k != nil {
			return fmt.Sprintf("%s:%d:%d", src.name, k.Line, k.Column)
		}
		for _, item := range yamldoc.Items(n) {
			source := yamldoc.ValueOf(yamldoc.Find(item, "source"))
			if text := yamldoc.ValueOf(item); text == name || strings.HasPrefix(text, name+":") || source == name {
				return fmt.Sprintf("%s:%d:%d", src.name, item.Line, item.Column)
			}
		}
	}
	return s.of(keys...)
}

// named returns the files with the one first that a message names.
func (s sources) named(text string) sources {
	i := slices.IndexFunc(s, func(src source) bool { return strings.Contains(text, src.name) })
	if i <= 0 {
		return s
	}
	return slices.Concat(s[i:i+1], s[:i], s[i+1:])
}

// placed reports whether a message begins with a place.
func (s sources) placed(text string) bool {
	return slices.ContainsFunc(s, func(src source) bool { return strings.HasPrefix(text, src.name+":") })
}

// A spot is where a dotted path of compose-go leads: services.web.ports.[0].
type spot struct {
	place string // of the deepest part that a file has
	keys  []string
	node  *yamldoc.Node // its value
	rest  string        // what is left of the text that began with the path
}

// find follows a dotted path that a text begins with, as deep as the files have it.
func (s sources) find(text string) (best spot, found bool) {
	for _, src := range s {
		at := spot{node: src.root, rest: text}
		for at.step(src.name) {
		}
		if len(at.keys) > len(best.keys) {
			best = at
		}
	}
	return best, len(best.keys) > 0
}

// step goes one key or item deeper.
func (at *spot) step(file string) bool {
	rest := strings.TrimPrefix(at.rest, ".")
	n := yamldoc.Resolve(at.node)
	var key, value *yamldoc.Node
	longest := ""
	for name, v := range yamldoc.Merged(n) {
		if after, is := strings.CutPrefix(rest, name); is && len(name) > len(longest) && (after == "" || strings.ContainsAny(after[:1], ".[:' ")) {
			longest, value = name, v
			key, _ = yamldoc.Lookup(n, name)
		}
	}
	if m := indexPattern.FindStringSubmatch(rest); longest == "" && m != nil {
		longest, value = m[0], yamldoc.Find(n, cmp.Or(m[1], m[2]))
	}
	if value == nil {
		return false
	}
	if key == nil {
		key = value
	}
	*at = spot{place: fmt.Sprintf("%s:%d:%d", file, key.Line, key.Column), keys: append(at.keys, strings.Trim(longest, "[]")), node: value, rest: rest[len(longest):]}
	return true
}

var (
	indexPattern   = regexp.MustCompile(`^(?:\[(\d+)\]|(\d+)\b)`)
	keyPathPattern = regexp.MustCompile(`\b(?:services|volumes|networks|secrets|configs|jobs|include|name)[.\[: ]`)
	servicePattern = regexp.MustCompile(`service "?([A-Za-z0-9._-]+)"?`)
	linePattern    = regexp.MustCompile(`\b(?:L(\d+)\.C(\d+)|line (\d+))`)
)

// guess finds the place that a message of compose-go is about: the line that
// the YAML parser names, a path of keys, a service, or a text that the message quotes.
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
	for _, m := range keyPathPattern.FindAllStringIndex(text, -1) {
		if at, found := s.find(text[m[0]:]); found && len(at.keys) > 1 {
			return at.place
		}
	}
	if m := servicePattern.FindStringSubmatch(text); m != nil {
		return s.of("services", m[1])
	}
	for _, m := range quotedPattern.FindAllStringSubmatch(text, -1) {
		if place := s.scalar(cmp.Or(m[1], m[2], m[3])); place != "" {
			return place
		}
	}
	return s.first(name)
}

var quotedPattern = regexp.MustCompile("\"([^\"]+)\"|'([^']+)'|: (\\S+)$")

// scalar returns where a text stands, as the whole of a value or in it, "" if it is in
// none.
func (s sources) scalar(text string) string {
	place, _ := s.holder(text)
	return place
}

// holder is scalar with the keys that lead to the value.
func (s sources) holder(text string) (place string, keys []string) {
	for _, whole := range []bool{true, false} {
		for _, src := range s {
			r := yamldoc.NewReader(src.name, &yamldoc.Report{})
			r.Walk(src.root, nil, func(n *yamldoc.Node, at yamldoc.Path) {
				if place == "" && yamldoc.IsScalar(n) && (n.Value == text || !whole && strings.Contains(n.Value, text)) {
					place, keys = r.Position(n).String(), at
				}
			})
			if place != "" {
				return place, keys
			}
		}
	}
	return "", nil
}

// first returns where a file's services begin, else its first key: for what is wrong
// with the whole of it.
func (s sources) first(name string) string {
	for _, src := range s {
		if src.name != name {
			continue
		}
		if k, _ := yamldoc.Lookup(src.root, "services"); k != nil {
			return fmt.Sprintf("%s:%d:%d", name, k.Line, k.Column)
		}
		return fmt.Sprintf("%s:%d:%d", name, max(src.root.Line, 1), max(src.root.Column, 1))
	}
	return name
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
