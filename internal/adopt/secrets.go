package adopt

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/envimport"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/leaks"
	"salvor/internal/memdir"
	"salvor/internal/scan"
	"salvor/internal/secret"
)

// encrypt encrypts what is secret of a project: its secret files, its env files, and what
// its Compose files write out.
func (w *work) encrypt(ctx context.Context, c Candidate, made *Adopted) (envimport.Receipt, error) {
	sources, err := w.sources(c)
	if err != nil || len(sources) == 0 {
		return envimport.Receipt{}, err
	}
	r, files, err := w.importer.Files(ctx, envimport.Options{EnvFiles: sources, Stacks: []string{c.Stack}})
	if err != nil {
		return r, err
	}
	for _, i := range r.Imports {
		made.Secret = append(made.Secret, i.Secret...)
	}
	for name := range files {
		if path.Dir(name) == fleet.SecretDir {
			w.secret[name] = c.Stack
		}
	}
	return r, w.put(files)
}

// sources are the project's env files that set anything, the files that its Compose files have
// as secrets, and the Compose files that have secrets in plain text, or would have without
// those env files.
func (w *work) sources(c Candidate) ([]envimport.EnvFile, error) {
	found, err := leaks.In(w.checkout, w.checkout.Export, w.of(c.Stack))
	if err != nil {
		return nil, err
	}
	contents := maps.Clone(c.Secret)
	for _, l := range found {
		if name := strings.TrimPrefix(l.Path, stackDir(c.Stack)+"/"); slices.Contains(c.ComposeFiles, name) {
			contents[name] = w.files[l.Path]
		}
	}
	maps.Copy(contents, c.SecretFiles)
	var sources []envimport.EnvFile
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		f, err := envimport.InMemory(w.checkout.Root, path.Join(stackDir(c.Stack), name), secret.New(contents[name]))
		if err != nil {
			return nil, err
		}
		if _, whole := c.SecretFiles[name]; whole || !f.Empty() {
			sources = append(sources, f)
		}
	}
	return sources, nil
}

// writable returns an error where a file has a secret that would be on a disk before it is
// taken out.
func (w *work) writable(files map[string][]byte) error {
	if !w.onDisk {
		return nil
	}
	scanner, err := scan.New()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if found := scanner.Scan(name, files[name]); len(found) > 0 {
			return fault.WithHint(fmt.Errorf("%s:%d has a secret in plain text (%s): %w", name, found[0].Line, found[0].Rule, memdir.ErrNone), "run it on Linux")
		}
	}
	return nil
}

// of are the commit's files in a stack's folder, sorted.
func (w *work) of(stack string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(w.files)), func(name string) bool { return !strings.HasPrefix(name, stackDir(stack)+"/") })
}

// plain leaves files on the host that are mounted and have a secret in plain text: they
// are data, which snapshots keep. It returns an error where another file has one, which would
// be in Git: nothing checks a commit of Salvor's own later.
func (w *work) plain(c Candidate, made *Adopted) error {
	found, err := leaks.In(w.checkout, w.checkout.Export, w.of(c.Stack))
	if err != nil {
		return err
	}
	for _, l := range found {
		where := path.Join(c.Project.Dir, strings.TrimPrefix(l.Path, stackDir(c.Stack)+"/"))
		if !slices.ContainsFunc(c.Project.Mounts, func(m agentapi.FoundMount) bool { return m.Source == where }) {
			return fault.WithHint(fmt.Errorf("%s:%d has a secret in plain text (%s)", where, l.Line, l.Rule),
				"have the Compose file name it under secrets: and docker compose up -d there, or make the stack by hand: docs/secrets.md; one that is not real: scan: {allow: ["+l.Path+"]} in fleet.yaml")
		}
		if _, left := w.files[l.Path]; !left {
			continue
		}
		made.Left = append(made.Left, fmt.Sprintf("%s:%d has a secret in plain text; snapshots keep the file", where, l.Line))
		if err := w.remove(l.Path); err != nil {
			return err
		}
	}
	return w.load()
}
