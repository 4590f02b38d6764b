// Package rendering renders the stacks of one commit: Compose files and what the
// repository says about them, as hosts get them. It needs the commit's files and the
// names of its secrets, and no key, so that a host can do it as well as an operator.
package rendering

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"sync"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/route"
	"salvor/internal/secretnames"
	"salvor/internal/stack/compose"
	"salvor/internal/yamldoc"
)

// A Source is what stacks are rendered from.
type Source struct {
	Dir        string                  // the commit's files, on disk
	WorkTree   string                  // the working tree that they were made from, where a check asks what Git would leave out; "" for none
	Repository *controlrepo.Repository // what the files declare
	Names      Names                   // of the secrets
	// Look adds findings about a stack that was rendered; nil adds none.
	Look func(st fleet.Stack, r project.Rendered) []finding.Finding
}

// Names are the names of secrets: secretnames.Names, or an operator's, which also
// says that a file is not what it should be.
type Names interface {
	EnvNames(stack string) ([]string, error)
	Unfiled() ([]string, error)
	DeliverableTo(stack, key string) error
}

// NamesOf are the names of secrets of a repository's files.
func NamesOf(files fs.FS, f fleet.Fleet) secretnames.Names {
	return secretnames.Names{Files: files, Secrets: f.Secrets, Vaults: f.Vaults, Token: f.Git.Token}
}

// Stacks renders every stack at once, each for itself. One that does not load has a
// fatal finding with its name and is not in the result. The repository's fleet has then which
// stacks publish.
func Stacks(ctx context.Context, s Source) (map[string]project.Rendered, []finding.Finding, error) {
	unfiled, err := s.Names.Unfiled()
	if err != nil {
		return nil, nil, err
	}
	stacks := s.Repository.Fleet.Stacks
	outcomes := make([]outcome, len(stacks))
	var all sync.WaitGroup
	for i, st := range stacks {
		all.Go(func() { outcomes[i] = s.stack(ctx, st, unfiled) })
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	rendered := map[string]project.Rendered{}
	var found []finding.Finding
	for i, o := range outcomes {
		found = append(found, o.findings...)
		if !Broken(o.findings, stacks[i].Name) {
			rendered[stacks[i].Name] = o.rendered
			stacks[i].Publishes = len(o.rendered.Project.Routes) > 0
		}
	}
	return rendered, append(found, s.routes(rendered)...), nil
}

// routes says of hostnames that several declare whose they are, and of ingress.routes what
// is wrong. The stacks that are placed come first.
func (s Source) routes(rendered map[string]project.Rendered) (found []finding.Finding) {
	var placed, others []route.Claim
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		claim := route.Claim{Owner: name, Routes: rendered[name].Project.Routes}
		if _, is := s.Repository.Lock.Placement(name); is {
			placed = append(placed, claim)
		} else {
			others = append(others, claim)
		}
	}
	for _, host := range s.Repository.Fleet.Hosts {
		read := s.Repository.Fleet.Ingress.RoutesOf(host.Name)
		placed, found = append(placed, route.Claim{Owner: fleet.Own(host.Name), Routes: read.Routes}), append(found, read.Findings...)
	}
	return append(found, route.Contested(append(placed, others...))...)
}

// Broken reports whether findings say that a stack does not load.
func Broken(found []finding.Finding, stack string) bool {
	return slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Severity == finding.Fatal && f.Stack == stack })
}

// outcome is what became of rendering one stack.
type outcome struct {
	rendered project.Rendered
	findings []finding.Finding
}

func (s Source) stack(ctx context.Context, st fleet.Stack, unfiled []string) outcome {
	if problems := s.Repository.Broken[st.Name]; len(problems) > 0 {
		return outcome{findings: Problems(st.Name, problems)}
	}
	opts := compose.Options{
		RepoDir: s.Dir, WorkTree: s.WorkTree, Stack: st, Vars: s.Repository.Fleet.Vars, Ingress: s.Repository.Fleet.Ingress, Binds: s.Repository.Fleet.Binds, Secrets: unfiled, Images: s.Repository.Lock.Stacks[st.Name].Images,
		Deliverable: func(key string) error { return s.Names.DeliverableTo(st.Name, key) },
	}
	var err error
	if opts.SecretKeys, err = s.Names.EnvNames(st.Name); err != nil {
		return outcome{findings: []finding.Finding{broken(st, err)}}
	}
	loaded, found, err := compose.Load(ctx, opts)
	if problems := yamldoc.Problems(err); len(problems) > 0 {
		return outcome{findings: Problems(st.Name, problems)}
	}
	if err != nil {
		return outcome{findings: []finding.Finding{broken(st, err)}}
	}
	if s.Look != nil {
		found = append(found, s.Look(st, *loaded)...)
	}
	for i := range found {
		if found[i].Severity == finding.Fatal {
			found[i].Stack = st.Name
		}
	}
	return outcome{*loaded, found}
}

// Problems are the findings about a stack's files that don't load.
func Problems(stack string, problems []*yamldoc.Problem) []finding.Finding {
	var all []finding.Finding
	for _, p := range problems {
		all = append(all, finding.Finding{Code: finding.StackBroken, Severity: finding.Fatal, Subject: p.Position.String(), Text: p.Text, Fix: cmp.Or(p.Advice, "correct it; docs/stacks.md says what can be here"), Stack: stack})
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

// Error is the error of a command that needs a stack which does not load, by the
// findings about it; nil for one that loads.
func Error(found []finding.Finding, stack string) error {
	for _, f := range found {
		if f.Severity == finding.Fatal && f.Stack == stack {
			return fault.WithHint(fmt.Errorf("stack %s does not load: %s: %s", stack, f.Subject, f.Text), cmp.Or(f.Fix, "salvor check"))
		}
	}
	return nil
}
