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
	"salvor/internal/hostpath"
	"salvor/internal/project"
	"salvor/internal/stack"
	"salvor/internal/suggest"
)

// deliver turns Compose's secrets into files that salvord delivers, and takes
// the files of Compose's configs along. Secrets that image builds read stay in
// the file, pointing at where they are delivered.
func (r renderer) deliver(c *collector) ([]project.SecretMount, error) {
	if err := r.takeConfigs(c); err != nil {
		return nil, err
	}
	var out []project.SecretMount
	build := types.Secrets{}
	for _, name := range r.load.project.ServiceNames() {
		s := r.load.project.Services[name]
		for _, use := range s.Secrets {
			m, err := r.secretMount(name, types.FileReferenceConfig(use))
			if err != nil {
				return nil, err
			}
			out = append(out, m)
		}
		if s.Build == nil {
			continue
		}
		for _, use := range s.Build.Secrets {
			key, err := r.secretKey(use.Source)
			if err != nil {
				return nil, err
			}
			if _, done := build[use.Source]; !done {
				out = append(out, project.SecretMount{Service: stack.BuildSecrets, Secret: key, Target: use.Source, Mode: 0o400})
			}
			build[use.Source] = types.SecretConfig{File: path.Join(hostpath.Default().Secrets().Service(r.load.Stack.Name, stack.BuildSecrets), use.Source)}
		}
	}
	r.load.project.Secrets = build
	slices.SortStableFunc(out, func(a, b project.SecretMount) int {
		return strings.Compare(a.Service+"\x00"+a.Target, b.Service+"\x00"+b.Target)
	})
	return out, nil
}

// secretMount reads one use of a secret. Compose's default mode is 0444.
func (r renderer) secretMount(service string, use types.FileReferenceConfig) (project.SecretMount, error) {
	pos := r.load.files.of("services", service, "secrets")
	m := project.SecretMount{Service: service, Target: use.Target, Mode: 0o444}
	if m.Target == "" {
		m.Target = use.Source
	}
	if rest, ok := strings.CutPrefix(m.Target, stack.SecretsTarget+"/"); ok {
		m.Target = rest
	}
	if !path.IsAbs(m.Target) && (path.Clean(m.Target) != m.Target || strings.HasPrefix(m.Target, "..")) {
		return m, r.load.fail(pos, "secret target %q is not a file name; write a name, or the full path in the container", use.Target)
	}
	if use.Mode != nil {
		m.Mode = uint32(*use.Mode)
	}
	var err error
	if m.UID, err = id(use.UID); err != nil {
		return m, r.load.fail(pos, "secret %s: uid %q is not a number; write the number of a user", use.Source, use.UID)
	}
	if m.GID, err = id(use.GID); err != nil {
		return m, r.load.fail(pos, "secret %s: gid %q is not a number; write the number of a group", use.Source, use.GID)
	}
	m.Secret, err = r.secretKey(use.Source)
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
func (r renderer) secretKey(name string) (string, error) {
	key, err := r.keyOf(name)
	if err == nil {
		err = r.deliverable(r.load.files.of("secrets", name), key)
	}
	return key, err
}

// deliverable returns why a secret that the stack has at a place is not for it.
func (r renderer) deliverable(pos, key string) error {
	if r.load.Deliverable == nil {
		return nil
	}
	err := r.load.Deliverable(key)
	if err == nil {
		return nil
	}
	return fault.WithHint(r.load.fail(pos, "%v", err), fault.Hint(err))
}

// deliverableVariables is deliverable for the variables that the project uses.
func (r renderer) deliverableVariables(names []string) error {
	for _, name := range names {
		if err := r.deliverable(r.load.files.variable(name), name); err != nil {
			return err
		}
	}
	return nil
}

// keyOf returns the key under which a secret is sealed: the variable of
// secrets/<stack>.env that `environment:` names, or the path of the encrypted
// file that `file:` names, or of the fleet's secret that `external: true` does.
func (r renderer) keyOf(name string) (string, error) {
	pos := r.load.files.of("secrets", name)
	decl, ok := r.load.project.Secrets[name]
	if !ok {
		return "", r.load.fail(pos, "secret %s is not declared under secrets:; add secrets: {%[1]s: {environment: %[1]s}}", name)
	}
	if decl.Driver != "" || decl.TemplateDriver != "" {
		return "", r.load.fail(pos, "secret %s is a Docker Swarm secret (driver, template_driver), and Swarm is not "+
			"supported yet; list it as file:, environment: or external: true", name)
	}
	decl.File = r.load.local(decl.File)
	if decl.File != "" {
		repoPath, inside := r.load.inRepo(decl.File)
		if path.IsAbs(decl.File) || !inside || !within("secrets", repoPath) {
			return "", fault.WithHint(r.load.fail(pos, "secret %s: the file %s is not encrypted", name, decl.File), r.encrypting(name, decl.File))
		}
		if _, exists := r.load.stat(repoPath); !exists {
			return "", r.load.fail(pos, "secret %s: %s is not in Git; salvor secret set %[1]s, or git add it", name, repoPath)
		}
		return repoPath, nil
	}
	key := decl.Environment
	if key == "" {
		return r.fleetSecret(name, decl)
	}
	if !slices.Contains(r.load.SecretKeys, key) {
		near := suggest.Nearest(key, r.load.SecretKeys)
		if near != "" {
			near = ", did you mean " + near + "?"
		}
		return "", fault.WithHint(r.load.fail(pos, "secret %s: secrets/%s.env has no key %s%s", name, r.load.Stack.Name, key, near), r.setting(key))
	}
	return key, nil
}

// SecretName is what the secret of a stack's Compose file that was a plain file is called in the
// fleet: no other stack's has the name.
func SecretName(stack, name string) string { return stack + "_" + name }

// encrypting is how a plain file becomes a secret of the fleet, with the others of the stack that
// are there.
func (r renderer) encrypting(name, file string) string {
	if repoPath, inside := r.load.inRepo(file); inside && !path.IsAbs(file) {
		file = repoPath
	}
	if there := r.plainFiles(); slices.Contains(there, file) {
		return importing(strings.Join(there, " "))
	}
	own := SecretName(r.load.Stack.Name, name)
	return fmt.Sprintf("salvor secret set %s <%s, then write %s: {external: true, name: %s} here and delete the file", own, file, name, own)
}

// plainFiles are the files below the repository that the stack lists as secrets and that are
// there, sorted.
func (r renderer) plainFiles() []string {
	var files []string
	for _, decl := range r.load.project.Secrets {
		repoPath, inside := r.load.inRepo(r.load.local(decl.File))
		if decl.File == "" || path.IsAbs(r.load.local(decl.File)) || !inside || within("secrets", repoPath) {
			continue
		}
		if _, inGit := r.load.stat(repoPath); inGit || r.load.aside(repoPath) {
			files = append(files, repoPath)
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// setting is how a variable becomes a secret: with the others of an ignored .env that has it.
func (r renderer) setting(key string) string {
	if file := r.load.Stack.Dir + "/.env"; slices.Contains(r.load.lacking(file), key) {
		return importing(file)
	}
	return fmt.Sprintf("salvor secret set %s/%s", r.load.Stack.Name, key)
}

// fleetSecret returns the file of the secret that `salvor secret set` keeps
// under that name, or would keep if it were a file.
func (r renderer) fleetSecret(name string, decl types.SecretConfig) (string, error) {
	wanted := cmp.Or(decl.Name, name)
	file := path.Join("secrets", wanted)
	if _, exists := r.load.stat(file); !exists && !slices.Contains(r.load.Secrets, wanted) {
		return "", fault.WithHint(r.load.fail(r.load.files.of("secrets", name), "secret %s: there is no secret with the name %s", name, wanted), "salvor secret set "+wanted)
	}
	return file, nil
}

// takeConfigs takes the files that Compose's configs name.
func (r renderer) takeConfigs(c *collector) error {
	c.configs = map[string]project.File{}
	for _, name := range slices.Sorted(maps.Keys(r.load.project.Configs)) {
		decl := r.load.project.Configs[name]
		if decl.File == "" {
			continue
		}
		decl.File = r.load.local(decl.File)
		pos := r.load.files.of("configs", name)
		repoPath, ok := r.load.inRepo(decl.File)
		if path.IsAbs(decl.File) || !ok {
			return r.load.fail(pos, "config %s: %s is outside of the repository; copy it into the stack's folder", name, decl.File)
		}
		to, files, err := c.take(repoPath)
		if err != nil || len(files) != 1 {
			return r.load.fail(pos, "config %s: %s is not a file in Git; git add %[2]s, or correct the path", name, repoPath)
		}
		decl.File = to
		r.load.project.Configs[name] = decl
		c.configs[name] = files[0]
	}
	return nil
}
