package stack

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/machine"
	"salvor/internal/project"
	"salvor/internal/yamldoc"
)

// salvorEnv is a file of the repository with variables, which only Salvor reads.
const salvorEnv = "stack.env"

// ofUser returns the files with which a stack runs from its user's folder: Git's, without
// what is Salvor's in them.
func ofUser(stack string, a project.Adoption, secrets PlainSecrets) ([]PlainFile, error) {
	fill, env := filled(secrets.Env), map[string]string{}
	for name, value := range a.Vars {
		env[name] = value
	}
	delete(env, "PWD") // every process has its own
	for name, value := range a.Env {
		env[name] = value
	}
	var files []PlainFile
	named := func(name string) bool {
		return slices.ContainsFunc(a.Files, func(f project.File) bool { return f.Path != name && bytes.Contains(f.Data, []byte(name)) })
	}
	for _, f := range a.Files {
		if f.Path == salvorEnv && !named(salvorEnv) {
			continue // its values are in .env
		}
		if !fs.ValidPath(f.Path) {
			return nil, fmt.Errorf("stack %s reads %s of the repository, which is outside of its folder", stack, f.Path)
		}
		data := f.Data
		if slices.Contains(a.Compose, f.Path) {
			var err error
			if data, err = WithoutSalvor(data); err != nil {
				return nil, err
			}
			var whole []PlainFile
			if data, whole, err = ownSecrets(data, secrets.Files); err != nil {
				return nil, fmt.Errorf("stack %s: %w", stack, err)
			}
			files = append(files, whole...)
		}
		files = append(files, PlainFile{Path: f.Path, Data: data, Mode: fs.FileMode(cmp.Or(f.Mode, 0o644))})
	}
	if a.Env != nil && len(env) > 0 {
		files = append(files, PlainFile{Path: ".env", Data: envFile(env, fill), Mode: 0o600, Secret: len(secrets.Env) > 0})
	}
	return files, nil
}

// WithoutSalvor returns a Compose file as it is for everyone but Salvor: without x-salvor, and
// without the blank lines that it leaves in front. One that has none is returned as it is.
func WithoutSalvor(content []byte) ([]byte, error) {
	without, err := yamldoc.Remove(content, yamldoc.Path{"x-salvor"})
	if err != nil || bytes.Equal(without, content) {
		return content, err
	}
	return bytes.TrimLeft(without, "\n"), nil
}

// ownSecrets returns a Compose file with files in place of the fleet's secrets, and these
// files. Any user may read them, since any may run a container; only root enters their folder.
func ownSecrets(content []byte, values map[string][]byte) ([]byte, []PlainFile, error) {
	root, err := yamldoc.Parse(ComposeFile, content)
	if err != nil {
		return nil, nil, err
	}
	declared := yamldoc.Find(root, "secrets")
	if declared == nil {
		return content, nil, nil
	}
	var files []PlainFile
	for key, decl := range yamldoc.Entries(declared) {
		if yamldoc.ValueOf(yamldoc.Find(decl, "external")) != "true" {
			continue
		}
		name := cmp.Or(yamldoc.ValueOf(yamldoc.Find(decl, "name")), key)
		value, has := values[name]
		file := path.Join(secretsFolder, name)
		if !has || !fs.ValidPath(file) || !strings.HasPrefix(file, secretsFolder+"/") {
			return nil, nil, fmt.Errorf("the secret %s can't be written to a file", name)
		}
		files = append(files, PlainFile{Path: file, Data: value, Mode: 0o444, Secret: true})
		if content, err = withFile(content, yamldoc.Path{"secrets", key}, "./"+file, decl); err != nil {
			return nil, nil, err
		}
	}
	return content, files, nil
}

// withFile has a declaration of a secret name a file.
func withFile(content []byte, at yamldoc.Path, file string, decl *yamldoc.Node) ([]byte, error) {
	content, err := yamldoc.Set(content, at.To("file"), yamldoc.Scalar(file))
	for _, field := range []string{"external", "name"} {
		if err == nil && yamldoc.Find(decl, field) != nil {
			content, err = yamldoc.Remove(content, at.To(field))
		}
	}
	return content, err
}

// hasAll reports whether files are in a folder as they are to be written there. Compose
// files and .env are not compared: Compose's hashes say whether they make the same.
func (p Project) hasAll(ctx context.Context, plain Plain, files []PlainFile) (bool, error) {
	for _, f := range files {
		if f.Path == ".env" || slices.Contains(plain.Compose, f.Path) {
			continue
		}
		have, err := p.host.machine.ReadFile(ctx, path.Join(plain.Dir, f.Path))
		if errors.Is(err, fs.ErrNotExist) || err == nil && !bytes.Equal(have, f.Data) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// within returns an error where a file would be written outside of its stack's folder,
// through a link that a container may have put there.
func (p Project) within(ctx context.Context, dir, file string) error {
	var out bytes.Buffer
	argv := []string{"realpath", "-m", "--", dir, path.Dir(file), file}
	if _, err := p.host.machine.Run(ctx, machine.Cmd{Argv: argv, Stdout: &out, Timeout: engineTimeout}); err != nil {
		return err
	}
	at := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(at) != 3 || at[1] != at[0]+strings.TrimPrefix(path.Dir(file), dir) || at[2] != path.Join(at[1], path.Base(file)) {
		return fault.WithHint(fmt.Errorf("%s leads out of %s: a link is in its path", file, dir), "remove the link on the host, then run this again")
	}
	return nil
}
