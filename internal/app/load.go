package app

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"

	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/stack/compose"
)

func (a *App) load(ctx context.Context) error {
	a.declared = a.Checkout.Declared()
	a.hosts = newDialer(a)
	a.use(a.keyring())
	a.findings = slices.Concat(a.findings, a.Checkout.Findings, a.Checkout.Noticed)
	return a.render(ctx)
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
	stacks := a.Checkout.Fleet.Stacks
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
	for name, problems := range a.Checkout.Broken {
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
	if problems := a.Checkout.Broken[st.Name]; len(problems) > 0 {
		return outcome{findings: problemFindings(st.Name, problems)}
	}
	opts := compose.Options{RepoDir: a.Checkout.Export, Stack: st, Vars: a.Checkout.Fleet.Vars, Secrets: named, Images: a.Checkout.Lock.Stacks[st.Name].Images,
		Deliverable: func(key string) error { return a.deliverable(st.Name, key) }}
	if a.Checkout.Files != checkout.Committed {
		opts.WorkTree = a.Checkout.Root
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
