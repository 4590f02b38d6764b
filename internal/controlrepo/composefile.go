package controlrepo

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// SetVariable returns a Compose file in which a service's environment: sets a
// variable. Comments, order and the form (a mapping or a list) stay.
func SetVariable(content []byte, service, variable, value string) ([]byte, error) {
	at := path{"services", service, "environment"}
	env, err := ownNode(content, at)
	if err != nil {
		return nil, err
	}
	if env == nil || env.Kind != yaml.SequenceNode {
		return inEitherForm(value, func(v string) ([]byte, error) { return set(content, at.to(variable), v) })
	}
	return inEitherForm(variable+"="+value, func(v string) ([]byte, error) {
		if i := itemOf(env, variable); i >= 0 {
			return setItem(content, at.to(strconv.Itoa(i)), v)
		}
		return appendItem(content, at, v)
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
func itemOf(list *yaml.Node, variable string) int {
	for i, item := range list.Content {
		if name, _, _ := strings.Cut(resolve(item).Value, "="); name == variable {
			return i
		}
	}
	return -1
}

// ownNode returns the node at a path that is the file's own, not merged in.
func ownNode(content []byte, at path) (*yaml.Node, error) {
	root, err := parse(at.String(), content)
	if err != nil {
		return nil, err
	}
	return find(root, at), nil
}

// DropEnvFile returns a Compose file in which a service does not list some env files,
// identified by their paths as written.
func DropEnvFile(content []byte, service string, drop func(written string) bool) ([]byte, error) {
	at := path{"services", service, "env_file"}
	n, err := ownNode(content, at)
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, fmt.Errorf("%s %w", at, ErrByHand)
	}
	if n.Kind != yaml.SequenceNode {
		if !drop(n.Value) {
			return nil, fmt.Errorf("%s %w", at, ErrByHand)
		}
		return remove(content, at)
	}
	var gone []int
	for i, item := range n.Content {
		item = resolve(item)
		if _, p := entryOf(item, "path"); p != nil {
			item = p
		}
		if item.Kind == yaml.ScalarNode && drop(item.Value) {
			gone = append([]int{i}, gone...) // from the end, so that the others keep their numbers
		}
	}
	switch len(gone) {
	case 0:
		return nil, fmt.Errorf("%s %w", at, ErrByHand)
	case len(n.Content):
		return remove(content, at)
	}
	for _, i := range gone {
		if content, err = remove(content, at.to(strconv.Itoa(i))); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// ReadFromFile returns a Compose file in which a service gets the stack's secret
// variable as a file under /run/secrets, by Compose's secrets:, and the
// environment variable with _FILE at its name in place of the variable itself.
func ReadFromFile(content []byte, service, variable, secret string) ([]byte, error) {
	at := path{"services", service}
	content, err := fileVariable(content, at.to("environment"), variable, "/run/secrets/"+secret)
	if err != nil {
		return nil, err
	}
	uses, err := ownNode(content, at.to("secrets"))
	if err != nil {
		return nil, err
	}
	if uses == nil || itemOf(uses, secret) < 0 {
		if content, err = appendItem(content, at.to("secrets"), secret); err != nil {
			return nil, err
		}
	}
	declared, err := ownNode(content, path{"secrets", secret})
	if err != nil || declared != nil {
		return content, err
	}
	return set(content, path{"secrets", secret}, "{environment: "+secret+"}")
}

func fileVariable(content []byte, at path, variable, file string) ([]byte, error) {
	env, err := ownNode(content, at)
	if err != nil {
		return nil, err
	}
	if env != nil && env.Kind == yaml.SequenceNode {
		if i := itemOf(env, variable); i >= 0 {
			return setItem(content, at.to(strconv.Itoa(i)), variable+"_FILE="+file)
		}
		return appendItem(content, at, variable+"_FILE="+file)
	}
	if _, own := entryOf(resolve(env), variable); own == nil {
		return set(content, at.to(variable+"_FILE"), file)
	}
	edited, err := rename(content, at.to(variable), variable+"_FILE", file)
	if !errors.Is(err, ErrByHand) {
		return edited, err
	}
	if content, err = remove(content, at.to(variable)); err != nil {
		return nil, err
	}
	return set(content, at.to(variable+"_FILE"), file)
}
