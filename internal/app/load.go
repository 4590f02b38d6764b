package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"salvor/internal/controlrepo"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/stack/compose"
	"salvor/internal/version"
)

// Files says which files are the fleet's.
type Files int

// The newest commit's, those that a commit of the whole working tree would have,
// and those that the next commit has.
const (
	Committed Files = iota
	WorkTree
	Staged
)

func (a *App) load(ctx context.Context) error {
	var err error
	if a.commit, err = a.git.Head(ctx); err != nil && (a.opts.Files == Committed || !errors.Is(err, controlrepo.ErrUnborn)) {
		return err
	}
	left, err := a.fill(ctx)
	if err != nil {
		return err
	}
	if a.repo, err = controlrepo.Load(a.export, version.String()); err != nil {
		return err
	}
	if err := a.checkSigned(ctx); err != nil {
		return err
	}
	a.declared = a.repo.Declared()
	a.hosts = newDialer(a)
	a.use(a.keyring())
	a.findings = slices.Concat(a.findings, a.repo.Findings, a.leftOut(left))
	if err := a.noticeElsewhere(ctx); err != nil {
		return err
	}
	return a.render(ctx)
}

// fill exports the fleet's files.
func (a *App) fill(ctx context.Context) ([]controlrepo.LeftOut, error) {
	switch a.opts.Files {
	case WorkTree:
		return a.git.ExportWork(ctx, a.export)
	case Staged:
		return a.git.ExportStaged(ctx, a.export)
	}
	return a.git.Export(ctx, a.commit, a.export)
}

// leftOut are the findings about what Git has and no host gets.
func (a *App) leftOut(left []controlrepo.LeftOut) []finding.Finding {
	var all []finding.Finding
	for _, l := range left {
		f := finding.Finding{Code: finding.NotInGit, Severity: finding.Warning, Subject: l.Path, Text: l.Path + " " + l.Why, Fix: l.Fix}
		if f.Stack = a.repo.Named(stackOf(l.Path)); f.Stack != "" {
			f.Severity = finding.Fatal
		}
		all = append(all, f)
	}
	return all
}

// stackOf returns the folder below stacks/ that a path of the repository is in.
func stackOf(repoPath string) string {
	if parts := strings.Split(repoPath, "/"); len(parts) > 2 && parts[0] == controlrepo.StackDir {
		return parts[1]
	}
	return ""
}

var pointer = []byte("version https://git-lfs.github.com/spec/")

// noticeElsewhere reports the stacks' files of which Git has only a pointer (Git LFS).
func (a *App) noticeElsewhere(ctx context.Context) error {
	var below []string
	err := fs.WalkDir(os.DirFS(a.export), controlrepo.StackDir, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && d.Type().IsRegular() {
			below = append(below, p)
		}
		return err
	})
	if err != nil {
		return err
	}
	filtered, err := a.git.Filtered(ctx, below)
	if err != nil {
		return err
	}
	for _, p := range below {
		if slices.Contains(filtered, p) || a.isPointer(p) {
			a.findings = append(a.findings, finding.Finding{Code: finding.NotInGit, Severity: finding.Warning, Subject: p,
				Text: p + " is stored with Git LFS: Git only has a pointer to it, so the host would get the pointer", Fix: "git lfs untrack " + path.Base(p) + ", " +
					"then commit the file itself"})
		}
	}
	return nil
}

func (a *App) isPointer(p string) bool {
	f, err := os.Open(filepath.Join(a.export, filepath.FromSlash(p)))
	if err != nil {
		return false
	}
	defer f.Close() // only read from
	head := make([]byte, len(pointer))
	n, _ := f.Read(head)
	return n == len(pointer) && slices.Equal(head, pointer)
}

// render resolves every stack and collects the findings about the fleet.
func (a *App) render(ctx context.Context) error {
	if err := a.resolveAll(ctx); err != nil {
		return err
	}
	a.findings = slices.Concat(a.findings, a.nameless(), a.portsTaken(), a.mountsNested(), a.invalidRemotes(), a.invalidRegistries(), a.unrecorded())
	return a.noticeKeys(ctx, time.Now())
}

// resolveAll resolves every stack at once, each for itself: one that does not load is
// Broken, and a fatal finding says why.
func (a *App) resolveAll(ctx context.Context) error {
	a.stacks = map[string]deploy.Rendered{}
	named, err := a.store.Unfiled()
	if err != nil {
		return err
	}
	stacks := a.repo.Fleet.Stacks
	outcomes := make([]outcome, len(stacks))
	var all sync.WaitGroup
	for i, st := range stacks {
		all.Go(func() { outcomes[i] = a.resolve(ctx, st, named) })
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for i, o := range outcomes {
		a.findings = append(a.findings, o.findings...)
		stacks[i].Broken = slices.ContainsFunc(a.findings, func(f finding.Finding) bool { return f.Severity == finding.Fatal && f.Stack == stacks[i].Name })
		if !stacks[i].Broken {
			a.stacks[stacks[i].Name] = o.rendered
		}
	}
	return nil
}

// nameless are the findings about folders of stacks/ whose names no stack can have.
func (a *App) nameless() []finding.Finding {
	var all []finding.Finding
	for name, problems := range a.repo.Broken {
		if fleet.ValidName(name) != nil {
			all = append(all, problemFindings("", problems)...)
		}
	}
	return all
}

// outcome is what became of loading one stack.
type outcome struct {
	rendered deploy.Rendered
	findings []finding.Finding
}

func (a *App) resolve(ctx context.Context, st fleet.Stack, named []string) outcome {
	if problems := a.repo.Broken[st.Name]; len(problems) > 0 {
		return outcome{findings: problemFindings(st.Name, problems)}
	}
	opts := compose.Options{RepoDir: a.export, Stack: st, Vars: a.repo.Fleet.Vars, Secrets: named, Images: a.repo.Lock.Stacks[st.Name].Images,
		Deliverable: func(key string) error { return a.deliverable(st.Name, key) }}
	if a.opts.Files != Committed {
		opts.WorkTree = a.root
	}
	var err error
	if opts.SecretKeys, err = a.store.EnvNames(st.Name); err != nil {
		return outcome{findings: []finding.Finding{broken(st, err)}}
	}
	loaded, found, err := compose.Load(ctx, opts)
	if err != nil {
		return outcome{findings: []finding.Finding{broken(st, err)}}
	}
	found = append(found, a.unprotected(st, loaded.Volumes)...)
	for i := range found {
		if found[i].Severity == finding.Fatal {
			found[i].Stack = st.Name
		}
	}
	return outcome{deploy.Rendered{Project: loaded.Project, Volumes: loaded.Volumes}, found}
}

func problemFindings(stack string, problems []*controlrepo.Problem) []finding.Finding {
	var all []finding.Finding
	for _, p := range problems {
		all = append(all, finding.Finding{Code: finding.StackBroken, Severity: finding.Fatal, Subject: p.Position.String(), Text: p.Text, Fix: p.Advice, Stack: stack})
	}
	return all
}

var placed = regexp.MustCompile(`^([^\s:]+/[^\s:]*(?::\d+)*): (.*)$`)

// broken is the finding about a stack that does not load.
func broken(st fleet.Stack, err error) finding.Finding {
	f := finding.Finding{Code: finding.StackBroken, Severity: finding.Fatal, Subject: st.Dir, Text: err.Error(), Fix: fault.Hint(err), Stack: st.Name}
	if m := placed.FindStringSubmatch(f.Text); m != nil {
		f.Subject, f.Text = m[1], m[2]
	}
	return f
}

// Broken is the error of a command that needs a stack which does not load, nil for
// one that does.
func (a *App) Broken(name string) error {
	for _, f := range a.findings {
		if f.Severity == finding.Fatal && f.Stack == name {
			return fault.WithHint(fmt.Errorf("stack %s does not load: %s: %s", name, f.Subject, f.Text), cmp.Or(f.Fix, "salvor check"))
		}
	}
	return nil
}
