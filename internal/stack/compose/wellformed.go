package compose

import (
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/distribution/reference"

	"salvor/internal/suggest"
	"salvor/internal/yamldoc"
)

// wellFormed reports every place at which a Compose file does not mean one thing, before
// anything is resolved: keys that are there twice, variables that are not written as
// Compose reads them, templates of other tools.
func (s sources) wellFormed() error {
	problems := &yamldoc.Report{}
	for _, src := range s {
		r := yamldoc.NewReader(src.name, problems)
		r.Walk(src.root, nil, func(n *yamldoc.Node, at yamldoc.Path) {
			if !yamldoc.IsScalar(n) || len(at) == 0 || at[0] == "x-salvor" {
				return
			}
			if kind := yamldoc.Template(n.Value); kind != "" && (filledIn(at) || strings.Contains(n.Value, "${{")) {
				p := yamldoc.TemplateProblem(r.Position(n), kind)
				p.Text = subject(at) + ": " + p.Text
				problems.Join(p)
				return
			}
			variableForm(r, n, at)
		})
	}
	return problems.Err()
}

// forPrograms are the keys whose texts go to programs, which have templates of their own.
var forPrograms = []string{"command", "entrypoint", "environment", "labels", "annotations", "healthcheck", "logging", "content", "args", "post_start", "pre_stop"}

// filledIn reports whether Compose itself reads the text at a path, so that a template in
// it stays as it is.
func filledIn(at yamldoc.Path) bool {
	return !slices.ContainsFunc(at, func(key string) bool { return slices.Contains(forPrograms, key) || strings.HasPrefix(key, "x-") })
}

var variableName = regexp.MustCompile(`^\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

// variableForm reports a `$` that begins no variable. Nothing of the text is shown but
// the name: it may be a secret.
func variableForm(r *yamldoc.Reader, n *yamldoc.Node, at yamldoc.Path) {
	set := func(string) (string, bool) { return "x", true }
	if _, err := template.Substitute(n.Value, set); err == nil {
		return
	}
	const most = 50 // of the first variables the faulty one is looked for
	begin, seen := 0, 0
	for i := range n.Value {
		if n.Value[i] != '$' {
			continue
		}
		if seen++; seen > most {
			break
		}
		if _, err := template.Substitute(n.Value[:i], set); err == nil {
			begin = i
		}
	}
	place := r.Position(n)
	if quote := len(n.Value) > 0 && n.Style != 0; !strings.Contains(n.Value, "\n") {
		if place.Column += len([]rune(n.Value[:begin])); quote {
			place.Column++
		}
	}
	const form = "write ${NAME} or ${NAME:-default}; $$ is a plain $"
	if m := variableName.FindStringSubmatch(n.Value[begin:]); m != nil {
		r.Advise(place, form, "%s: the variable ${%s is not closed, or has something after its name that Compose does not know", subject(at), m[1])
		return
	}
	r.Advise(place, form, "%s: the ${ here begins no variable", subject(at))
}

// subject is a path as people name it: the service, then its key.
func subject(keys []string) string {
	switch {
	case len(keys) > 2 && keys[0] == "services":
		return keys[1] + ": " + strings.Join(keys[2:], ".")
	case len(keys) == 2 && keys[0] == "services":
		return keys[1]
	}
	return strings.Join(keys, ".")
}

// restarts refuses a restart policy that the engine does not know.
func restarts(l *load) error {
	known := []string{"no", "always", "on-failure", "unless-stopped"}
	for _, name := range l.project.ServiceNames() {
		policy, _, _ := strings.Cut(l.project.Services[name].Restart, ":")
		if policy != "" && !marked(policy) && !slices.Contains(known, policy) {
			return l.fail(l.files.of("services", name, "restart"), "%s: restart is %q%s; write one of %s", name, policy, suggest.DidYouMean(policy, known), strings.Join(known, ", "))
		}
	}
	return nil
}

// imageNames refuses what no registry can have: the host would find out at the deploy.
func imageNames(l *load) error {
	for _, name := range l.project.ServiceNames() {
		image := l.project.Services[name].Image
		if image == "" || marked(image) || strings.HasSuffix(image, ":") { // a variable that is not set is a finding of its own
			continue
		}
		if _, err := reference.ParseNormalizedNamed(image); err != nil {
			return l.fail(l.files.of("services", name, "image"), "%s: %q is not the name of an image; write it like nginx:1.27 or ghcr.io/owner/app:1.2, in lower case", name, image)
		}
	}
	return nil
}
