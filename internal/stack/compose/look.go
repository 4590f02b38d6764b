package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/stack"
)

// Values are what a stack's variables are worth.
type Values struct {
	Secrets map[string]secret.Value // of secrets/<stack>.env
	Over    map[string]secret.Value // the stack's too, and win over all others
}

// A View is a stack with its secrets' values in, to be compared with another. It
// prints nothing: it is never for a plan, a log or a host.
type View struct {
	services map[string]viewed
	declared map[string]string // top-level secret to what it is
	rest     []byte
}

// viewed is one service.
type viewed struct {
	env     types.MappingWithEquals
	own     map[string]bool // variables under environment:, whatever sets the others
	files   []string        // env files that it lists, by path in the repository
	image   string
	secrets map[string]string // source to what else is said of its use
	rest    []byte
}

// Look resolves a stack as Load does, with values instead of marks. What compose-go
// says of an error could quote a value, so only the place is reported.
func Look(ctx context.Context, opts Options, values Values) (*View, error) {
	l, err := newLoadWith(opts, &values)
	if err != nil {
		return nil, err
	}
	if l.project, err = l.resolve(ctx); err != nil {
		return nil, fmt.Errorf("%s: Compose does not accept this with the values of its variables", l.files.guess(err.Error()))
	}
	return l.view()
}

// Uses returns where a service's environment is nothing but the value of one
// secret: for each service the variable and the secret's key. No value is needed.
func Uses(ctx context.Context, opts Options) (map[string]map[string]string, error) {
	l, err := newLoad(opts)
	if err != nil {
		return nil, err
	}
	if l.project, err = l.resolve(ctx); err != nil {
		return nil, l.at(err)
	}
	uses := map[string]map[string]string{}
	for name, s := range l.project.Services {
		uses[name] = map[string]string{}
		for variable, value := range s.Environment {
			if value != nil && len(marks(*value)) == 1 && *value == mark(marks(*value)[0]) {
				uses[name][variable] = marks(*value)[0]
			}
		}
	}
	return uses, nil
}

func (l *load) view() (*View, error) {
	v := &View{services: map[string]viewed{}, declared: map[string]string{}}
	for name, s := range l.project.Services {
		one := viewed{env: s.Environment, own: l.own[name], files: l.listed[name], image: s.Image, secrets: map[string]string{}}
		for _, use := range s.Secrets {
			one.secrets[use.Source] = saysUse(use)
		}
		s.Environment, s.EnvFiles, s.Secrets = nil, nil, nil
		var err error
		if one.rest, err = json.Marshal(s); err != nil {
			return nil, err
		}
		v.services[name] = one
	}
	for name, decl := range l.project.Secrets {
		v.declared[name] = says(decl)
	}
	rest := *l.project
	rest.Services, rest.Secrets, rest.Environment, rest.ComposeFiles = nil, nil, nil, nil
	var err error
	v.rest, err = json.Marshal(struct {
		Project types.Project
		Active  map[string]bool
	}{rest, l.active})
	return v, err
}

// says is a part of the project in a comparable form.
func says(v any) string {
	content, err := json.Marshal(v)
	if err != nil {
		panic("salvor: internal error: a part of a project does not encode: " + err.Error())
	}
	return string(content)
}

// saysUse is says for a use of a secret, whose usual target may be left out.
func saysUse(use types.ServiceSecretConfig) string {
	if use.Target == path.Join(stack.SecretsTarget, use.Source) || use.Target == use.Source {
		use.Target = ""
	}
	return says(use)
}

// Listing returns the services that list an env file, by its path in the
// repository, sorted.
func (v *View) Listing(file string) []string {
	var names []string
	for name, s := range v.services {
		if slices.Contains(s.files, file) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Image returns a service's image.
func (v *View) Image(service string) string { return v.services[service].image }

// Services returns the names of all services, sorted.
func (v *View) Services() []string { return slices.Sorted(maps.Keys(v.services)) }

// Sets reports whether a service's environment: sets the variable itself.
func (v *View) Sets(service, variable string) bool { return v.services[service].own[variable] }

// Has reports whether a service's variable has exactly this value.
func (v *View) Has(service, variable string, value secret.Value) bool {
	got := v.services[service].env[variable]
	return got != nil && *got == string(value.Reveal())
}

// Mentions reports whether something else of a service than its environment, a
// command or a health check, reads the variable inside the container.
func (v *View) Mentions(service, variable string) bool {
	rest := v.services[service].rest
	for _, form := range []string{"${" + variable + "}", "${" + variable + ":"} {
		if bytes.Contains(rest, []byte(form)) {
			return true
		}
	}
	for at := rest; ; {
		_, after, found := bytes.Cut(at, []byte("$"+variable))
		if !found {
			return false
		}
		if len(after) == 0 || !fleet.IsVariable("_"+string(after[:1])) {
			return true
		}
		at = after
	}
}

// Deliver changes the view to what it is when a service reads a variable from
// the file of a secret, which is the stack's variable of that name.
func (v *View) Deliver(service, variable, name string) {
	s := v.services[service]
	delete(s.env, variable)
	file := path.Join(stack.SecretsTarget, name)
	s.env[variable+"_FILE"] = &file
	s.secrets[name] = saysUse(types.ServiceSecretConfig{Source: name})
	v.declared[name] = says(types.SecretConfig{Environment: name})
}

// A Difference is one thing that a view has otherwise than the view that is
// wanted.
type Difference struct {
	Service  string // "" for what is outside of the services
	Variable string // "" for what is outside of the environment
	Extra    bool   // the variable is to go
}

// String says what differs, and no value.
func (d Difference) String() string {
	switch {
	case d.Service == "":
		return "something outside of the services"
	case d.Variable == "":
		return "something in the service " + d.Service + " outside of its environment"
	case d.Extra:
		return fmt.Sprintf("the service %s would get %s", d.Service, d.Variable)
	}
	return fmt.Sprintf("the service %s would get another %s", d.Service, d.Variable)
}

// Differences returns in what the view differs from the one that is wanted,
// sorted.
func (v *View) Differences(want *View) []Difference {
	var all []Difference
	if !bytes.Equal(v.rest, want.rest) || !maps.Equal(v.declared, want.declared) || len(v.services) != len(want.services) {
		all = append(all, Difference{})
	}
	for _, name := range want.Services() {
		s, w := v.services[name], want.services[name]
		if !bytes.Equal(s.rest, w.rest) || !maps.Equal(s.secrets, w.secrets) {
			all = append(all, Difference{Service: name})
		}
		variables := maps.Clone(w.env)
		maps.Copy(variables, s.env)
		for _, variable := range slices.Sorted(maps.Keys(variables)) {
			got, has := s.env[variable]
			wanted, wants := w.env[variable]
			if has != wants || (got == nil) != (wanted == nil) || got != nil && *got != *wanted {
				all = append(all, Difference{Service: name, Variable: variable, Extra: !wants})
			}
		}
	}
	return all
}
