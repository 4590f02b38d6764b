package compose

import (
	"path"
	"slices"

	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/stack"
	"salvor/internal/suggest"
)

// changePolicies returns how each service is notified of a changed secret. One that
// is bound alone outside /run/secrets is seen by a container started again, and by no
// other: such a service is restarted at least.
func (r renderer) changePolicies(secrets []project.SecretMount) (map[string]fleet.OnChange, error) {
	policies := map[string]fleet.OnChange{}
	for _, said := range r.load.Stack.OnChange {
		if err := r.listsSecret(secrets, said.Service, said.Position, "on_change"); err != nil {
			return nil, err
		}
		policies[said.Service] = said.Policy
	}
	for _, said := range r.load.Stack.OnRotate {
		if err := r.listsSecret(secrets, said.Service, said.Position, "on_rotate"); err != nil {
			return nil, err
		}
	}
	for _, m := range secrets {
		if !path.IsAbs(m.Target) || m.Service == stack.BuildSecrets {
			continue
		}
		switch said, ok := policies[m.Service]; {
		case !ok:
			policies[m.Service] = fleet.ChangeRestart
		case !said.Starts():
			i := slices.IndexFunc(r.load.Stack.OnChange, func(c fleet.ServiceChange) bool { return c.Service == m.Service })
			return nil, r.load.fail(r.load.Stack.OnChange[i].Position, "on_change: the service %s has a secret at %s, "+
				"which a container only sees after it is started again; use restart or recreate", m.Service, m.Target)
		}
	}
	return policies, nil
}

// listsSecret refuses to say something about the secrets of a service that has
// none.
func (r renderer) listsSecret(secrets []project.SecretMount, service, position, key string) error {
	if _, known := r.load.project.Services[service]; !known {
		known := r.load.project.ServiceNames()
		return r.load.fail(position, "%s: there is no service %q%s; name one of %s", key, service, suggest.DidYouMean(service, known), some(known))
	}
	if !slices.ContainsFunc(secrets, func(m project.SecretMount) bool { return m.Service == service }) {
		return r.load.fail(position, "%s: the service %s does not list any secret; list them under secrets: of the service", key, service)
	}
	return nil
}

func (r renderer) onRotate(service string) []string {
	for _, said := range r.load.Stack.OnRotate {
		if said.Service == service {
			return said.Argv
		}
	}
	return nil
}
