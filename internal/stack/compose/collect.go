package compose

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/fault"
	"salvor/internal/project"
	"salvor/internal/stack"
)

// elsewhere is the folder of a project for files of the repository that can't be
// where the Compose file names them: from outside of the stack's folder, build
// contexts, and names that Salvor writes itself.
const elsewhere = "_repo"

// A collector gathers the files of the commit that a project needs on a host.
type collector struct {
	load    *load
	files   map[string]project.File // by path in the project
	configs map[string]project.File // Compose's configs that are files
}

func (c *collector) sorted() []project.File {
	var out []project.File
	for _, p := range slices.Sorted(maps.Keys(c.files)) {
		out = append(out, c.files[p])
	}
	return out
}

// take adds a file or folder of the repository and returns where the project
// has it, as a relative path for Compose.
func (c *collector) take(repoPath string) (string, []project.File, error) {
	to := path.Join(elsewhere, repoPath)
	if rel, ok := strings.CutPrefix(repoPath, c.load.Stack.Dir+"/"); ok && rel != stack.ComposeFile && rel != ".env" && !within(elsewhere, rel) {
		to = rel
	}
	return c.takeAs(repoPath, to)
}

func (c *collector) takeAs(repoPath, to string) (string, []project.File, error) {
	var taken []project.File
	root := filepath.Join(c.load.RepoDir, filepath.FromSlash(repoPath))
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("%s is not in Git; git add %[1]s, or correct the path", repoPath)
		}
		if d.IsDir() {
			if d.Name() == ".git" {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		f, err := c.read(p, path.Join(to, filepath.ToSlash(rel)))
		if err != nil {
			return err
		}
		taken = append(taken, f)
		c.files[f.Path] = f
		return nil
	})
	return "./" + to, taken, err
}

// read reads one file; a link is followed as long as it stays in the commit.
func (c *collector) read(from, to string) (project.File, error) {
	target, err := filepath.EvalSymlinks(from)
	if err != nil {
		return project.File{}, fmt.Errorf("%s: %w", to, fault.WithoutPath(err))
	}
	base, err := filepath.EvalSymlinks(c.load.RepoDir)
	if err != nil {
		return project.File{}, err
	}
	if !within(base, target) {
		return project.File{}, fmt.Errorf("%s is a link that leads out of the repository; copy what it leads to in its place", to)
	}
	info, err := os.Stat(target)
	if err != nil {
		return project.File{}, fault.WithoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return project.File{}, fmt.Errorf("%s is a link to a folder; link to its files", to)
	}
	data, err := os.ReadFile(target)
	if err != nil {
		return project.File{}, fault.WithoutPath(err)
	}
	mode := uint32(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	return project.File{Path: to, Mode: mode, Data: asOfUser(to, data)}, nil
}

// asOfUser is a file as containers and builds get it: a Compose file among them, this stack's
// or another's, without x-salvor. So another host of a stack is not another image.
func asOfUser(name string, data []byte) []byte {
	if ext := path.Ext(name); ext != ".yaml" && ext != ".yml" || !bytes.Contains(data, []byte("x-salvor")) {
		return data
	}
	without, err := stack.WithoutSalvor(data)
	if err != nil {
		return data // not YAML, or what is below it is used elsewhere in the file
	}
	return without
}

// build takes what building a service's image reads. Contexts keep their place
// in the repository, so that what is built is what Git has.
func (c *collector) build(s *types.ServiceConfig) error {
	b := *s.Build
	var err error
	if b.Context, err = c.context(b.Context, b.DockerfileInline != ""); err != nil {
		return c.load.fail(c.load.files.of("services", s.Name, "build"), "build context: %v", err)
	}
	if strings.HasPrefix(path.Clean(b.Dockerfile), "../") || path.IsAbs(b.Dockerfile) {
		repoPath, err := c.load.inside(path.Join(c.load.Stack.Dir, c.load.local(s.Build.Context)), b.Dockerfile)
		if err != nil {
			return c.load.fail(c.load.files.of("services", s.Name, "build", "dockerfile"), "dockerfile %v", err)
		}
		if !path.IsAbs(b.Dockerfile) {
			if _, _, err := c.takeAs(repoPath, path.Join(elsewhere, repoPath)); err != nil {
				return c.load.fail(c.load.files.of("services", s.Name, "build", "dockerfile"), "%v", err)
			}
		}
	}
	contexts := types.Mapping{}
	for name, from := range b.AdditionalContexts {
		if contexts[name], err = c.context(from, false); err != nil {
			return c.load.fail(c.load.files.of("services", s.Name, "build", "additional_contexts"), "%v", err)
		}
	}
	if len(contexts) > 0 {
		b.AdditionalContexts = contexts
	}
	s.Build = &b
	return nil
}
