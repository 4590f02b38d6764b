package envimport

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/scan"
	"salvor/internal/secret"
	"salvor/internal/secretnames"
	"salvor/internal/stack/compose"
	"salvor/internal/suggest"
)

// A batch is env files that are imported together.
type batch struct {
	importer *Importer
	opts     Options
	scanner  *scan.Scanner
	sources  []*source
	parts    []*importing // a file in a stack, in the order in which they are imported
	whole    []*wholeFile
	stacks   map[string]*stackState
	past     []git.Past // of Git's history, where it was read

	files   map[string][]byte // encrypted files to be written
	seen    map[string][]byte // files of stacks that are not committed yet, as they are
	receipt Receipt
}

// stackState is a stack on the way, after the files that were imported into it so far.
type stackState struct {
	stack    fleet.Stack
	replaced map[string][]byte       // what its plain files are; nil for one that is gone
	secrets  map[string]secret.Value // its secret variables
	fresh    []secret.Variable       // of those, the ones that are to be encrypted
	mentions compose.Mentions        // of its Compose files, before
}

// importing is one env file in one stack.
type importing struct {
	*batch
	*stackState
	source *source
	only   map[string]bool // the variables that the stack uses; nil for all

	entries  []entry
	stackEnv *compose.EnvFile        // as it is before
	plain    map[string]secret.Value // of it
	dotenv   map[string]secret.Value // of another .env of the stack
	want     *compose.View
	split    split
	inlined  []byte // the source, if it is a Compose file, with variables for its secrets
	shown    Import
}

// An entry is a variable of the env file, and what it is called in the stack.
type entry struct {
	compose.EnvEntry
	as string
}

// find finds the stacks of every file.
func (b *batch) find(ctx context.Context) error {
	files := slices.Clone(b.opts.EnvFiles)
	slices.SortStableFunc(files, func(f, o EnvFile) int { // what is the whole stack's has its names first
		return cmp.Compare(rank(f), rank(o))
	})
	for _, f := range files {
		s, err := b.importer.source(f)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(b.sources, func(o *source) bool { return o.path == s.path }) {
			continue
		}
		if s.tracked, err = b.importer.inHead(ctx, s.repo); err != nil {
			return err
		}
		b.sources = append(b.sources, &s)
		if err := b.findStacks(&s); err != nil {
			return err
		}
	}
	if len(b.opts.Deliver) > 0 && len(b.parts)+len(b.whole) > 1 {
		return fault.WithCode(fault.WithHint(errors.New("--file is about one env file of one stack"), "salvor secret import FILE --file NAME"), fault.Usage)
	}
	return nil
}

func rank(f EnvFile) int {
	switch {
	case filepath.Base(f.path) == ".env":
		return 0
	case isCompose(f.path):
		return 2
	}
	return 1
}

// inHead reports whether the newest commit has a file.
func (m *Importer) inHead(ctx context.Context, repoPath string) (bool, error) {
	if repoPath == "" || m.checkout.Commit == "" {
		return false, nil
	}
	found, err := m.checkout.Git.Objects(ctx, []string{string(m.checkout.Commit) + ":" + repoPath})
	return err == nil && found[0].ID != "", err
}

// findStacks takes the stacks that were named, or the one whose folder the file is in, or
// those that use a file that is in none.
func (b *batch) findStacks(s *source) error {
	if b.findWhole(s) {
		return nil
	}
	if s.unread != nil {
		return s.unread
	}
	names := b.opts.Stacks
	if isCompose(s.path) {
		names = nil
	}
	if _, is := b.importer.checkout.Fleet.Stack(b.importer.checkout.Named(s.folder())); len(names) == 0 && is {
		names = []string{s.folder()}
	}
	for _, name := range names {
		st, err := b.state(name)
		if err != nil {
			return err
		}
		if s.nowhere {
			st.replaced[s.repo] = s.content.Reveal()
		}
		i := &importing{batch: b, stackState: st, source: s}
		if len(names) > 1 {
			i.only = st.uses(s)
		}
		b.parts = append(b.parts, i)
	}
	switch {
	case len(names) > 0:
		return nil
	case isCompose(s.path):
		return b.findComposed(s)
	case s.repo == "":
		return errNoStackFor(s)
	}
	return b.findUsers(s)
}

// findUsers takes the stacks that read a file from elsewhere; of one that none reads, or that
// Compose is usually given for all, also those that name variables of it that they lack.
func (b *batch) findUsers(s *source) error {
	var readers, users []*importing
	for _, declared := range b.importer.checkout.Fleet.Stacks {
		st, err := b.state(declared.Name)
		if err != nil {
			return err
		}
		only, reads := st.uses(s), st.reads(s)
		maps.DeleteFunc(only, func(name string, _ bool) bool {
			_, common := b.importer.checkout.Fleet.Vars[name]
			return !reads && (common || st.mentions.Set[name])
		})
		if i := (&importing{batch: b, stackState: st, source: s, only: only}); len(only) > 0 {
			users = append(users, i)
			if reads {
				readers = append(readers, i)
			}
		}
	}
	forAll := s.repo == ".env" || s.repo == fleet.StackDir+"/.env"
	switch {
	case len(users) == 0:
		return errNoStackFor(s)
	case len(readers) > 0 && !forAll:
		users = readers
	}
	b.parts = append(b.parts, users...)
	return nil
}

func errNoStackFor(s *source) error {
	return fault.WithCode(fault.WithHint(fmt.Errorf("%s: which stack do these variables belong to?", s.shown), "salvor secret import FILE --stack NAME"), fault.Usage)
}

// lists reports whether a service of the stack lists a file.
func (st *stackState) lists(s *source) bool {
	return s.repo != "" && slices.Contains(st.mentions.EnvFiles, s.repo)
}

// includes reports whether Compose takes variables of files that the stack includes from a
// file.
func (st *stackState) includes(s *source) bool {
	return s.repo != "" && slices.Contains(st.mentions.Dotenvs, s.repo)
}

func (st *stackState) reads(s *source) bool { return st.lists(s) || st.includes(s) }

// uses returns the variables of a file that the stack uses: all, if a service lists it.
func (st *stackState) uses(s *source) map[string]bool {
	only := map[string]bool{}
	for _, e := range s.entries() {
		if st.mentions.Names[e.Name] || st.lists(s) {
			only[e.Name] = true
		}
	}
	return only
}

// state returns a stack as it is so far.
func (b *batch) state(name string) (*stackState, error) {
	declared, ok := b.importer.checkout.Fleet.Stack(b.importer.checkout.Named(name))
	if !ok {
		var known []string
		for _, st := range b.importer.checkout.Fleet.Stacks {
			known = append(known, cmp.Or(st.Called, st.Name))
		}
		return nil, fault.WithHint(fmt.Errorf("stack %s is not declared%s", name, suggest.DidYouMean(name, known)), "make its folder, stacks/"+name+", with a Compose file")
	}
	if st, known := b.stacks[declared.Name]; known {
		return st, nil
	}
	st := &stackState{stack: declared, replaced: map[string][]byte{}}
	var err error
	st.mentions, err = compose.Mentioned(b.options(st))
	if err != nil {
		return nil, err
	}
	b.stacks[declared.Name] = st
	return st, nil
}

// options are how a stack is looked at: with the env files that only the working tree has,
// as Compose sees them there.
func (b *batch) options(st *stackState) compose.Options {
	return compose.Options{
		RepoDir: b.importer.checkout.Export, WorkTree: b.importer.checkout.Root, Beside: true, Stack: st.stack,
		Vars: b.importer.checkout.Fleet.Vars, SecretKeys: slices.Sorted(maps.Keys(st.secrets)), Replaced: maps.Clone(st.replaced),
	}
}

// file returns a file of the stack as it is so far.
func (b *batch) file(st *stackState, name string) ([]byte, error) {
	if content, replaced := st.replaced[name]; replaced {
		if content == nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return content, nil
	}
	return b.importer.checkout.File(name)
}

// encrypt makes the files of the stacks' secrets.
func (b *batch) encrypt(ctx context.Context) error {
	var names []string
	if b.makesSecrets() {
		if err := b.importer.confirmed.MayEncrypt(ctx); err != nil {
			return err
		}
	}
	for _, stack := range slices.Sorted(maps.Keys(b.stacks)) {
		st := b.stacks[stack]
		if len(st.fresh) == 0 {
			continue
		}
		changes, err := b.importer.identity.Store.Writer().SetEnv(stack, st.fresh...)
		if err != nil {
			return fault.WithHint(fmt.Errorf("the variables of %s: %w", stack, err), "remove the variable from the file and keep "+
				"its value as a separate secret: salvor secret set NAME")
		}
		maps.Copy(b.files, changes)
		for _, v := range st.fresh {
			names = append(names, secretnames.InStack(stack, []string{v.Name})...)
		}
	}
	for _, w := range b.freshWhole() {
		changes, err := w.encrypt(ctx)
		if err != nil {
			return err
		}
		maps.Copy(b.files, changes)
		names = append(names, w.name)
	}
	b.receipt.Made = names
	return b.importer.exposed.NoteChanged(b.files, names...)
}

// gather says what becomes of the plain files and of the env files.
func (b *batch) gather(ctx context.Context) error {
	shown := map[string]bool{}
	for _, name := range b.affected() {
		st := b.stacks[name]
		for _, p := range slices.Sorted(maps.Keys(st.replaced)) {
			if b.isSource(p) || shown[p] {
				continue
			}
			shown[p] = true
			before, err := b.importer.checkout.File(p)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if !bytes.Equal(before, st.replaced[p]) {
				b.receipt.Changes = append(b.receipt.Changes, FileChange{p, b.masked(st, p, before), b.masked(st, p, st.replaced[p])})
			}
		}
		waits, err := b.uncommitted(ctx, st)
		if err != nil {
			return err
		}
		if waits {
			b.receipt.Staged = append(b.receipt.Staged, name)
		}
	}
	b.stageSharers()
	b.gatherSources()
	return nil
}

func (b *batch) gatherSources() {
	for _, s := range b.sources {
		b.receipt.Repeated = append(b.receipt.Repeated, s.repeated()...)
		unused, others := b.unused(s), b.others(s)
		switch {
		case s.repo == "":
			b.receipt.Outside = append(b.receipt.Outside, s.shown)
		case len(unused) > 0 || len(others) > 0:
			b.receipt.Unused = append(b.receipt.Unused, Unused{s.shown, unused, others})
		case !b.stays(s):
			b.receipt.Removed = append(b.receipt.Removed, s.repo)
		}
	}
}

func (b *batch) isSource(repoPath string) bool {
	return slices.ContainsFunc(b.sources, func(s *source) bool { return s.repo == repoPath && !b.stays(s) })
}

// stays reports whether a file is a stack's stack.env: its secrets go, the rest stays.
func (b *batch) stays(s *source) bool {
	return slices.ContainsFunc(b.parts, func(i *importing) bool { return i.source == s && i.own() })
}

// unused returns the variables of a file that no stack takes.
func (b *batch) unused(s *source) []string {
	var names []string
	for _, e := range s.entries() {
		if !slices.ContainsFunc(b.parts, func(i *importing) bool { return i.source == s && (i.only == nil || i.only[e.Name]) }) {
			names = append(names, e.Name)
		}
	}
	return names
}

// uncommitted reports whether files of a stack that the import changes, or the Compose files that
// it is about, are not as the newest commit has them: a commit of the rest would be half a
// stack.
func (b *batch) uncommitted(ctx context.Context, st *stackState) (bool, error) {
	paths := append(slices.Sorted(maps.Keys(st.replaced)), st.stack.Dir+"/"+st.stack.File, fleet.EnvFile(st.stack.Name))
	var names []string
	for _, p := range paths {
		names = append(names, cmp.Or(string(b.importer.checkout.Commit), "HEAD")+":"+p)
	}
	committed, err := b.importer.checkout.Git.Objects(ctx, names)
	if err != nil {
		return false, err
	}
	waits := false
	for k, p := range paths {
		now, err := os.ReadFile(filepath.Join(b.importer.checkout.Root, filepath.FromSlash(p)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		if there := committed[k].ID != ""; b.isSource(p) && !there {
			continue
		} else if there != (err == nil) || !bytes.Equal(now, committed[k].Content) {
			waits = true
		}
		if err == nil {
			b.seen[p] = now
		}
	}
	return waits, nil
}
