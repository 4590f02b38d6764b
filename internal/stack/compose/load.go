// Package compose is the operator's half of a stack: it loads a Compose project
// from an exported commit, classifies every mount and renders the project that
// a host runs. It reads the commit and nothing else: no shell environment, no
// file outside, no network.
package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
)

// Options say what to load.
type Options struct {
	RepoDir    string // an exported commit on disk
	Stack      fleet.Stack
	Vars       map[string]string // the fleet's vars
	SecretKeys []string          // names of the stack's secret variables; their values are not needed
	Secrets    []string          // names of the fleet's secrets that are no file of their own below secrets/
	Replaced   map[string][]byte // what files of the repository would be: stack.env, the Compose file; nil for one that is gone
}

// Loaded is a stack as hosts need it, before placement.
type Loaded struct {
	Project agentapi.Project
	Volumes []agentapi.Volume // sorted by name
}

// Load resolves, classifies and renders a stack. Findings come sorted, worst
// first; with a fatal one the result may be looked at but not deployed. Errors
// begin with "file:line:column: " wherever the place is known. The same commit
// always gives the same bytes.
func Load(ctx context.Context, opts Options) (*Loaded, []finding.Finding, error) {
	l, err := newLoad(opts)
	if err != nil {
		return nil, nil, err
	}
	l.unset()
	if l.project, err = l.resolve(ctx); err != nil {
		return nil, nil, l.at(err)
	}
	mounts, err := l.classify()
	if err != nil {
		return nil, nil, err
	}
	project, err := l.render(mounts)
	if err != nil {
		return nil, nil, err
	}
	finding.Sort(l.findings)
	return &Loaded{Project: project, Volumes: mounts.volumes()}, l.findings, nil
}

// load is the work of one Load.
type load struct {
	Options
	dir      string // the stack's folder on disk, absolute
	env      map[string]string
	stackEnv map[string]string // of env, what stack.env and the secrets give
	files    sources
	project  *types.Project
	active   map[string]bool // services that `up` starts
	onChange map[string]fleet.OnChange
	findings []finding.Finding

	values    *Values                    // nil: marks stand for the values of secrets
	own       map[string]map[string]bool // by service: variables under environment:
	listed    map[string][]string        // by service: env files, as paths in the repository
	temporary []string                   // files to remove
}

func newLoad(opts Options) (*load, error) { return newLoadWith(opts, nil) }

func newLoadWith(opts Options, values *Values) (*load, error) {
	repo, err := filepath.Abs(opts.RepoDir)
	if err != nil {
		return nil, err
	}
	opts.RepoDir = repo
	l := &load{Options: opts, dir: filepath.Join(repo, filepath.FromSlash(opts.Stack.Dir)), active: map[string]bool{}, values: values}
	if l.files, err = readSources(l.readRepo, path.Join(opts.Stack.Dir, opts.Stack.File)); err != nil {
		return nil, err
	}
	return l, l.environment()
}

// environment gathers what `${…}` may name: the fleet's vars, then stack.env,
// then the secrets, whose values are marks that render turns back into `${…}`.
func (l *load) environment() error {
	secrets := map[string]string{}
	for _, key := range l.SecretKeys {
		secrets[key] = l.secretValue(key)
	}
	l.env, l.stackEnv = maps.Clone(l.Vars), map[string]string{}
	if l.env == nil {
		l.env = map[string]string{}
	}
	lookup := maps.Clone(l.env)
	maps.Copy(lookup, secrets)
	content, err := l.readRepo(l.Stack.Dir + "/stack.env")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	values, err := dotenv.UnmarshalWithLookup(string(content), func(k string) (string, bool) { v, ok := lookup[k]; return v, ok })
	if err != nil {
		return fmt.Errorf("%s/stack.env: %w", l.Stack.Dir, err)
	}
	maps.Copy(l.stackEnv, values)
	maps.Copy(l.stackEnv, secrets)
	if l.values != nil {
		for name, v := range l.values.Over {
			l.stackEnv[name] = string(v.Reveal())
		}
	}
	maps.Copy(l.env, l.stackEnv)
	return nil
}

func (l *load) secretValue(key string) string {
	if l.values == nil {
		return mark(key)
	}
	return string(l.values.Secrets[key].Reveal())
}

// readRepo reads a file of the repository, or what it would be.
func (l *load) readRepo(repoPath string) ([]byte, error) {
	if content, replaced := l.Replaced[repoPath]; replaced {
		if content == nil {
			return nil, &os.PathError{Op: "open", Path: repoPath, Err: os.ErrNotExist}
		}
		return content, nil
	}
	return os.ReadFile(filepath.Join(l.RepoDir, filepath.FromSlash(repoPath)))
}

// resolve has compose-go do includes, extends, anchors, interpolation and
// merging. Paths stay as written, relative to the stack's folder.
func (l *load) resolve(ctx context.Context) (*types.Project, error) {
	main := filepath.Join(l.dir, filepath.FromSlash(l.Stack.File))
	content, err := l.readRepo(path.Join(l.Stack.Dir, l.Stack.File))
	if err != nil {
		return nil, err
	}
	details := types.ConfigDetails{WorkingDir: l.dir, ConfigFiles: []types.ConfigFile{{Filename: main, Content: content}}, Environment: maps.Clone(l.env)}
	project, err := loader.LoadWithContext(ctx, details, func(o *loader.Options) {
		o.SetProjectName(l.Stack.Name, true)
		o.ResolvePaths = false
		o.SkipNormalization = true
		o.SkipResolveEnvironment = true
		o.SkipResolveLabels = true
		o.Profiles = []string{"*"}
		o.ResourceLoaders = []loader.ResourceLoader{outsiders{}}
	})
	if err != nil {
		return nil, err
	}
	profiles := strings.Split(l.env["COMPOSE_PROFILES"], ",")
	for name, s := range project.Services {
		l.active[name] = len(s.Profiles) == 0 || slices.Contains(profiles, "*") || slices.ContainsFunc(s.Profiles, func(p string) bool { return slices.Contains(profiles, p) })
	}
	return l.resolveFiles(project)
}

// outsiders refuses what an include or extends would read from outside of the
// commit.
type outsiders struct{}

func (outsiders) Accept(p string) bool { return filepath.IsAbs(p) || strings.Contains(p, "://") }

func (outsiders) Load(_ context.Context, p string) (string, error) {
	return "", fmt.Errorf("%s is outside of the repository; copy it into the stack's folder", p)
}

func (outsiders) Dir(p string) string { return filepath.Dir(p) }

// at puts the place in front of an error of compose-go and takes the names of
// temporary folders and marks out of it.
func (l *load) at(err error) error {
	text := unmark(strings.ReplaceAll(err.Error(), l.RepoDir+string(filepath.Separator), ""))
	text = strings.ReplaceAll(text, "\n", " ")
	text = strings.ReplaceAll(text, " false schema", " is no key that Compose knows") // how the JSON schema says it
	return fmt.Errorf("%s: %s", l.files.guess(text), text)
}

// fail is an error at a service's mount, or at the service.
func (l *load) fail(pos, format string, args ...any) error {
	return fmt.Errorf("%s: %s", pos, unmark(fmt.Sprintf(format, args...)))
}

func (l *load) found(f finding.Finding) { l.findings = append(l.findings, f) }

// inRepo returns a path below the stack's folder, or above it, as a clean path
// in the repository.
func (l *load) inRepo(rel string) (string, bool) {
	p := path.Join(l.Stack.Dir, filepath.ToSlash(rel))
	return p, p != ".." && !strings.HasPrefix(p, "../")
}

func (l *load) stat(repoPath string) (os.FileInfo, bool) {
	if content, replaced := l.Replaced[repoPath]; replaced && content == nil {
		return nil, false
	}
	info, err := os.Stat(filepath.Join(l.RepoDir, filepath.FromSlash(repoPath)))
	return info, err == nil
}
