package controlrepo

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/yamldoc"
	"salvor/internal/yamldoc/explain"
)

// SetVariable returns a Compose file in which a service's environment: sets a
// variable. Comments, order and the form (a mapping or a list) stay.
func SetVariable(content []byte, service, variable, value string) ([]byte, error) {
	env, err := findPart(content, service, "environment")
	if err != nil {
		return nil, err
	}
	at := yamldoc.Path{"services", service, "environment"}
	if env.node == nil || !yamldoc.IsList(env.node) {
		return inEitherForm(value, func(v string) ([]byte, error) {
			return yamldoc.SetShared(content, env.at.To(variable), env.mergedAt(variable), v)
		})
	}
	return inEitherForm(variable+"="+value, func(v string) ([]byte, error) {
		if i := itemOf(env.node, variable); i >= 0 {
			return yamldoc.SetItem(content, at.To(strconv.Itoa(i)), v)
		}
		return yamldoc.Append(content, at, v)
	})
}

// inEitherForm tries text as it is, which reads best, and in quotes.
func inEitherForm(text string, try func(yaml string) ([]byte, error)) ([]byte, error) {
	if edited, err := try(text); err == nil {
		return edited, nil
	}
	return try(strconv.QuoteToASCII(text))
}

// itemOf returns which item of a list sets a variable, -1 for none.
func itemOf(list *yamldoc.Node, variable string) int {
	for i, item := range list.Content {
		if name, _, _ := strings.Cut(yamldoc.Resolve(item).Value, "="); name == variable {
			return i
		}
	}
	return -1
}

// ownNode returns the node at a path that is the file's own, not merged in.
func ownNode(content []byte, at yamldoc.Path) (*yamldoc.Node, error) {
	root, err := explain.Parse(at.String(), content)
	if err != nil {
		return nil, err
	}
	return yamldoc.Find(root, at...), nil
}

// Services returns the names of the services that a Compose file has itself, sorted.
func Services(content []byte) []string {
	root, err := yamldoc.Parse("", content)
	if err != nil {
		return nil // what does not parse is reported where it is read
	}
	return slices.Sorted(maps.Keys(maps.Collect(yamldoc.Entries(yamldoc.Find(root, "services")))))
}

// DropEnvFile returns a Compose file in which a service does not list some env files,
// identified by their paths as written. Where several services have the list from one
// anchor, all of them lose the files. It is unchanged if the service lists none of them.
func DropEnvFile(content []byte, service string, drop func(written string) bool) ([]byte, error) {
	list, err := findPart(content, service, "env_file")
	if err != nil || list.node == nil {
		return content, err
	}
	return list.dropFiles(content, drop)
}

// DropIncludedEnvFile returns a Compose file in which no include: takes variables from some
// env files, identified by their paths as written.
func DropIncludedEnvFile(content []byte, drop func(written string) bool) ([]byte, error) {
	included, err := ownNode(content, yamldoc.Path{"include"})
	if err != nil {
		return nil, err
	}
	for i, item := range yamldoc.Items(included) {
		list := part{node: yamldoc.Find(item, "env_file"), at: yamldoc.Path{"include", strconv.Itoa(i), "env_file"}}
		if list.node == nil {
			continue
		}
		if content, err = list.dropFiles(content, drop); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// dropFiles takes files out of a part that is a list of env files, or one.
func (list part) dropFiles(content []byte, drop func(written string) bool) (_ []byte, err error) {
	if !yamldoc.IsList(list.node) {
		if !drop(list.node.Value) {
			return content, nil
		}
		return list.remove(content)
	}
	var gone []int
	for i, item := range list.node.Content {
		item = yamldoc.Resolve(item)
		if _, p := yamldoc.Lookup(item, "path"); p != nil {
			item = p
		}
		if yamldoc.IsScalar(item) && drop(item.Value) {
			gone = append([]int{i}, gone...) // from the end, so that the others keep their numbers
		}
	}
	if len(gone) > 0 && len(gone) == len(list.node.Content) {
		return list.remove(content)
	}
	for _, i := range gone {
		if content, err = list.remove(content, strconv.Itoa(i)); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// SetSecretFile returns a Compose file whose secrets: have the fleet's secret of a name
// where they named a file, identified by its path as written.
func SetSecretFile(content []byte, name string, replace func(written string) bool) ([]byte, error) {
	declared, err := ownNode(content, yamldoc.Path{"secrets"})
	if err != nil {
		return nil, err
	}
	for key, decl := range yamldoc.Entries(declared) {
		file := yamldoc.Find(decl, "file")
		if file == nil || !replace(file.Value) {
			continue
		}
		at := yamldoc.Path{"secrets", key}
		for _, pair := range [][2]string{{"external", "true"}, {"name", yamldoc.Scalar(name)}} {
			if content, err = yamldoc.Set(content, at.To(pair[0]), pair[1]); err != nil {
				return nil, err
			}
		}
		if content, err = yamldoc.Remove(content, at.To("file")); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// A part of a service is the value of one of its keys, where it is written.
type part struct {
	node   *yamldoc.Node  // nil for none
	at     yamldoc.Path   // where it would be, for none
	merged []yamldoc.Path // the same in services that have it by a merge
}

// mergedAt are the places below, in the services that have the part by a merge.
func (p part) mergedAt(below ...string) []yamldoc.Path {
	var all []yamldoc.Path
	for _, m := range p.merged {
		all = append(all, append(m[:len(m):len(m)], below...))
	}
	return all
}

func (p part) remove(content []byte, item ...string) ([]byte, error) {
	return yamldoc.RemoveShared(content, append(p.at[:len(p.at):len(p.at)], item...), p.mergedAt(item...))
}

// findPart finds a part in the service, or in what is merged into it.
func findPart(content []byte, service, key string) (part, error) {
	at := yamldoc.Path{"services", service, key}
	root, err := explain.Parse(at.String(), content)
	if err != nil {
		return part{}, err
	}
	found, own := part{node: yamldoc.Find(root, at...), at: at}, yamldoc.Find(root, "services", service)
	if found.node == nil {
		if found.node = mergedInto(own, key, nil); found.node != nil {
			found.at = pathOf(root, found.node, nil)
		}
	}
	wanted, would := found.node, (*yamldoc.Node)(nil)
	if wanted == nil {
		wanted, would = own, own
	}
	for name, s := range yamldoc.Entries(yamldoc.Find(root, "services")) {
		if yamldoc.Find(s, key) == nil && wanted != nil && mergedInto(s, key, would) == wanted {
			found.merged = append(found.merged, yamldoc.Path{"services", name, key})
		}
	}
	return found, nil
}

// mergedInto returns the value that a mapping has of a key by a merge (<<), nil for none. A
// mapping that would have the key, if it came to it, stands for its value.
func mergedInto(mapping *yamldoc.Node, key string, would *yamldoc.Node) *yamldoc.Node {
	from := yamldoc.Find(mapping, "<<")
	for _, m := range append([]*yamldoc.Node{from}, yamldoc.Items(from)...) {
		if m = yamldoc.Resolve(m); m == nil || !yamldoc.IsMapping(m) {
			continue
		}
		if _, v := yamldoc.Lookup(m, key); v != nil {
			return v
		}
		if m == would {
			return m
		}
		if v := mergedInto(m, key, would); v != nil {
			return v
		}
	}
	return nil
}

// pathOf returns where a node is written below another.
func pathOf(n, wanted *yamldoc.Node, at yamldoc.Path) yamldoc.Path {
	if n == wanted {
		return at
	}
	if !yamldoc.IsMapping(n) {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if found := pathOf(n.Content[i+1], wanted, at.To(n.Content[i].Value)); found != nil {
			return found
		}
	}
	return nil
}

// ReadFromFile returns a Compose file in which a service gets the stack's secret
// variable as a file under /run/secrets, by Compose's secrets:, and the
// environment variable with _FILE at its name in place of the variable itself.
func ReadFromFile(content []byte, service, variable, secret string) ([]byte, error) {
	at := yamldoc.Path{"services", service}
	content, err := fileVariable(content, at.To("environment"), variable, "/run/secrets/"+secret)
	if err != nil {
		return nil, err
	}
	uses, err := ownNode(content, at.To("secrets"))
	if err != nil {
		return nil, err
	}
	if uses == nil || itemOf(uses, secret) < 0 {
		if content, err = yamldoc.Append(content, at.To("secrets"), secret); err != nil {
			return nil, err
		}
	}
	declared, err := ownNode(content, yamldoc.Path{"secrets", secret})
	if err != nil || declared != nil {
		return content, err
	}
	return yamldoc.Set(content, yamldoc.Path{"secrets", secret}, "{environment: "+secret+"}")
}

func fileVariable(content []byte, at yamldoc.Path, variable, file string) ([]byte, error) {
	env, err := ownNode(content, at)
	if err != nil {
		return nil, err
	}
	if env != nil && yamldoc.IsList(env) {
		if i := itemOf(env, variable); i >= 0 {
			return yamldoc.SetItem(content, at.To(strconv.Itoa(i)), variable+"_FILE="+file)
		}
		return yamldoc.Append(content, at, variable+"_FILE="+file)
	}
	if _, own := yamldoc.Lookup(yamldoc.Resolve(env), variable); own == nil {
		return yamldoc.Set(content, at.To(variable+"_FILE"), file)
	}
	edited, err := yamldoc.Rename(content, at.To(variable), variable+"_FILE", file)
	if !errors.Is(err, yamldoc.ErrByHand) {
		return edited, err
	}
	if content, err = yamldoc.Remove(content, at.To(variable)); err != nil {
		return nil, err
	}
	return yamldoc.Set(content, at.To(variable+"_FILE"), file)
}
