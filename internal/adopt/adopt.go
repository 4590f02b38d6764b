package adopt

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"salvor/internal/agentapi"
	"salvor/internal/atomicfile"
	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/envimport"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/proposal"
	"salvor/internal/reach"
	"salvor/internal/rendering"
	"salvor/internal/secret"
	"salvor/internal/suggest"
	"salvor/internal/version"
)

// An Adopter makes stacks of what runs on a host.
type Adopter struct {
	checkout *checkout.Checkout
	reach    *reach.Dialer
	importer *envimport.Importer
}

// New returns one on the newest commit.
func New(c *checkout.Checkout, d *reach.Dialer, i *envimport.Importer) *Adopter {
	return &Adopter{checkout: c, reach: d, importer: i}
}

// Observed is what was found on a host. What it shows holds no secret.
type Observed struct {
	Host       string
	Candidates []Candidate
	Containers []agentapi.LooseContainer // of no project: they stay as they are
	Volumes    []agentapi.LooseVolume    // that no container has
	Crontabs   []string
	Managers   map[string]string
	Findings   []finding.Finding // about the answer
}

// Observe reads what runs on a host and what of it could be stacks: the projects that are
// wanted, all where none is named. Nothing is written anywhere, and no key is needed.
func (a *Adopter) Observe(ctx context.Context, host string, wanted ...string) (Observed, error) {
	o := Observed{Host: host}
	h, declared := a.checkout.Fleet.Host(host)
	if !declared {
		var known []string
		for _, h := range a.checkout.Fleet.Hosts {
			known = append(known, h.Name)
		}
		return o, fault.WithHint(fmt.Errorf("host %s is not declared%s", host, suggest.DidYouMean(host, known)), "salvor host add "+host+" USER@ADDRESS")
	}
	link, err := a.reach.Dial(ctx, h)
	if err != nil {
		return o, err
	}
	var inv agentapi.Inventory
	if err := link.Call(ctx, agentapi.VerbInventory, agentapi.AskInventory{Projects: wanted}, &inv); err != nil {
		return o, err
	}
	o.Containers, o.Volumes, o.Crontabs, o.Managers, o.Findings = inv.Containers, inv.Volumes, inv.Crontabs, inv.Managers, inv.Findings
	o.Candidates = Candidates(inv, &a.checkout.Fleet, host, wanted...)
	for _, name := range wanted {
		if !slices.ContainsFunc(inv.Projects, func(p agentapi.RunningProject) bool { return p.Name == name }) {
			return o, fault.WithHint(fmt.Errorf("no project %s runs on %s%s", name, host, suggest.DidYouMean(name, names(inv))), "salvor adopt "+host+" --observe")
		}
	}
	return o, nil
}

func names(inv agentapi.Inventory) []string {
	var all []string
	for _, p := range inv.Projects {
		all = append(all, p.Name)
	}
	return all
}

// A Receipt is what becomes of a host's projects in the repository: prepared what the
// commit will have, afterwards what it has. What it shows holds no secret.
type Receipt struct {
	Stacks   []Adopted
	Answered []project.Asked        // what folders of the hosts were taken to be, in fleet.yaml
	Changes  []envimport.FileChange // fleet.yaml, and Compose files beside what the host has
}

// Adopted is one project that is a stack of the repository now.
type Adopted struct {
	Stack    string
	Files    []string          // in the repository
	Secret   []string          // variables that are encrypted
	Findings []finding.Finding // that are in the way of taking it over
}

// Prepare makes stacks of what was observed, as far as it can be, and proposes to commit
// them. The operator's key is needed where there are secrets. Nothing is changed on the host.
func (a *Adopter) Prepare(ctx context.Context, o Observed) (Receipt, proposal.Proposal[Receipt], error) {
	w := &work{Adopter: a, files: map[string][]byte{}}
	p := proposal.New("adopt "+o.Host, func(ctx context.Context, _ progress.Sink) (Receipt, error) {
		return w.receipt, a.checkout.CommitFiles(ctx, w.files, "adopt: "+strings.Join(w.stacks(), ", ")+" of "+o.Host)
	})
	for _, c := range o.Candidates {
		if c.Why == "" {
			if err := w.take(ctx, c); err != nil {
				return w.receipt, p, fmt.Errorf("project %s: %w", c.Project.Name, err)
			}
		}
	}
	if len(w.receipt.Stacks) == 0 {
		return w.receipt, p, fault.WithHint(fmt.Errorf("nothing on %s can be made a stack", o.Host), "salvor adopt "+o.Host+" --observe says why")
	}
	err := w.answer(ctx)
	p.Question = fmt.Sprintf("Commit %s as described? Nothing changes on %s.", strings.Join(w.stacks(), ", "), o.Host)
	return w.receipt, p, err
}

// work is one adoption that is prepared: its files are in the checkout's private folder, so
// that everything that reads a commit reads them.
type work struct {
	*Adopter
	files   map[string][]byte
	receipt Receipt
}

func (w *work) stacks() []string {
	var all []string
	for _, s := range w.receipt.Stacks {
		all = append(all, s.Stack)
	}
	return all
}

// put adds files to the commit, as it is read from now on.
func (w *work) put(files map[string][]byte) error {
	for name, content := range files {
		at := filepath.Join(w.checkout.Export, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			return err
		}
		if err := atomicfile.Write(at, bytes.NewReader(content), 0o600); err != nil {
			return err
		}
	}
	maps.Copy(w.files, files)
	loaded, err := controlrepo.Load(w.checkout.Export, version.String())
	if err == nil {
		w.checkout.Repository = loaded
	}
	return err
}

// take makes a stack of a project: its plain files as they are, its env files encrypted.
func (w *work) take(ctx context.Context, c Candidate) error {
	dir := path.Join(fleet.StackDir, c.Stack)
	files := map[string][]byte{}
	for name, content := range c.Files {
		files[path.Join(dir, name)] = content
	}
	if err := w.put(files); err != nil {
		return err
	}
	made := Adopted{Stack: c.Stack}
	var env []envimport.EnvFile
	for _, name := range slices.Sorted(maps.Keys(c.Secret)) {
		f, err := envimport.InMemory(w.checkout.Root, path.Join(dir, name), secret.New(c.Secret[name]))
		if err != nil {
			made.Findings = append(made.Findings, finding.Finding{Code: finding.StackBroken, Severity: finding.Fatal, Stack: c.Stack,
				Subject: path.Join(dir, name), Text: err.Error(), Fix: "salvor secret set for each value that it has"})
			continue
		}
		env = append(env, f)
	}
	if len(env) > 0 {
		r, changed, err := w.importer.Files(ctx, envimport.Options{EnvFiles: env, Stacks: []string{c.Stack}})
		if err != nil {
			return err
		}
		for _, i := range r.Imports {
			made.Secret = append(made.Secret, i.Secret...)
		}
		w.receipt.Changes = append(w.receipt.Changes, r.Changes...)
		if err := w.put(changed); err != nil {
			return err
		}
	}
	w.receipt.Stacks = append(w.receipt.Stacks, made)
	return nil
}

// answer says in fleet.yaml what the folders of the host are that nothing was said of, and
// finds what is still in the way.
func (w *work) answer(ctx context.Context) error {
	asked, _, err := w.render(ctx)
	if err != nil {
		return err
	}
	before, err := w.checkout.File(fleet.File)
	if err != nil {
		return err
	}
	content, err := w.withBinds(before, asked)
	if err != nil {
		return err
	}
	if !bytes.Equal(before, content) {
		w.receipt.Changes = append(w.receipt.Changes, envimport.FileChange{Path: fleet.File, Before: before, After: content})
		if err := w.put(map[string][]byte{fleet.File: content}); err != nil {
			return err
		}
	}
	_, found, err := w.render(ctx)
	for i := range w.receipt.Stacks {
		w.describe(&w.receipt.Stacks[i], found)
	}
	return err
}

// withBinds returns fleet.yaml with the proposed answer to every question.
func (w *work) withBinds(content []byte, asked map[string][]project.Asked) ([]byte, error) {
	var err error
	for _, name := range w.stacks() {
		for _, q := range asked[name] {
			if slices.Contains(w.receipt.Answered, q) {
				continue
			}
			if content, err = controlrepo.SetBind(content, q.Folder, q.Proposed); err != nil {
				return nil, err
			}
			w.receipt.Answered = append(w.receipt.Answered, q)
		}
	}
	return content, nil
}

// describe says which files a stack has, and what is in the way of taking it over.
func (w *work) describe(s *Adopted, found []finding.Finding) {
	for _, name := range slices.Sorted(maps.Keys(w.files)) {
		if strings.HasPrefix(name, path.Join(fleet.StackDir, s.Stack)+"/") || name == fleet.EnvFile(s.Stack) {
			s.Files = append(s.Files, name)
		}
	}
	for _, f := range found {
		if f.Stack == s.Stack && f.Severity == finding.Fatal {
			s.Findings = append(s.Findings, f)
		}
	}
}

// render returns the folders that the stacks ask about, by stack, and what is found in all.
func (w *work) render(ctx context.Context) (asked map[string][]project.Asked, found []finding.Finding, err error) {
	asked = map[string][]project.Asked{}
	var mu sync.Mutex // guards asked
	look := func(st fleet.Stack, r project.Rendered) []finding.Finding {
		mu.Lock()
		defer mu.Unlock()
		asked[st.Name] = r.Asked
		return nil
	}
	names := rendering.NamesOf(os.DirFS(w.checkout.Export), w.checkout.Fleet)
	_, found, err = rendering.Stacks(ctx, rendering.Source{Dir: w.checkout.Export, Repository: w.checkout.Repository, Names: names, Look: look})
	return asked, found, err
}
