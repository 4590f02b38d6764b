package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"salvor/internal/hostpath"
	"salvor/internal/project"
)

// write makes the project's folder hold what p says, with images pinned. Files
// are replaced one by one, atomically, and only where they differ; nothing else
// in the folder is touched. `.env` leads to the generated one in tmpfs.
func (h *Host) write(ctx context.Context, stack string, p project.Project, images map[string]string) error {
	if err := h.run(ctx, "mkdir", "-p", "-m", folderMode, "--", hostpath.Default().Project(stack)); err != nil {
		return err
	}
	if err := h.writeProject(ctx, stack, p, images); err != nil || len(p.Env) == 0 {
		return err
	}
	return h.run(ctx, "ln", "-sfnT", hostpath.Default().Secrets().Env(stack), path.Join(p.Dir, ".env"))
}

func (h *Host) writeProject(ctx context.Context, stack string, p project.Project, images map[string]string) error {
	compose, err := Pin(p.Compose, images)
	if err != nil {
		return err
	}
	folders, err := foldersOf(stack, p)
	if err != nil {
		return err
	}
	if err := h.run(ctx, append([]string{"mkdir", "-p", "-m", folderMode, "--"}, folders...)...); err != nil {
		return err
	}
	for _, f := range p.Files {
		if err := h.put(ctx, path.Join(p.Dir, f.Path), f.Data, fs.FileMode(f.Mode)); err != nil {
			return err
		}
	}
	return h.put(ctx, path.Join(p.Dir, ComposeFile), compose, 0o644)
}

// folderMode lets the users of containers read what is bound into them, whatever
// root's umask is. Folders that are there keep the mode that they have.
const folderMode = "0755"

// foldersOf returns the project's folder and each one below it that its files
// need, outer ones first: mkdir's mode is for the innermost alone.
func foldersOf(stack string, p project.Project) ([]string, error) {
	folders := map[string]bool{p.Dir: true}
	for _, f := range p.Files {
		if !fs.ValidPath(f.Path) {
			return nil, fmt.Errorf("project %s: %q is not a path below its folder", stack, f.Path)
		}
		for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
			folders[path.Join(p.Dir, dir)] = true
		}
	}
	return slices.Sorted(maps.Keys(folders)), nil
}

// put writes a file unless it is there already; a running container keeps the
// very file that it has mounted.
func (h *Host) put(ctx context.Context, file string, content []byte, mode fs.FileMode) error {
	before, err := h.machine.ReadFile(ctx, file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && bytes.Equal(before, content) {
		return h.run(ctx, "chmod", fmt.Sprintf("%04o", mode.Perm()), "--", file)
	}
	return h.machine.WriteFile(ctx, file, bytes.NewReader(content), mode)
}

// removeOldFiles removes files of the previous project that the new one has not; they
// came from Git, so nothing is lost.
func (h *Host) removeOldFiles(ctx context.Context, before, now project.Project) error {
	if before.Dir != now.Dir {
		return nil
	}
	var gone []string
	for _, f := range before.Files {
		if fs.ValidPath(f.Path) && !slices.ContainsFunc(now.Files, func(n project.File) bool { return n.Path == f.Path || strings.HasPrefix(n.Path, f.Path+"/") }) {
			gone = append(gone, path.Join(now.Dir, f.Path))
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return h.run(ctx, append([]string{"rm", "-f", "--"}, gone...)...)
}
