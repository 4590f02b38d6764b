// Package compose loads a stack's Compose project from an exported commit, classifies
// every mount and renders the project that a host runs. It reads the commit and nothing else: no shell environment, no
// file outside, no network.
package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"

	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// Options say what to load.
type Options struct {
	RepoDir    string // an exported commit on disk
	Stack      fleet.Stack
	Vars       map[string]string // the fleet's vars
	Binds      fleet.Binds       // what the fleet says of folders of the hosts
	Ingress    fleet.Ingress     // how its routes are published
	SecretKeys []string          // names of the stack's secret variables; their values are not needed
	Secrets    []string          // names of the fleet's secrets that are not a file of their own below secrets/
	Images     map[string]string // what salvor.lock has the services run, see agentapi.Service.Reference
	WorkTree   string            // the working tree that RepoDir was made from, where a check asks what Git would leave out; "" for none
	Beside     bool              // env files that only WorkTree has count, too
	Replaced   map[string][]byte // what files of the repository would be: stack.env, the Compose file; nil for one that is gone

	// Deliverable says why the stack may not be given a secret: a path below secrets/,
	// or the name of one of its variables. nil allows each.
	Deliverable func(key string) error
}

// Load resolves, classifies and renders a stack. Findings come sorted, worst
// first; with a fatal one the result may be looked at but not deployed. Errors
// begin with "file:line:column: " wherever the place is known. The same commit
// always gives the same bytes.
func Load(ctx context.Context, opts Options) (*project.Rendered, []finding.Finding, error) {
	l, err := newLoad(opts)
	if err != nil {
		return nil, nil, err
	}
	if err := l.files.wellFormed(); err != nil {
		return nil, nil, err
	}
	variables{l}.unset()
	l.ignoredSettings()
	unusedFiles(l)
	if _, err := l.readsInside(); err != nil {
		return nil, nil, l.because(err)
	}
	if l.project, err = l.resolve(ctx); err != nil {
		return nil, nil, l.because(err)
	}
	if err := cmp.Or(imageNames(l), restarts(l)); err != nil {
		return nil, nil, l.because(err)
	}
	started{l}.nothing()
	started{l}.needsIdle()
	mounts, err := classifier{l}.classify()
	if err != nil {
		return nil, nil, err
	}
	routes, unused := router{l}.read()
	all := &project.Rendered{
		Unused:  unused,
		Volumes: mounts.volumes(), Awaited: started{l}.awaited(mounts), Networks: started{l}.networks(), Containers: started{l}.containers(), Published: started{l}.published(), Asks: started{l}.asks(), Asked: l.asked,
	}
	if all.Hooks, err = (around{l}).hooks(); err != nil {
		return nil, nil, err
	}
	all.Stops = around{l}.stops(mounts)
	if all.Project, err = (renderer{l}).render(mounts); err != nil {
		return nil, nil, err
	}
	all.Project.Routes = routes
	if all.Adoption, err = adoptionOf(l, all.Project.UsesTailnet()); err != nil {
		return nil, nil, err
	}
	finding.Sort(l.findings)
	return all, l.findings, nil
}

// load is the work of one Load.
type load struct {
	Options
	env      map[string]string
	stackEnv map[string]string // of env, what stack.env and the secrets give
	files    sources
	project  *types.Project
	active   map[string]bool // services that `up` starts
	onChange map[string]fleet.OnChange
	findings []finding.Finding
	asked    []project.Asked

	unsettled map[string]bool            // sources of mounts that lack a variable
	values    *Values                    // nil: marks stand for the values of secrets
	own       map[string]map[string]bool // by service: variables under environment:
	listed    map[string][]string        // by service: env files, as paths in the repository
	temporary []string                   // files and folders to remove
	reads     map[string]bool            // files of the repository that Compose reads
}

func newLoad(opts Options) (*load, error) { return newLoadWith(opts, nil) }

func newLoadWith(opts Options, values *Values) (*load, error) {
	logrus.SetOutput(io.Discard) // compose-go's log; what it says there is a finding
	repo, err := filepath.Abs(opts.RepoDir)
	if err != nil {
		return nil, err
	}
	opts.RepoDir = repo
	l := &load{Options: opts, active: map[string]bool{}, unsettled: map[string]bool{}, reads: map[string]bool{}, values: values}
	if err := l.environment(); err != nil {
		return nil, err
	}
	names, err := l.composeFiles()
	if err != nil {
		return nil, err
	}
	l.files, err = readSources(l.readRepo, opts.Stack.Dir, names)
	return l, err
}

// environment gathers what `${…}` may name: the fleet's vars, then a `.env` that
// Git has, then stack.env, then the secrets, whose values are marks that render
// turns back into `${…}`. PWD is the project's folder on its host, and SALVOR_TAILNET_IP the
// host's address in the tailnet, which is in no env file.
func (l *load) environment() error {
	secrets := map[string]string{}
	for _, key := range l.SecretKeys {
		secrets[key] = l.secretValue(key)
	}
	l.env, l.stackEnv = maps.Clone(l.Vars), map[string]string{}
	if l.env == nil {
		l.env = map[string]string{}
	}
	l.env[project.TailnetIP] = tailnetMark
	for _, name := range []string{".env", "stack.env"} {
		if err := l.readEnv(name, secrets); err != nil {
			return err
		}
	}
	maps.Copy(l.stackEnv, secrets)
	if l.values != nil {
		for name, v := range l.values.Over {
			l.stackEnv[name] = string(v.Reveal())
		}
	}
	maps.Copy(l.env, l.stackEnv)
	l.env["PWD"], l.env[project.TailnetIP] = l.projectDir(), tailnetMark
	return nil
}

// readEnv adds what an env file of the stack's folder sets, if it is there.
func (l *load) readEnv(name string, secrets map[string]string) error {
	content, err := l.readEnvFile(l.Stack.Dir + "/" + name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := ParseEnv(l.Stack.Dir+"/"+name, content, func(k string) (string, bool) {
		for _, from := range []map[string]string{secrets, l.stackEnv, l.env} {
			if v, ok := from[k]; ok {
				return v, true
			}
		}
		return "", false
	})
	if err != nil {
		return fault.WithHint(err, "write NAME=value, or NAME='value' for one with spaces or $")
	}
	maps.Copy(l.stackEnv, f.values())
	return nil
}

func (l *load) secretValue(key string) string {
	if l.values == nil {
		return mark(key)
	}
	return string(l.values.Secrets[key].Reveal())
}

// readRepo reads a file of the repository, or what it is to be replaced with.
func (l *load) readRepo(repoPath string) ([]byte, error) {
	l.reads[repoPath] = true
	if content, replaced := l.Replaced[repoPath]; replaced {
		if content == nil {
			return nil, &os.PathError{Op: "open", Path: repoPath, Err: os.ErrNotExist}
		}
		return content, nil
	}
	root, err := os.OpenRoot(l.RepoDir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.ReadFile(filepath.FromSlash(repoPath))
}

// resolve has compose-go do includes, extends, anchors, interpolation and
// merging. Paths stay as written, relative to the stack's folder.
func (l *load) resolve(ctx context.Context) (*types.Project, error) {
	defer l.cleanUp()
	root, err := mirrored(l)
	if err != nil {
		return nil, err
	}
	files, err := l.configFiles(root)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(root, filepath.FromSlash(l.Stack.Dir))
	details := types.ConfigDetails{WorkingDir: dir, ConfigFiles: files, Environment: maps.Clone(l.env)}
	project, err := loadProject(ctx, details, func(o *loader.Options) {
		o.SetProjectName(l.Stack.ProjectName(), true)
		o.ResolvePaths = false
		o.SkipNormalization = true
		o.SkipResolveEnvironment = true
		o.SkipResolveLabels = true
		o.Profiles = []string{"*"}
		o.ResourceLoaders = []loader.ResourceLoader{outsiders{l, dir}}
	})
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), root+string(filepath.Separator), ""))
	}
	on := l.profiles()
	for name, s := range project.Services {
		l.active[name] = runs(s.Profiles, on)
	}
	return l.resolveFiles(project)
}

// outsiders refuses what an include or extends would read from outside of the
// commit. A path below PWD is inside.
type outsiders struct {
	load *load
	dir  string // the stack's folder, as compose-go reads it
}

func (outsiders) Accept(p string) bool { return filepath.IsAbs(p) || strings.Contains(p, "://") }

func (o outsiders) Load(_ context.Context, p string) (string, error) {
	if within := o.load.local(p); within != p {
		return filepath.Join(o.dir, filepath.FromSlash(within)), nil
	}
	return "", fmt.Errorf("%s is outside of the repository; copy it into the stack's folder", p)
}

func (outsiders) Dir(p string) string { return filepath.Dir(p) }

// longest is how long the text of an error gets.
const longest = 300

var aroundMessage = regexp.MustCompile(`^(?:validating|failed to parse) \S+: |:? invalid compose project$`)

// at explains an error of compose-go: the place in front, and no names of temporary
// folders and marks in it.
func (l *load) at(err error) error {
	text := unmark(strings.ReplaceAll(err.Error(), l.RepoDir+string(filepath.Separator), ""))
	text = strings.Join(strings.Fields(text), " ")
	if l.files.placed(text) {
		return fault.WithHint(errors.New(text), cmp.Or(fault.Hint(err), "salvor check"))
	}
	e := explainer{l.files.named(text), l.Stack.Name, variables{l}.setting}.explain(aroundMessage.ReplaceAllString(text, ""))
	return fault.WithHint(errors.New(shortened(e.place+": "+e.text)), cmp.Or(fault.Hint(err), e.hint))
}

// shortened cuts a text that is too long to be read.
func shortened(text string) string {
	if runes := []rune(text); len(runes) > longest {
		return string(runes[:longest-1]) + "…"
	}
	return text
}

// because is at for a project that does not resolve: where a variable is set
// nowhere in the same line, that is the reason, whatever became of it.
func (l *load) because(err error) error {
	if keys := marks(err.Error()); len(keys) > 0 {
		return fault.WithHint(l.at(err), fmt.Sprintf("%s is a secret, whose value can't be here: write a plain one into %s/stack.env under another name", keys[0], l.Stack.Dir))
	}
	finding.Sort(l.findings)
	for _, f := range l.findings {
		switch {
		case f.Severity == finding.Fatal:
			return fault.WithHint(fmt.Errorf("%s: %s", f.Subject, f.Text), f.Fix)
		case f.Code == finding.VariableUnset && onLine(f.Subject, l.at(err)), f.Code == finding.NotInGit && f.Fix != "":
			return fault.WithHint(l.at(err), f.Fix)
		}
	}
	return l.at(err)
}

// onLine reports whether an error begins with the file and line of a place.
func onLine(place string, err error) bool {
	line := place[:strings.LastIndexByte(place, ':')+1]
	return line != "" && strings.HasPrefix(err.Error(), line)
}

// fail is an error at a place. What follows the last semicolon of its text is the hint.
func (l *load) fail(pos, format string, args ...any) error {
	text := unmark(fmt.Sprintf(format, args...))
	if at := strings.LastIndex(text, "; "); at >= 0 {
		return fault.WithHint(errors.New(shortened(pos+": "+text[:at])), text[at+len("; "):])
	}
	return errors.New(shortened(pos + ": " + text))
}

// found notes a finding, once.
func (l *load) found(f finding.Finding) {
	if !slices.Contains(l.findings, f) {
		l.findings = append(l.findings, f)
	}
}

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
	root, err := os.OpenRoot(l.RepoDir)
	if err != nil {
		return nil, false
	}
	defer root.Close()
	info, err := root.Stat(filepath.FromSlash(repoPath))
	return info, err == nil
}
