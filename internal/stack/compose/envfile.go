package compose

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/fault"
	"salvor/internal/memdir"
)

// resolveFiles reads env_file and label_file of every service from the commit.
// A `.env` that is not in Git means what the host generates: the values of
// stack.env and of the stack's secrets.
func (l *load) resolveFiles(p *types.Project) (*types.Project, error) {
	generated := map[string]bool{}
	l.own, l.listed = map[string]map[string]bool{}, map[string][]string{}
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		l.own[name], l.listed[name] = map[string]bool{}, l.repoPaths(s.EnvFiles)
		for variable := range s.Environment {
			l.own[name][variable] = true
		}
		var err error
		if generated[name], err = l.envFiles(name, &s); err != nil {
			return nil, err
		}
		if err := l.labelFiles(name, s.LabelFiles); err != nil {
			return nil, err
		}
		if err := l.otherFiles(name, &s); err != nil {
			return nil, err
		}
		p.Services[name] = s
	}
	p, err := p.WithServicesEnvironmentResolved(true)
	if err != nil {
		return nil, err
	}
	if p, err = p.WithServicesLabelsResolved(true); err != nil {
		return nil, err
	}
	for name, wanted := range generated {
		if wanted {
			p.Services[name] = l.withStackEnv(p.Services[name])
		}
	}
	return p, nil
}

// envFiles has a service's env_file entries point at the commit's files, and
// says whether it lists the generated `.env`.
func (l *load) envFiles(name string, s *types.ServiceConfig) (generated bool, err error) {
	pos := l.files.of("services", name, "env_file")
	var files []types.EnvFile
	for _, f := range s.EnvFiles {
		f.Path = l.local(f.Path)
		repoPath, ok := l.inRepo(f.Path)
		if _, err := l.inside(l.Stack.Dir, f.Path); err != nil || !ok {
			return false, l.fail(pos, "env_file %s is outside of the repository; copy it into the stack's folder", f.Path)
		}
		exists := l.isFile(repoPath)
		if exists = exists || l.Beside && l.aside(repoPath); !exists && repoPath == path.Join(l.Stack.Dir, ".env") {
			generated = true
			if bool(f.Required) || l.aside(repoPath) {
				l.emptyEnvFile(name, pos)
			}
			continue
		} else if !exists && bool(f.Required) {
			return false, fault.WithHint(l.fail(pos, "env_file %s is not in Git", repoPath), variables{l}.fileMissing(repoPath))
		} else if !exists {
			l.optionalEnvFile(name, pos, repoPath)
		}
		l.reads[repoPath] = true
		variables{l}.unsetIn(repoPath)
		if f.Path, err = l.onDisk(repoPath, f.Format); err != nil {
			return false, err
		}
		f.Format = ""
		files = append(files, f)
	}
	s.EnvFiles = files
	return generated, nil
}

// fileMissing says what to do about an env file that Git does not have, and where that
// can be looked at, that is nowhere.
func (v variables) fileMissing(repoPath string) string {
	if v.load.WorkTree == "" || v.load.aside(repoPath) {
		return importing(repoPath)
	}
	return "write the file, or {path: …, required: false} in its place"
}

// readEnvFile reads an env file of the repository, or one that counts besides.
func (l *load) readEnvFile(repoPath string) ([]byte, error) {
	if l.Beside && l.aside(repoPath) {
		return os.ReadFile(filepath.Join(l.WorkTree, filepath.FromSlash(repoPath)))
	}
	return l.readRepo(repoPath)
}

// labelFiles has label_file entries point at the commit's files, in place.
func (l *load) labelFiles(name string, files []string) error {
	for i, f := range files {
		repoPath, err := l.inside(l.Stack.Dir, f)
		if err != nil {
			return l.fail(l.files.of("services", name, "label_file"), "label_file %v", err)
		}
		l.reads[repoPath] = true
		files[i] = filepath.Join(l.RepoDir, filepath.FromSlash(repoPath))
	}
	return nil
}

// otherFiles holds what else names files of a service to the repository. The env
// files and mounts of pre_start hooks are containers' own, which nothing handles.
func (l *load) otherFiles(name string, s *types.ServiceConfig) error {
	if len(s.PreStart) > 0 {
		return l.fail(l.files.of("services", name, "pre_start"), "pre_start starts a separate container, with mounts "+
			"that are not classified; make it a service that depends_on waits for")
	}
	var named []string
	if s.CredentialSpec != nil && s.CredentialSpec.File != "" {
		named = append(named, s.CredentialSpec.File)
	}
	if s.Develop != nil {
		for _, w := range s.Develop.Watch {
			named = append(named, w.Path)
		}
	}
	for _, file := range named {
		if _, err := l.inside(l.Stack.Dir, file); err != nil {
			return l.fail(l.files.of("services", name), "%v", err)
		}
	}
	return nil
}

// withStackEnv gives a service the stack's values that it does not set itself.
func (l *load) withStackEnv(s types.ServiceConfig) types.ServiceConfig {
	env := types.MappingWithEquals{}
	for k, v := range l.stackEnv {
		env[k] = &v
	}
	s.Environment = env.OverrideBy(s.Environment)
	return s
}

// repoPaths are env files as paths in the repository.
func (l *load) repoPaths(files []types.EnvFile) []string {
	var paths []string
	for _, f := range files {
		if p, ok := l.inRepo(l.local(f.Path)); ok && !filepath.IsAbs(l.local(f.Path)) {
			paths = append(paths, p)
		}
	}
	return paths
}

// rawFormat is the format of env files that Compose adds to those of compose-go.
const rawFormat = "raw"

// onDisk returns where compose-go can read an env file. One that is replaced or has another
// format goes to a temporary file, in memory where the system has that: it may be secret.
func (l *load) onDisk(repoPath, format string) (string, error) {
	content, replaced := l.Replaced[repoPath]
	if format == "" && l.Beside && l.aside(repoPath) {
		return filepath.Join(l.WorkTree, filepath.FromSlash(repoPath)), nil
	}
	if !replaced && format == "" {
		return filepath.Join(l.RepoDir, filepath.FromSlash(repoPath)), nil
	}
	if format != "" && format != rawFormat {
		return "", fmt.Errorf("env_file %s has the format %s, and Compose knows raw and its own", repoPath, format)
	}
	if format == rawFormat {
		var err error
		if content, err = l.readEnvFile(repoPath); err != nil {
			return "", err
		}
		content = fromRaw(content, func(name string) (string, bool) { v, set := l.env[name]; return v, set })
	}
	dir, err := temporaryFolder(l)
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "env")
	return name, os.WriteFile(name, content, 0o600) //nolint:forbidigo // no one reads half of it: it is read by this load alone
}

// temporaryFolder makes a folder for what compose-go reads from files, in memory where the
// system has that. It is removed with the load.
func temporaryFolder(l *load) (string, error) {
	dir, err := memdir.New(memdir.Usual()...)
	if errors.Is(err, memdir.ErrNone) { // macOS
		dir, err = os.MkdirTemp("", "salvor-compose-")
	}
	if err == nil {
		l.temporary = append(l.temporary, dir)
	}
	return dir, err
}

func (l *load) cleanUp() {
	for _, name := range l.temporary {
		os.RemoveAll(name) //nolint:errcheck // it is in memory, which the next boot clears
	}
	l.temporary = nil
}
