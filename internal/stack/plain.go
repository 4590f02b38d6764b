package stack

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"

	"salvor/internal/hostpath"
	"salvor/internal/project"
	"salvor/internal/yamldoc"
)

// A Plain is a stack as its user runs it without Salvor: from Dir.
type Plain struct {
	Dir     string
	Up      string   // the command that finds it up to date there; "" where its Compose files are not there
	Compose []string // the Compose files, relative to Dir, in Compose's order
	Files   []PlainFile
	Tags    map[string]string // image references that the Compose files name, to the exact ones that run
	own     bool              // the folder is the user's: what is replaced there is kept next to it
}

// A PlainFile is a file that a Plain needs, below its folder.
type PlainFile struct {
	Path     string
	Data     []byte
	Mode     fs.FileMode
	UID, GID int
	Secret   bool // it holds one
}

// PlainFolder is where a stack gets its folder that was never its user's.
func PlainFolder(stack string) string { return path.Join("/opt/stacks", stack) }

// plainHeader begins a Compose file that is a stack's rendered one.
func plainHeader(stack string) string {
	return "# Stack " + stack + ", as it ran when `salvor host release` gave it back.\n"
}

// GivenBack reports whether a Compose file is the one with which a stack was given back that
// was never its user's.
func GivenBack(stack string, compose []byte) bool {
	return bytes.HasPrefix(compose, []byte(plainHeader(stack)))
}

// Secrets are the files with secrets in plain text, with their full paths.
func (p Plain) Secrets() []string {
	var all []string
	for _, f := range p.Files {
		if f.Secret {
			all = append(all, path.Join(p.Dir, f.Path))
		}
	}
	slices.Sort(all)
	return all
}

// PlainSecrets are a stack's secrets as its seal has them.
type PlainSecrets struct {
	Env   map[string]string // by variable
	Files map[string][]byte // by SecretMount.Secret
}

// plainly returns a rendered project as it runs from a folder of its own: without gate, its
// secrets in files there instead of in memory. running has the services that must start
// after a boot, which Salvor has started so far.
func plainly(stack string, k pinnedProject, dir string, running []string, secrets PlainSecrets) (Plain, error) {
	out := Plain{Dir: dir, Up: "docker compose up -d", Compose: []string{ComposeFile}}
	pinned, err := Pin(k.Project.Compose, k.Images)
	if err != nil {
		return out, err
	}
	doc, err := parseProject(pinned)
	if err != nil {
		return out, err
	}
	for name, service := range yamldoc.Entries(yamldoc.Find(doc, "services")) {
		plainService(service, slices.Contains(running, name))
	}
	moved(doc, [][2]string{{k.Project.Dir, dir}, {hostpath.Default().Secrets().Stack(stack), path.Join(dir, secretsFolder)}})
	compose, err := yamldoc.Encode(doc)
	if err != nil {
		return out, err
	}
	out.Files = append(out.Files, PlainFile{Path: ComposeFile, Data: append([]byte(plainHeader(stack)), compose...), Mode: 0o644})
	if out.Files, err = withSecrets(out.Files, stack, k.Project, secrets); err != nil {
		return out, err
	}
	for _, f := range k.Project.Files {
		if !fs.ValidPath(f.Path) {
			return out, fmt.Errorf("project %s: %q is not a path below its folder", stack, f.Path)
		}
		out.Files = append(out.Files, PlainFile{Path: f.Path, Data: f.Data, Mode: fs.FileMode(f.Mode)})
	}
	return out, nil
}

// secretsFolder has a plain stack's secret files. Only root enters it, so each keeps the
// owner and mode with which its container reads it.
const secretsFolder = "secrets"

// withSecrets adds the files with secrets.
func withSecrets(files []PlainFile, stack string, p project.Project, secrets PlainSecrets) ([]PlainFile, error) {
	if len(p.Env) > 0 {
		values := map[string]string{}
		for _, name := range p.Env {
			values[name] = secrets.Env[name]
		}
		files = append(files, PlainFile{Path: ".env", Data: envFile(values, strings.NewReplacer()), Mode: 0o600, Secret: true})
	}
	for _, m := range p.Secrets {
		content, has := secrets.Files[m.Secret]
		at := path.Join(secretsFolder, m.Service, m.Target)
		if path.IsAbs(m.Target) {
			at = path.Join(secretsFolder, ".files", m.Service, url.QueryEscape(m.Target))
		}
		if !has || !fs.ValidPath(at) {
			return nil, fmt.Errorf("stack %s: the secret %s of %s can't be written to a file", stack, m.Secret, m.Service)
		}
		files = append(files, PlainFile{Path: at, Data: content, Mode: fs.FileMode(m.Mode), UID: m.UID, GID: m.GID, Secret: true})
	}
	return files, nil
}

// plainService takes away what Salvor added to a service.
func plainService(service *yamldoc.Node, starts bool) {
	if volumes := yamldoc.Find(service, "volumes"); volumes != nil {
		volumes.Content = slices.DeleteFunc(volumes.Content, func(v *yamldoc.Node) bool {
			return yamldoc.ValueOf(yamldoc.Find(v, "target")) == GateTarget
		})
		if len(volumes.Content) == 0 {
			drop(service, "volumes")
		}
	}
	if labels := yamldoc.Find(service, "labels"); labels != nil {
		drop(labels, FilesLabel)
		if len(labels.Content) == 0 {
			drop(service, "labels")
		}
	}
	policy := yamldoc.ValueOf(yamldoc.Find(service, "restart"))
	survives := policy == "always" || policy == "unless-stopped" || yamldoc.Find(service, "deploy", "restart_policy") != nil
	if starts && !survives {
		yamldoc.SetEntry(service, "restart", yamldoc.NewText("unless-stopped"))
	}
}

// drop removes an entry of a mapping.
func drop(mapping *yamldoc.Node, key string) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
			return
		}
	}
}

// moved replaces folders of Salvor's by the ones that take their place, in every value.
func moved(n *yamldoc.Node, folders [][2]string) {
	if yamldoc.IsScalar(n) {
		for _, f := range folders {
			if rest, below := strings.CutPrefix(n.Value, f[0]); below && (rest == "" || rest[0] == '/') {
				n.Value = f[1] + rest
				return
			}
		}
		return
	}
	for i, c := range n.Content {
		if !yamldoc.IsMapping(n) || i%2 == 1 {
			moved(c, folders)
		}
	}
}
