package stack

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"salvor/internal/docker"
	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/project"
	"salvor/internal/yamldoc"
)

// ErrDiffers means that a project does not run as its files in Git say.
var ErrDiffers = errors.New("what runs is not what the files in Git say")

// Unknown stands for a secret whose value is not known yet.
const Unknown = "salvor-unknown-secret"

// A Comparison is of a project's containers with what the host's Compose makes of its files.
type Comparison struct {
	Same    []string // services that run as the files say
	Unknown []string // services that have a secret which is not known yet
	Differs []string // why it can't be taken over, a line for each service, without a value

	Settings []string // those of Differs that are more than another hash of Compose's
}

// Renewed reports whether no service differs in a setting that is known, only in Compose's hash.
func (c Comparison) Renewed() bool { return len(c.Differs) > 0 && len(c.Settings) == 0 }

// differs notes a difference in a setting that is known.
func (c *Comparison) differs(line string) {
	c.Differs, c.Settings = append(c.Differs, line), append(c.Settings, line)
}

// Unlike is the comparison of a project that can't be taken over, for a reason that is known.
func Unlike(why string) (c Comparison) {
	c.differs(why)
	return c
}

// Compare has the host's own Compose compute from a's files what it would label each
// container with, and compares. Nothing is changed. root is a folder in memory, which is
// the caller's to remove: secrets are written below it.
func (p Project) Compare(ctx context.Context, d Deployment, a project.Adoption, secrets map[string]string, root string) (Comparison, error) {
	containers, err := p.host.containers(ctx, p.name)
	if err != nil {
		return Comparison{}, err
	}
	name := d.Project.Called(p.name)
	resolved, err := p.resolve(ctx, name, a, secrets, root)
	if err != nil {
		return Comparison{}, err
	}
	hashes, err := p.hashes(ctx, name, a.Dir, resolved)
	if err != nil {
		return Comparison{}, err
	}
	c := comparing{Project: p, resolved: resolved, hashes: hashes, secrets: secrets, sealed: slices.Contains(slices.Collect(maps.Values(secrets)), Unknown)}
	for _, s := range d.Project.Services {
		if err := c.one(ctx, s, ofService(containers, s.Name)); err != nil {
			return Comparison{}, err
		}
	}
	for _, m := range containers {
		declared := slices.ContainsFunc(d.Project.Services, func(s project.Service) bool { return s.Name == m.Service })
		if !declared && !m.OneOff {
			c.differs(m.Service + ": it is in no Compose file, and container " + m.Name + " is here")
		}
	}
	return c.Comparison, nil
}

// comparing is a comparison under way.
type comparing struct {
	Comparison
	Project
	resolved []byte            // what Compose made of the files
	hashes   map[string]string // by service, what Compose would label a container with
	secrets  map[string]string
	sealed   bool // the value of a secret is not known
}

// one compares the containers of a service.
func (c *comparing) one(ctx context.Context, s project.Service, mine []docker.Container) error {
	other := slices.IndexFunc(mine, func(m docker.Container) bool { return m.Hash != c.hashes[s.Name] })
	switch {
	case len(mine) == 0 && s.Idle:
		return nil
	case len(mine) == 0:
		c.differs(s.Name + ": no container of it is here")
		return nil
	case c.sealed && hasUnknown(c.resolved, s.Name):
		c.Unknown = append(c.Unknown, s.Name)
		return nil
	case other < 0:
		c.Same = append(c.Same, s.Name)
		return nil
	}
	said, err := c.unlike(ctx, s, mine[other], modelOf(c.resolved))
	if err != nil {
		return err
	}
	if len(said) > 0 {
		c.differs(s.Name + ": " + without(c.secrets, strings.Join(said, ", ")))
		return nil
	}
	c.Differs = append(c.Differs, s.Name+": only Compose's hash of it, and no setting that Salvor knows"+c.versions(ctx, mine[other]))
	return nil
}

// unlike says in which parts a container is not the service in Git.
func (p Project) unlike(ctx context.Context, s project.Service, c docker.Container, m model) ([]string, error) {
	made, image, err := p.host.engine.Made(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	var said []string
	if was := cmp.Or(made.Config.Image, c.Image); was != s.Image && s.Image != "" && !strings.Contains(s.Image, "$") && !strings.HasPrefix(was, "sha256:") {
		said = append(said, "image "+imageChange(was, s.Image))
	}
	return append(said, m.unlike(s.Name, made, image)...), nil
}

// versions says by which Compose a container was made, where that is not the one that is here.
func (p Project) versions(ctx context.Context, c docker.Container) string {
	var out bytes.Buffer
	_, err := p.host.machine.Run(ctx, machine.Cmd{Argv: []string{"docker", "compose", "version", "--short"}, Stdout: &out, Timeout: engineTimeout})
	here := strings.TrimPrefix(strings.TrimSpace(out.String()), "v")
	if err != nil || here == "" || c.MadeBy == "" || c.MadeBy == here {
		return ""
	}
	return ": Compose " + c.MadeBy + " made its container, and " + here + " is here now"
}

func ofService(containers []docker.Container, service string) []docker.Container {
	var mine []docker.Container
	for _, c := range containers {
		if c.Service == service && !c.OneOff {
			mine = append(mine, c)
		}
	}
	return mine
}

// resolve has Compose read a's files, which lie below root as they do in the user's
// folder and around it, and returns what it made of them, as if they were there.
func (p Project) resolve(ctx context.Context, name string, a project.Adoption, secrets map[string]string, root string) ([]byte, error) {
	vars, dir := path.Join(root, ".salvor-vars"), path.Join(root, a.Dir)
	at := func(file string) string { return path.Join(root, path.Join(a.Dir, file)) } // never above root
	fill := filled(secrets)
	files := map[string][]byte{vars: envFile(a.Vars, fill)}
	if a.Env != nil {
		files[at(".env")] = envFile(a.Env, fill)
	}
	for _, f := range a.Files {
		files[at(f.Path)] = f.Data
	}
	for file, content := range files {
		if err := p.host.run(ctx, "mkdir", "-p", "-m", "0700", "--", path.Dir(file)); err != nil {
			return nil, err
		}
		if err := p.host.machine.WriteFile(ctx, file, bytes.NewReader(content), 0o600); err != nil {
			return nil, err
		}
	}
	argv := []string{"docker", "compose", "--project-name", name, "--project-directory", dir, "--env-file", vars, "--profile", "*"}
	for _, file := range a.Compose {
		argv = append(argv, "--file", at(file))
	}
	var out bytes.Buffer
	_, err := p.host.machine.Run(ctx, machine.Cmd{Argv: append(argv, "config"), Dir: dir, Stdout: &out, Timeout: composeTimeout})
	if err != nil {
		return nil, fmt.Errorf("docker compose config: %s", without(secrets, strings.ReplaceAll(lastLine(err).Error(), root, "")))
	}
	return bytes.ReplaceAll(out.Bytes(), []byte(root), nil), nil
}

// without returns a text with the names of secrets in place of their values: of the longest
// first, since a value may have another one in it, whose rest would be left.
func without(secrets map[string]string, text string) string {
	longest := func(a, b string) int { return cmp.Or(cmp.Compare(len(secrets[b]), len(secrets[a])), cmp.Compare(a, b)) }
	for _, name := range slices.SortedFunc(maps.Keys(secrets), longest) {
		if value := secrets[name]; value != "" {
			text = strings.ReplaceAll(text, value, "${"+name+"}")
		}
	}
	return text
}

// hashes returns Compose's hash of each service. Compose reads what it has resolved
// itself: of a service with an env_file, `config --hash` of some versions is another one
// than that of `up`, since it leaves the variables out.
func (p Project) hashes(ctx context.Context, name, dir string, resolved []byte) (map[string]string, error) {
	var out bytes.Buffer
	_, err := p.host.machine.Run(ctx, machine.Cmd{Argv: []string{"docker", "compose", "--project-name", name, "--project-directory", dir,
		"--profile", "*", "--file", "-", "config", "--hash", "*"}, Dir: "/", Stdin: bytes.NewReader(resolved), Stdout: &out, Timeout: composeTimeout})
	if err != nil {
		return nil, errors.New("docker compose config --hash does not take what docker compose config printed") // which may have secrets in it
	}
	all := map[string]string{}
	for line := range strings.Lines(out.String()) {
		if service, hash, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			all[service] = hash
		}
	}
	return all, nil
}

// hasUnknown reports whether a service has a secret that is not known yet.
func hasUnknown(resolved []byte, service string) bool {
	text, err := yamldoc.Encode(yamldoc.Find(rootOf(resolved), "services", service))
	return err == nil && bytes.Contains(text, []byte(Unknown))
}

// filled puts the secrets in their places in an Adoption's values.
func filled(secrets map[string]string) *strings.Replacer {
	pairs := []string{"$$", "$"}
	for name, value := range secrets {
		pairs = append(pairs, "${"+name+"}", value)
	}
	return strings.NewReplacer(pairs...)
}

func envFile(values map[string]string, fill *strings.Replacer) []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&b, "%s=%s\n", name, project.QuoteEnv(fill.Replace(values[name])))
	}
	return b.Bytes()
}

// Adopt notes the containers that run as what d deployed, and writes its files: nothing is
// started, stopped or made. What runs has been compared with d. It may be called again.
func (p Project) Adopt(ctx context.Context, d Deployment) (Result, error) {
	containers, err := p.host.containers(ctx, p.name)
	if err != nil {
		return Result{}, err
	}
	images, err := p.running(ctx, d, containers)
	if err == nil {
		err = p.host.write(ctx, p.name, d.Project, images)
	}
	if err != nil {
		return Result{}, err
	}
	r := Record{Schema: fleet.Schema, Hash: d.Project.Hash, Epoch: d.Epoch, Commit: d.Commit, At: time.Now().UTC(), Dir: d.Project.Dir, Images: images, Services: expected(d.Project, containers)}
	err = p.host.writeRecord(ctx, p.name, pinnedProject{Project: d.Project, Images: images}, r)
	return result(images, containers, containers), err
}

// Running returns the exact images of the containers that are here, by service.
func (p Project) Running(ctx context.Context, d Deployment) (map[string]string, error) {
	containers, err := p.host.containers(ctx, p.name)
	if err != nil {
		return nil, err
	}
	return p.running(ctx, d, containers)
}

// running returns the exact images of the containers: of those that run, whatever their
// tags name by now.
func (p Project) running(ctx context.Context, d Deployment, containers []docker.Container) (map[string]string, error) {
	images := map[string]string{}
	for _, s := range d.Project.Services {
		mine := ofService(containers, s.Name)
		if len(mine) == 0 || s.Idle || s.Build || s.Image == "" || strings.Contains(s.Image, "${") {
			continue
		}
		if project.Digested(s.Image) {
			images[s.Name] = s.Image
			continue
		}
		digests, err := p.host.engine.Digests(ctx, mine[0].ImageID)
		if err != nil {
			return nil, err
		}
		if digest := digestOf(s.Image, digests); digest != "" {
			images[s.Name] = project.Tagged(s.Image) + "@" + digest
		}
	}
	return images, nil
}
