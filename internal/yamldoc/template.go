package yamldoc

import "regexp"

// Templates of other tools, by what they look like. {{.Name}} is none of them: programs
// in containers take such texts.
var templates = []struct {
	pattern *regexp.Regexp
	kind    string
}{
	{regexp.MustCompile(`\$\{\{`), "${{ … }}, an expression of GitHub Actions or another CI"},
	{regexp.MustCompile(`\{%`), "{% … %}, a template of Jinja (Ansible)"},
	{regexp.MustCompile(`<%`), "<% … %>, a template of ERB or EJS"},
	{regexp.MustCompile(`\{\{-?\s*(\.(Values|Release|Chart|Files)\b|include\b|template\b)`), "{{ … }}, a template of Helm"},
	{regexp.MustCompile(`\{\{-?\s*(if|range|with|end|else|env|getenv|\$)\b?`), "{{ … }}, a template of Go"},
	{regexp.MustCompile(`\{\{-?\s*[A-Za-z_'"(]`), "{{ … }}, a template of Jinja (Ansible)"},
	{regexp.MustCompile(`\{\{`), "{{ … }}, a template"},
}

// Template returns what template of another tool a text has, "" for none.
func Template(text string) string {
	for _, t := range templates {
		if t.pattern.MatchString(text) {
			return t.kind
		}
	}
	return ""
}

// TemplateProblem is the problem of a file that another tool is meant to fill in.
func TemplateProblem(at Position, kind string) *Problem {
	return &Problem{at, "here is " + kind + ", which nothing fills in", "write the value, or ${NAME} with NAME under vars: in fleet.yaml"}
}
