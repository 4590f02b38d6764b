package adopt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"salvor/internal/agentapi"
	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/envimport"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/memdir"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/proposal"
	"salvor/internal/reach"
	"salvor/internal/rendering"
	"salvor/internal/scan"
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
	Managers   []agentapi.Manager
	Findings   []finding.Finding // about the answer

	running []string // every project, by name
	folders []string // those of every project
}

// Idle are the stacks of another program whose projects do not run on the host.
func (o Observed) Idle(m agentapi.Manager) []string {
	var idle []string
	for _, s := range m.Stacks {
		if !slices.Contains(o.running, s.Project) {
			idle = append(idle, s.Name)
		}
	}
	return idle
}

// Observe reads what runs on a host and what of it could be stacks: the projects that are
// wanted, all where none is named. Nothing is written anywhere, and no key is needed.
func (a *Adopter) Observe(ctx context.Context, host string, wanted ...string) (Observed, error) {
	o := Observed{Host: host}
	h, err := placement.Host(&a.checkout.Fleet, host)
	if err != nil {
		return o, err
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
	o.running, o.folders = names(inv), folders(inv)
	o.Candidates = Candidates(inv, &a.checkout.Fleet, host, wanted...)
	a.again(o.Candidates)
	scanner, err := scan.New()
	if err != nil {
		return o, err
	}
	for i := range o.Candidates {
		o.Candidates[i].Score = ScoreOf(scanner, o.Candidates[i].Project)
	}
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

func folders(inv agentapi.Inventory) []string {
	var all []string
	for _, p := range inv.Projects {
		all = append(all, p.Dir)
	}
	return all
}

// A Receipt is what becomes of a host's projects in the repository: prepared what the
// commit will have, afterwards what it has. What it shows holds no secret.
type Receipt struct {
	Stacks   []Adopted
	Refused  []Refused
	Answered []project.Asked        // what mounts were taken to be: folders in fleet.yaml, others in x-salvor
	Changes  []envimport.FileChange // fleet.yaml, and Compose files beside what the host has
}

// Adopted is one project that is a stack of the repository now.
type Adopted struct {
	Stack    string
	Draft    bool              // its Compose file was made of its containers
	Files    []string          // in the repository
	Secret   []string          // variables and files that are encrypted
	Left     []string          // files that stay on the host, each with why
	Notes    []string          // what is to be known of its data
	Findings []finding.Finding // that are in the way of taking it over
	Differs  []Difference      // what the host has of a stack that is placed there again
	Made     bool              // its folder on the host is one that `salvor host release` made
}

// Refused is a project that can't be made a stack, as its files turned out.
type Refused struct{ Project, Why, Hint string }

// Prepare makes stacks of what was observed, as far as it can be, and proposes to commit
// them. The operator's key is needed where there are secrets. Nothing is changed on the host.
// Where every project is a stack already the receipt has none, and there is nothing to accept.
func (a *Adopter) Prepare(ctx context.Context, o Observed) (Receipt, proposal.Proposal[Receipt], error) {
	w := &work{Adopter: a, folders: o.folders, files: map[string][]byte{}, secret: map[string]string{}, mounts: map[string][]agentapi.FoundMount{}}
	p := proposal.New("adopt "+o.Host, func(ctx context.Context, _ progress.Sink) (Receipt, error) {
		for _, imported := range w.imports {
			if err := a.importer.NoteMade(ctx, imported); err != nil {
				return Receipt{}, err
			}
		}
		return w.receipt, a.checkout.CommitPrograms(ctx, w.files, w.programs, "adopt: "+strings.Join(w.stacks(), ", ")+" of "+o.Host)
	})
	err := a.checkout.ToMemory()
	if w.onDisk = errors.Is(err, memdir.ErrNone); err != nil && !w.onDisk {
		return w.receipt, p, err
	}
	for _, c := range o.Candidates {
		switch {
		case c.Again != "":
			err = w.place(c, o.Host)
		case c.Why == "":
			err = w.take(ctx, c)
		default:
			err = nil
		}
		if err != nil {
			return w.receipt, p, err
		}
	}
	if len(w.receipt.Stacks) == 0 {
		return w.receipt, p, w.none(ctx, o)
	}
	err = w.answer(ctx)
	p.Question = fmt.Sprintf("Commit %s as described? Nothing changes on %s.", strings.Join(w.stacks(), ", "), o.Host)
	return w.receipt, p, err
}

// none returns why no stack can be made, nil where every project of the host is one already.
// Then what an interrupted run committed is pushed.
func (w *work) none(ctx context.Context, o Observed) error {
	committer := w.checkout.Committer(false)
	published, err := committer.Published(ctx)
	if err == nil && !published {
		err = committer.Push(ctx)
	}
	if err != nil || len(o.Candidates) == 0 {
		return err
	}
	err = fmt.Errorf("nothing on %s can be made a stack", o.Host)
	if len(w.receipt.Refused) > 0 {
		r := w.receipt.Refused[0]
		return fault.WithHint(fmt.Errorf("%w: %s: %s", err, r.Project, r.Why), r.Hint)
	}
	return fault.WithHint(err, "salvor adopt "+o.Host+" --observe says why")
}

// work is one adoption that is prepared: its files are in the checkout's private folder, so
// that everything that reads a commit reads them.
type work struct {
	*Adopter
	files    map[string][]byte
	programs []string                         // of files, those that are executable
	secret   map[string]string                // by path, the stack that a file with a secret is of
	onDisk   bool                             // the checkout's folder is not in memory: no secret is written there
	mounts   map[string][]agentapi.FoundMount // of the projects that were tried, by stack
	folders  []string                         // of every project of the host
	imports  []envimport.Receipt
	receipt  Receipt
}

func (w *work) stacks() []string {
	var all []string
	for _, s := range w.receipt.Stacks {
		all = append(all, s.Stack)
	}
	return all
}

// put adds files to the commit, as it is read from now on; without content a file is none of
// it.
func (w *work) put(files map[string][]byte) error {
	within, err := os.OpenRoot(w.checkout.Export) // which may have links
	if err != nil {
		return err
	}
	defer within.Close() // it was written by then
	for name, content := range files {
		if content == nil {
			delete(w.files, name)
			if err := within.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			continue
		}
		w.files[name] = content
		if err := within.MkdirAll(path.Dir(name), 0o700); err != nil {
			return err
		}
		if err := within.WriteFile(name, content, 0o600); err != nil {
			return err
		}
	}
	return w.load()
}

// drop takes a stack out of the commit again.
func (w *work) drop(stack string) error {
	for _, name := range slices.Sorted(maps.Keys(w.files)) {
		if !w.isOf(stack, name) {
			continue
		}
		if err := w.remove(name); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(filepath.Join(w.checkout.Export, stackDir(stack))); err != nil { // folders, which put made
		return err
	}
	return w.load()
}

// remove takes a file out of the commit again; the caller loads it.
func (w *work) remove(name string) error {
	delete(w.files, name)
	within, err := os.OpenRoot(w.checkout.Export)
	if err != nil {
		return err
	}
	return errors.Join(within.Remove(name), within.Close())
}

// isOf reports whether a file of the commit is a stack's.
func (w *work) isOf(stack, name string) bool {
	return strings.HasPrefix(name, stackDir(stack)+"/") || name == fleet.EnvFile(stack) || w.secret[name] == stack
}

func (w *work) load() error {
	loaded, err := controlrepo.Load(w.checkout.Export, version.String())
	if err == nil {
		w.checkout.Repository = loaded
	}
	return err
}

func stackDir(stack string) string { return path.Join(fleet.StackDir, stack) }

// take makes a stack of a project, or says why it can't.
func (w *work) take(ctx context.Context, c Candidate) error {
	w.mounts[c.Stack] = c.Project.Mounts
	made, imported, err := w.stack(ctx, c)
	if err == nil {
		w.receipt.Stacks, w.receipt.Changes = append(w.receipt.Stacks, made), append(w.receipt.Changes, imported.Changes...)
		w.imports = append(w.imports, imported)
		return nil
	}
	w.receipt.Refused = append(w.receipt.Refused, Refused{c.Project.Name, err.Error(), cmp.Or(fault.Hint(err), "make its stack by hand: docs/stacks.md")})
	return errors.Join(w.drop(c.Stack), ctx.Err())
}

// stack makes one: its plain files as they are, its secrets encrypted.
func (w *work) stack(ctx context.Context, c Candidate) (made Adopted, imported envimport.Receipt, err error) {
	made.Stack, made.Draft = c.Stack, c.Project.Draft
	if _, err := os.Lstat(filepath.Join(w.checkout.Export, stackDir(c.Stack))); err == nil {
		return made, imported, fmt.Errorf("%s is there already, and is not its stack", stackDir(c.Stack))
	}
	files := map[string][]byte{}
	for name, content := range c.Files {
		files[path.Join(stackDir(c.Stack), name)] = content
	}
	if err = w.writable(files); err == nil {
		err = w.put(files)
	}
	if err == nil {
		imported, err = w.encrypt(ctx, c, &made)
	}
	if err != nil {
		return made, imported, err
	}
	for _, name := range c.Programs {
		w.programs = append(w.programs, path.Join(stackDir(c.Stack), name))
	}
	err = w.plain(c, &made)
	return made, imported, err
}

// describe says which files a stack has, and what is in the way of taking it over.
func (w *work) describe(s *Adopted, found []finding.Finding) {
	for _, name := range slices.Sorted(maps.Keys(w.files)) {
		if w.isOf(s.Stack, name) && !slices.Contains(s.Files, name) {
			s.Files = append(s.Files, name)
		}
	}
	for _, f := range found {
		if f.Stack == s.Stack && f.Severity == finding.Fatal {
			s.Findings = append(s.Findings, f)
		}
	}
}

// render returns the stacks as they are read now, also those with questions, and what is found
// in all.
func (w *work) render(ctx context.Context) (stacks map[string]project.Rendered, found []finding.Finding, err error) {
	stacks = map[string]project.Rendered{}
	var mu sync.Mutex // guards stacks
	look := func(st fleet.Stack, r project.Rendered) []finding.Finding {
		mu.Lock()
		defer mu.Unlock()
		stacks[st.Name] = r
		return nil
	}
	names := rendering.NamesOf(os.DirFS(w.checkout.Export), w.checkout.Fleet)
	_, found, err = rendering.Stacks(ctx, rendering.Source{Dir: w.checkout.Export, Repository: w.checkout.Repository, Names: names, Look: look})
	return stacks, found, err
}
