package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"salvor/internal/fault"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4" // as compose-go: another parser might see another file
)

// maxFiles is more than any stack includes and extends.
const maxFiles = 200

// resolvePath returns what a path in a Compose file names in the repository, seen
// from a folder of it. URLs, absolute paths, a home, and whatever leads out of the
// repository are refused. It looks at no file.
func resolvePath(dir, name string) (repoPath string, err error) {
	repoPath = path.Join(dir, name)
	if name == "" || path.IsAbs(name) || name[0] == '~' || strings.Contains(name, "://") || strings.ContainsRune(name, 0) ||
		!fs.ValidPath(repoPath) {
		return "", fmt.Errorf("%s is outside of the repository; copy it into the stack's folder", name)
	}
	return repoPath, nil
}

// inside is resolvePath for a stack: a path below PWD is in the stack's folder, and
// no link on the way leads out of the repository either.
func (l *load) inside(dir, name string) (repoPath string, err error) {
	if here := l.local(name); here != name {
		dir, name = l.Stack.Dir, here
	}
	if repoPath, err = resolvePath(dir, name); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(l.RepoDir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	if _, err := root.Stat(filepath.FromSlash(repoPath)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s leads out of the repository; copy what it leads to into the stack's folder", repoPath)
	}
	return repoPath, nil
}

// A guard goes through the files that compose-go will read for include and extends,
// before it does: what it reads is not limited to a folder.
type guard struct {
	load *load
	seen map[string]bool
	read map[string]bool // what compose-go reads, by path in the repository
}

// readsInside returns the paths in the repository of what compose-go reads for include and
// extends, or an error about the first that leads out of the repository.
func (l *load) readsInside() (read map[string]bool, err error) {
	names, err := l.composeFiles()
	if err != nil {
		return nil, err
	}
	g := guard{l, map[string]bool{}, map[string]bool{}}
	for _, name := range names {
		if err := g.file(name, l.Stack.Dir, l.env, false); err != nil {
			return nil, err
		}
	}
	return g.read, nil
}

// file goes through a Compose file whose paths count from a folder.
func (g guard) file(name, dir string, env types.Mapping, included bool) error {
	key := fmt.Sprintf("%q %q", name, dir)
	if g.seen[key] {
		return nil
	}
	if g.seen[key] = true; len(g.seen) > maxFiles {
		return g.load.fail(name+":1:1", "more than %d files are included; include fewer", maxFiles)
	}
	g.read[name] = true
	content, err := g.load.readRepo(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // compose-go reports it
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, fault.WithoutPath(err))
	}
	documents := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var node yaml.Node
		var doc map[string]any
		err := documents.Decode(&node)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			if err := bounded(name, &node); err != nil {
				return err
			}
			err = node.Decode(&doc)
		}
		if err != nil {
			return fmt.Errorf("failed to parse %s: %w", name, err) // also where compose-go would read it: it must not see more
		}
		if err := g.document(name, dir, doc, env, included); err != nil {
			return err
		}
	}
}

func (g guard) document(name, dir string, doc map[string]any, env types.Mapping, included bool) error {
	list, _ := doc["include"].([]any)
	for _, each := range list {
		if err := g.include(name, dir, each, env, included); err != nil {
			return err
		}
	}
	for _, kind := range []string{"services", "jobs"} {
		all, _ := doc[kind].(map[string]any)
		for service, each := range all {
			body, _ := each.(map[string]any)
			extends, _ := body["extends"].(map[string]any)
			for _, from := range texts(extends["file"]) {
				at := g.load.files.of(kind, service, "extends")
				file, err := g.named(at, dir, from, env)
				if err != nil || file == "" {
					return err
				}
				if err := g.file(file, path.Dir(file), env, true); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// include goes through one entry of include. In a file that is included itself,
// compose-go looks for env_file and project_directory from the folder that salvor
// was started in.
func (g guard) include(name, dir string, entry any, env types.Mapping, included bool) error {
	at := g.load.files.of("include")
	body, isMap := entry.(map[string]any)
	if !isMap {
		body = map[string]any{"path": entry}
	}
	if included && (body["env_file"] != nil || body["project_directory"] != nil) {
		return g.load.fail(at, "%s is included, so it can't have an env_file or a project_directory itself; say them where it is included", name)
	}
	var files []string
	for _, from := range texts(body["path"]) {
		file, err := g.named(at, dir, from, env)
		if err != nil {
			return err
		}
		files = append(files, file)
	}
	if len(files) == 0 || files[0] == "" {
		return nil
	}
	base := path.Dir(files[0])
	for _, folder := range texts(body["project_directory"]) {
		var err error
		if base, err = g.named(at, dir, folder, env); err != nil {
			return err
		}
	}
	envFiles, err := g.envFilesOf(at, dir, base, body, env)
	if err != nil {
		return err
	}
	more, err := dotenv.GetEnvFromFile(env, envFiles)
	if err != nil {
		return nil //nolint:nilerr // compose-go reports it
	}
	for _, file := range files {
		if err := g.file(file, base, env.Clone().Merge(more), true); err != nil {
			return err
		}
	}
	return nil
}

// envFilesOf returns where the env files of an entry of include are on disk: those
// that it names, else the `.env` of its project's folder, if there is one.
func (g guard) envFilesOf(at, dir, base string, body map[string]any, env types.Mapping) ([]string, error) {
	var files []string
	listed := texts(body["env_file"])
	for _, from := range listed {
		if from == "/dev/null" {
			continue
		}
		file, err := g.named(at, dir, from, env)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	if len(listed) == 0 {
		own, err := g.load.inside(base, ".env")
		if err != nil {
			return nil, g.load.fail(at, "%v", err)
		}
		if g.load.isFile(own) || g.load.Beside && g.load.aside(own) {
			files = append(files, own)
		}
	}
	for i, file := range files {
		g.read[file] = true
		var err error
		if files[i], err = g.load.onDisk(file, ""); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// named returns the path in the repository that a text of a Compose file names, its
// variables replaced.
func (g guard) named(at, dir, text string, env types.Mapping) (string, error) {
	name, err := template.Substitute(text, func(key string) (string, bool) { v, ok := env[key]; return v, ok })
	if err != nil {
		return "", g.load.fail(at, "%v", err)
	}
	file, err := g.load.inside(dir, name)
	if err != nil {
		return "", g.load.fail(at, "%v", err)
	}
	return file, nil
}

// texts are the strings of a value that is one or a list of them.
func texts(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, each := range v {
			all = append(all, texts(each)...)
		}
		return all
	}
	return nil
}
