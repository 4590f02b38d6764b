package envimport

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/secret"
	"salvor/internal/secret/sops"
	"salvor/internal/stack/compose"
)

// run makes one commit of what was prepared for stacks that are committed, and leaves the
// rest for the operator's own. An env file goes when what stands for it has been read
// back.
func (b *batch) run(ctx context.Context, _ progress.Sink) (Receipt, error) {
	c := b.importer.checkout
	commit, stage := b.parcels()
	will := func(name string) []byte {
		for _, files := range []map[string][]byte{commit, stage} {
			if content, changes := files[name]; changes {
				return content
			}
		}
		content, _ := c.File(name) // without it what it should hold is not proven
		return content
	}
	if err := b.proven(will); err != nil {
		return b.receipt, err
	}
	if err := b.importer.NoteMade(ctx, b.receipt); err != nil {
		return b.receipt, err
	}
	if err := c.CommitFiles(ctx, commit, b.message()); err != nil {
		return b.receipt, err
	}
	if err := b.stage(ctx, stage); err != nil {
		return b.receipt, err
	}
	has, err := b.written(ctx)
	if err == nil {
		err = b.proven(has)
	}
	if err != nil {
		return b.receipt, err
	}
	return b.receipt, b.remove(ctx)
}

// message is that of the commit.
func (b *batch) message() string {
	var words []string
	variables := 0
	for _, name := range b.affected() {
		if !slices.Contains(b.receipt.Staged, name) {
			words = append(words, name)
		}
	}
	for _, i := range b.parts {
		if !slices.Contains(b.receipt.Staged, i.stack.Name) {
			variables += len(i.entries)
		}
	}
	if variables > 0 {
		words = append(words, fmt.Sprintf("%d variables", variables))
	}
	for _, w := range b.freshWhole() {
		words = append(words, w.encrypted())
	}
	return "secret import: " + strings.Join(words, ", ")
}

// parcels are the files of the commit, and those that wait for the operator's.
func (b *batch) parcels() (commit, stage map[string][]byte) {
	commit, stage = map[string][]byte{}, map[string][]byte{}
	encrypted := maps.Clone(b.files)
	for name, st := range b.stacks {
		into := commit
		if slices.Contains(b.receipt.Staged, name) {
			into = stage
		}
		for p, content := range st.replaced {
			if !b.isSource(p) {
				into[p] = content
			}
		}
		if content, made := encrypted[fleet.EnvFile(name)]; made {
			into[fleet.EnvFile(name)] = content
			delete(encrypted, fleet.EnvFile(name))
		}
	}
	if len(commit) > 0 {
		maps.Copy(commit, encrypted) // which secrets are exposed
	} else {
		maps.Copy(stage, encrypted)
	}
	for _, s := range b.sources {
		if into := b.whose(s, commit, stage); s.tracked && slices.Contains(b.receipt.Removed, s.repo) {
			into[s.repo] = nil
		}
	}
	return commit, stage
}

// whose returns the parcel in which Git loses an env file that it has.
func (b *batch) whose(s *source, commit, stage map[string][]byte) map[string][]byte {
	for _, i := range b.parts {
		if i.source == s && slices.Contains(b.receipt.Staged, i.stack.Name) {
			return stage
		}
	}
	for _, w := range b.whole {
		if w.source == s && slices.Contains(b.receipt.Staged, w.stack.Name) {
			return stage
		}
	}
	return commit
}

// stage leaves files for the operator's commit. Env files are still there.
func (b *batch) stage(ctx context.Context, files map[string][]byte) error {
	seen := map[string][]byte{}
	kept := maps.Clone(files)
	for p := range files {
		if b.isSource(p) {
			delete(kept, p)
			continue
		}
		seen[p] = b.seen[p]
	}
	if len(kept) == 0 {
		return nil
	}
	return b.importer.checkout.StageFiles(ctx, kept, seen)
}

// written returns the files as they were written: what is committed is read from Git.
func (b *batch) written(ctx context.Context) (func(name string) []byte, error) {
	c := b.importer.checkout
	has := map[string][]byte{}
	for name, st := range b.stacks {
		paths := []string{fleet.EnvFile(name), st.stack.Dir + "/stack.env"}
		if slices.Contains(b.receipt.Staged, name) {
			for _, p := range paths {
				content, _ := os.ReadFile(filepath.Join(c.Root, filepath.FromSlash(p))) // without it what it should hold is not proven
				has[p] = content
			}
			continue
		}
		committed, err := c.Git.Objects(ctx, []string{string(c.Commit) + ":" + paths[0], string(c.Commit) + ":" + paths[1]})
		if err != nil {
			return nil, err
		}
		has[paths[0]], has[paths[1]] = committed[0].Content, committed[1].Content
	}
	for _, w := range b.whole {
		content, _ := os.ReadFile(filepath.Join(c.Root, filepath.FromSlash(w.encrypted()))) // the same
		has[w.encrypted()] = content
	}
	return func(name string) []byte { return has[name] }, nil
}

// remove removes the env files, from the index as well, unless one says something else by
// now.
func (b *batch) remove(ctx context.Context) error {
	files, seen := map[string][]byte{}, map[string][]byte{}
	for _, s := range b.sources {
		if slices.Contains(b.receipt.Removed, s.repo) {
			files[s.repo], seen[s.repo] = nil, s.content.Reveal()
		}
	}
	if len(files) == 0 {
		return nil
	}
	if err := b.importer.checkout.StageFiles(ctx, files, seen); err != nil {
		return fault.WithHint(fmt.Errorf("a file was kept, and what it said before is imported: %w", err), "run salvor secret import FILE again")
	}
	return nil
}

// proven reads back the variables of every env file from what was encrypted and from
// stack.env.
func (b *batch) proven(file func(name string) []byte) error {
	for _, i := range b.parts {
		if err := i.proven(file(fleet.EnvFile(i.stack.Name)), file(i.stack.Dir+"/stack.env")); err != nil {
			return err
		}
	}
	for _, w := range b.whole {
		if err := w.proven(file(w.encrypted())); err != nil {
			return err
		}
	}
	return nil
}

func (i *importing) proven(encrypted, plain []byte) error {
	have := map[string]secret.Value{}
	if encrypted != nil {
		f, err := sops.Parse(fleet.EnvFile(i.stack.Name), encrypted)
		if err != nil {
			return err
		}
		if have, err = f.Env(i.importer.identity.Ring); err != nil {
			return err
		}
	}
	f, err := compose.ParseEnv("stack.env", plain, func(name string) (string, bool) {
		if v, ok := have[name]; ok {
			return string(v.Reveal()), true
		}
		v, ok := i.importer.checkout.Fleet.Vars[name]
		return v, ok
	})
	if err != nil {
		return err
	}
	for _, e := range i.entries {
		v, isSecret := have[e.as]
		if isSecret && !equal(v, e.Value) || !isSecret && !f.Says(secret.Variable{Name: e.as, Value: e.Value}) {
			return fault.WithHint(fmt.Errorf("%s does not read back as it was written; %s is kept", e.as, i.source.shown), "git status, then salvor secret import again")
		}
	}
	return nil
}
