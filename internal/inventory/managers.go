package inventory

import (
	"cmp"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"salvor/internal/agentapi"
	"salvor/internal/docker"
)

// A program is one that manages Compose projects, and runs in a container.
type program struct {
	name   string
	image  string // part of its image's name
	target string // where in its container the folder is; "" for where the host has it, too
}

func programs() []program {
	return []program{{"dockge", "dockge", ""}, {"komodo", "periphery", ""}, {"komodo", "komodo-core", "/syncs"}, {"portainer", "portainer", "/data"}}
}

// A place is a folder of a manager: on the host, and in its container.
type place struct{ name, source, target string }

// places returns the folders of other programs that manage Compose projects.
func (h Host) places(containers []docker.Listed) []place {
	var all []place
	for _, p := range programs() {
		for _, c := range containers {
			if image, _, _ := strings.Cut(path.Base(c.Image), ":"); !strings.Contains(image, p.image) {
				continue
			}
			for _, m := range c.Mounts {
				same := p.target == "" && m.Source == m.Target && !slices.Contains(tooWide(), m.Source) && !strings.HasSuffix(m.Source, ".sock")
				if same || p.target != "" && m.Target == p.target {
					all = append(all, place{p.name, m.Source, m.Target})
				}
			}
		}
	}
	if _, err := os.Stat(h.Root + komodoFolder + "/periphery.config.toml"); err == nil {
		all = append(all, place{"komodo", komodoFolder, komodoFolder}) // by systemd
	}
	return all
}

const komodoFolder = "/etc/komodo"

// managers says what is in the folders of other programs, each folder once.
func (h Host) managers(places []place) []agentapi.Manager {
	var all []agentapi.Manager
	for _, p := range places {
		if slices.ContainsFunc(all, func(m agentapi.Manager) bool { return m.Folder == p.source }) {
			continue
		}
		m := agentapi.Manager{Name: p.name, Folder: p.source}
		if root, err := os.OpenRoot(h.Root + p.source); err == nil {
			m.Stacks = declared(p.name, root)
			_ = root.Close() // it was read
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b agentapi.Manager) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Folder, b.Folder))
	})
	return all
}

// declared are the stacks that a manager's files declare, by name, each once.
func declared(manager string, root *os.Root) []agentapi.ManagedStack {
	var all []agentapi.ManagedStack
	switch manager {
	case "dockge":
		all = composeFolders(root, "*")
	case "komodo":
		all = append(inToml(root), composeFolders(root, "stacks/*")...)
	}
	slices.SortStableFunc(all, func(a, b agentapi.ManagedStack) int { return cmp.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b agentapi.ManagedStack) bool { return a.Name == b.Name })
}

// composeFolders are the folders with a Compose file: each is a project of its name.
func composeFolders(root *os.Root, pattern string) []agentapi.ManagedStack {
	var all []agentapi.ManagedStack
	files, err := fs.Glob(root.FS(), pattern+"/*compose.y*ml")
	if err != nil {
		return nil // the pattern is ours and valid
	}
	for _, file := range files {
		name := path.Base(path.Dir(file))
		all = append(all, agentapi.ManagedStack{Name: name, Project: normal(name)})
	}
	return all
}

// maxSearched is how many files are looked at for TOML.
const maxSearched = 5000

// inToml are the stacks of Komodo's resource files.
func inToml(root *os.Root) []agentapi.ManagedStack {
	var all []agentapi.ManagedStack
	seen := 0
	_ = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		seen++
		switch {
		case seen > maxSearched:
			return fs.SkipAll
		case err != nil || d.IsDir() && d.Name() == ".git":
			return skipped(d)
		case d.Type().IsRegular() && filepath.Ext(p) == ".toml":
			all = append(all, stacksOf(root, p)...)
		}
		return nil
	})
	return all
}

func skipped(d fs.DirEntry) error {
	if d != nil && d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// resources is what is read of a file of Komodo's.
type resources struct {
	Stack  []declaration `toml:"stack"`
	Stacks []declaration `toml:"stacks"`
}

type declaration struct {
	Name   string `toml:"name"`
	Config struct {
		Project string `toml:"project_name"`
	} `toml:"config"`
}

// stacksOf are the stacks of one file, none where it is another program's.
func stacksOf(root *os.Root, name string) []agentapi.ManagedStack {
	f, err := root.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile))
	var in resources
	if err != nil || toml.Unmarshal(rawTexts(content), &in) != nil {
		return nil
	}
	var all []agentapi.ManagedStack
	for _, s := range append(in.Stack, in.Stacks...) {
		if s.Name != "" {
			all = append(all, agentapi.ManagedStack{Name: s.Name, Project: normal(cmp.Or(s.Config.Project, s.Name))})
		}
	}
	return all
}

// rawTexts doubles the backslashes of texts in """, as Komodo does before it reads TOML.
func rawTexts(content []byte) []byte {
	parts := strings.Split(string(content), `"""`)
	for i := 1; i < len(parts); i += 2 {
		parts[i] = strings.ReplaceAll(parts[i], `\`, `\\`)
	}
	return []byte(strings.Join(parts, `"""`))
}

var notInName = regexp.MustCompile(`[^a-z0-9_-]`)

// normal is the name of a Compose project as these programs make it.
func normal(name string) string { return notInName.ReplaceAllString(strings.ToLower(name), "_") }
