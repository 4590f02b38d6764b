package compose

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/fault"
	"salvor/internal/project"
	"salvor/internal/stack"
)

// deliver turns Compose's secrets into files that salvord delivers, and takes
// the files of Compose's configs along. Secrets that image builds read stay in
// the file, pointing at where they are delivered.
func (l *load) deliver(c *collector) ([]project.SecretMount, error) {
	if err := l.takeConfigs(c); err != nil {
		return nil, err
	}
	var out []project.SecretMount
	build := types.Secrets{}
	for _, name := range l.project.ServiceNames() {
		s := l.project.Services[name]
		for _, use := range s.Secrets {
			m, err := l.secretMount(name, types.FileReferenceConfig(use))
			if err != nil {
				return nil, err
			}
			out = append(out, m)
		}
		if s.Build == nil {
			continue
		}
		for _, use := range s.Build.Secrets {
			key, err := l.secretKey(use.Source)
			if err != nil {
				return nil, err
			}
			if _, done := build[use.Source]; !done {
				out = append(out, project.SecretMount{Service: stack.BuildSecrets, Secret: key, Target: use.Source, Mode: 0o400})
			}
			build[use.Source] = types.SecretConfig{File: path.Join(stack.SecretsPath(l.Stack.Name, stack.BuildSecrets), use.Source)}
		}
	}
	l.project.Secrets = build
	slices.SortStableFunc(out, func(a, b project.SecretMount) int {
		return strings.Compare(a.Service+"\x00"+a.Target, b.Service+"\x00"+b.Target)
	})
	return out, nil
}

// secretMount reads one use of a secret. Compose's default mode is 0444.
func (l *load) secretMount(service string, use types.FileReferenceConfig) (project.SecretMount, error) {
	pos := l.files.of("services", service, "secrets")
	m := project.SecretMount{Service: service, Target: use.Target, Mode: 0o444}
	if m.Target == "" {
		m.Target = use.Source
	}
	if rest, ok := strings.CutPrefix(m.Target, stack.SecretsTarget+"/"); ok {
		m.Target = rest
	}
	if !path.IsAbs(m.Target) && (path.Clean(m.Target) != m.Target || strings.HasPrefix(m.Target, "..")) {
		return m, l.fail(pos, "secret target %q is not a file name", use.Target)
	}
	if use.Mode != nil {
		m.Mode = uint32(*use.Mode)
	}
	var err error
	if m.UID, err = id(use.UID); err != nil {
		return m, l.fail(pos, "secret %s: uid %q is not a number", use.Source, use.UID)
	}
	if m.GID, err = id(use.GID); err != nil {
		return m, l.fail(pos, "secret %s: gid %q is not a number", use.Source, use.GID)
	}
	m.Secret, err = l.secretKey(use.Source)
	return m, err
}

func id(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	return strconv.Atoi(s)
}

// secretKey returns the key under which a secret is sealed, of one that the stack may
// be given.
func (l *load) secretKey(name string) (string, error) {
	key, err := l.keyOf(name)
	if err == nil {
		err = l.deliverable(l.files.of("secrets", name), key)
	}
	return key, err
}

// deliverable returns why a secret that the stack has at a place is not for it.
func (l *load) deliverable(pos, key string) error {
	if l.Deliverable == nil {
		return nil
	}
	err := l.Deliverable(key)
	if err == nil {
		return nil
	}
	return fault.WithHint(l.fail(pos, "%v", err), fault.Hint(err))
}

// deliverableVariables is deliverable for the variables that the project uses.
func (l *load) deliverableVariables(names []string) error {
	for _, name := range names {
		if err := l.deliverable(l.files.variable(name), name); err != nil {
			return err
		}
	}
	return nil
}

// keyOf returns the key under which a secret is sealed: the variable of
// secrets/<stack>.env that `environment:` names, or the path of the encrypted
// file that `file:` names, or of the fleet's secret that `external: true` does.
func (l *load) keyOf(name string) (string, error) {
	pos := l.files.of("secrets", name)
	decl, ok := l.project.Secrets[name]
	if !ok {
		return "", l.fail(pos, "secret %s is not declared under secrets:", name)
	}
	if decl.Driver != "" || decl.TemplateDriver != "" {
		return "", l.fail(pos, "secret %s is a Docker Swarm secret (driver, template_driver), and Swarm is not supported "+
			"yet; list it as file:, environment: or external: true", name)
	}
	decl.File = l.local(decl.File)
	if decl.File != "" {
		repoPath, inside := l.inRepo(decl.File)
		if path.IsAbs(decl.File) || !inside || !within("secrets", repoPath) {
			return "", l.fail(pos, "secret %s: %s is not below secrets/, where files are encrypted", name, decl.File)
		}
		if _, exists := l.stat(repoPath); !exists {
			return "", l.fail(pos, "secret %s: %s is not in Git", name, repoPath)
		}
		return repoPath, nil
	}
	key := decl.Environment
	if key == "" {
		return l.fleetSecret(name, decl)
	}
	if !slices.Contains(l.SecretKeys, key) {
		near := nearest(key, l.SecretKeys)
		if near != "" {
			near = "; did you mean " + near + "?"
		}
		return "", fault.WithHint(l.fail(pos, "secret %s: secrets/%s.env has no key %s%s", name, l.Stack.Name, key, near), fmt.Sprintf("salvor secret set %s/%s", l.Stack.Name, key))
	}
	return key, nil
}

// fleetSecret returns the file of the secret that `salvor secret set` keeps
// under that name, or would keep if it were a file.
func (l *load) fleetSecret(name string, decl types.SecretConfig) (string, error) {
	wanted := cmp.Or(decl.Name, name)
	file := path.Join("secrets", wanted)
	if _, exists := l.stat(file); !exists && !slices.Contains(l.Secrets, wanted) {
		return "", fault.WithHint(l.fail(l.files.of("secrets", name), "secret %s: there is no secret with the name %s", name, wanted), "salvor secret set "+wanted)
	}
	return file, nil
}

// takeConfigs takes the files that Compose's configs name.
func (l *load) takeConfigs(c *collector) error {
	c.configs = map[string]project.File{}
	for _, name := range slices.Sorted(maps.Keys(l.project.Configs)) {
		decl := l.project.Configs[name]
		if decl.File == "" {
			continue
		}
		decl.File = l.local(decl.File)
		pos := l.files.of("configs", name)
		repoPath, ok := l.inRepo(decl.File)
		if path.IsAbs(decl.File) || !ok {
			return l.fail(pos, "config %s: %s is outside of the repository", name, decl.File)
		}
		to, files, err := c.take(repoPath)
		if err != nil || len(files) != 1 {
			return l.fail(pos, "config %s: %s is not a file in Git", name, repoPath)
		}
		decl.File = to
		l.project.Configs[name] = decl
		c.configs[name] = files[0]
	}
	return nil
}
