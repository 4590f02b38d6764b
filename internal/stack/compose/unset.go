package compose

import (
	"fmt"
	"io"
	"regexp"

	"github.com/sirupsen/logrus"
	"go.yaml.in/yaml/v3"

	"salvor/internal/finding"
)

// plainVariable matches $$ (an escape) and the forms that have no default of
// their own: $NAME and ${NAME}.
var plainVariable = regexp.MustCompile(`\$(?:\$|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})`)

// unset finds variables that nothing sets. compose-go puts an empty text in
// their place and says so in a log that nobody asked for.
func (l *load) unset() {
	logrus.SetOutput(io.Discard)
	said := map[string]bool{}
	for _, s := range l.files {
		walk(s.root, func(n *yaml.Node) {
			for _, m := range plainVariable.FindAllStringSubmatch(n.Value, -1) {
				name := m[1] + m[2]
				if _, set := l.env[name]; name == "" || set || said[name] {
					continue
				}
				said[name] = true
				l.findings = append(l.findings, finding.Finding{
					Code: finding.VariableUnset, Severity: finding.Warning, Subject: fmt.Sprintf("%s:%d:%d", s.name, n.Line, n.Column),
					Text: fmt.Sprintf("${%s} is set nowhere and becomes an empty text", name),
					Fix:  fmt.Sprintf("set it under vars: in fleet.yaml, in %s/stack.env, or with salvor secret set %s/%s", l.Stack.Dir, l.Stack.Name, name),
				})
			}
		})
	}
}

// walk visits every scalar below n, not following aliases.
func walk(n *yaml.Node, visit func(*yaml.Node)) {
	if n.Kind == yaml.ScalarNode {
		visit(n)
	}
	for _, child := range n.Content {
		walk(child, visit)
	}
}
