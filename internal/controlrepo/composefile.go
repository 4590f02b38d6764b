package controlrepo

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"salvor/internal/yamldoc"
)

// SetVariable returns a Compose file in which a service's environment: sets a
// variable. Comments, order and the form (a mapping or a list) stay.
func SetVariable(content []byte, service, variable, value string) ([]byte, error) {
	at := yamldoc.Path{"services", service, "environment"}
	env, err := ownNode(content, at)
	if err != nil {
		return nil, err
	}
	if env == nil || !yamldoc.IsList(env) {
		return inEitherForm(value, func(v string) ([]byte, error) { return yamldoc.Set(content, at.To(variable), v) })
	}
	return inEitherForm(variable+"="+value, func(v string) ([]byte, error) {
		if i := itemOf(env, variable); i >= 0 {
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
	root, err := yamldoc.Parse(at.String(), content)
	if err != nil {
		return nil, err
	}
	return yamldoc.Find(root, at...), nil
}

// DropEnvFile returns a Compose file in which a service does not list some env files,
// identified by their paths as written.
func DropEnvFile(content []byte, service string, drop func(written string) bool) ([]byte, error) {
	at := yamldoc.Path{"services", service, "env_file"}
	n, err := ownNode(content, at)
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, fmt.Errorf("%s %w", at, yamldoc.ErrByHand)
	}
	if !yamldoc.IsList(n) {
		if !drop(n.Value) {
			return nil, fmt.Errorf("%s %w", at, yamldoc.ErrByHand)
		}
		return yamldoc.Remove(content, at)
	}
	var gone []int
	for i, item := range n.Content {
		item = yamldoc.Resolve(item)
		if _, p := yamldoc.Lookup(item, "path"); p != nil {
			item = p
		}
		if yamldoc.IsScalar(item) && drop(item.Value) {
			gone = append([]int{i}, gone...) // from the end, so that the others keep their numbers
		}
	}
	switch len(gone) {
	case 0:
		return nil, fmt.Errorf("%s %w", at, yamldoc.ErrByHand)
	case len(n.Content):
		return yamldoc.Remove(content, at)
	}
	for _, i := range gone {
		if content, err = yamldoc.Remove(content, at.To(strconv.Itoa(i))); err != nil {
			return nil, err
		}
	}
	return content, nil
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
