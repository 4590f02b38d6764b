package leaks

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/fleet"
	"salvor/internal/scan"
	"salvor/internal/secretnames"
)

// An effect tells which leaks count in a control repository: none in a file that
// fleet.yaml excuses, and a placeholder, a default or a sample only where a service would get it.
type effect struct {
	files  fs.FS
	beside fs.FS                   // the working tree, if what is looked at is what its next commit would have
	in     []string                // the files that count, sorted
	repo   *controlrepo.Repository // nil where it does not load
	stacks map[string]*inUse
}

// inUse is what a stack's Compose files use.
type inUse struct {
	set   map[string]bool // variables that are not empty
	named []byte          // the Compose files themselves
}

// effectOf is that of files below root, sorted.
func effectOf(c *checkout.Checkout, root string, in []string) *effect {
	e := &effect{files: os.DirFS(root), in: in, repo: c.Repository, stacks: map[string]*inUse{}}
	if root == c.Root || c.Files == checkout.Staged {
		e.beside = os.DirFS(c.Root)
	}
	if e.repo == nil {
		e.repo, _ = controlrepo.Load(root, "") // what is wrong with it is another's to say
	}
	return e
}

// counting returns the leaks that count, with what the Compose files say of their files.
func (e *effect) counting(leaks []scan.Leak) []scan.Leak {
	leaks = slices.DeleteFunc(leaks, func(l scan.Leak) bool { return !e.counts(l) })
	for k, l := range leaks {
		if folder := stackOf(l.Path); folder != "" && e.stack(folder).lists(path.Base(l.Path)) {
			leaks[k].EnvFile = true
		}
	}
	return leaks
}

// excused reports whether fleet.yaml says that the file's secrets are not real.
func (e *effect) excused(l scan.Leak) bool {
	return e.repo != nil && fleet.Allowed(e.repo.Fleet.ScanAllow, l.Path)
}

func (e *effect) counts(l scan.Leak) bool {
	if e.excused(l) {
		return false
	}
	folder := stackOf(l.Path)
	if folder == "" || l.Default == "" && !l.Placeholder && !l.Sample {
		return true
	}
	u, file := e.stack(folder), strings.TrimPrefix(l.Path, fleet.StackDir+"/"+folder+"/")
	if !u.reads(file) || l.Sample && !u.names(file) {
		return false
	}
	return !slices.ContainsFunc(strings.Fields(l.Default), func(name string) bool { return u.set[name] })
}

// readAnyway are the files that Compose reads without being told.
var readAnyway = regexp.MustCompile(`^(?:(?:docker-)?compose(?:\.override)?\.ya?ml|(?:stack)?\.env)$`)

func (e *effect) stack(folder string) *inUse {
	if u, known := e.stacks[folder]; known {
		return u
	}
	u := &inUse{set: map[string]bool{}}
	e.stacks[folder] = u
	dir := fleet.StackDir + "/" + folder
	first, _ := slices.BinarySearch(e.in, dir+"/")
	for _, file := range e.in[first:] {
		name, below := strings.CutPrefix(file, dir+"/")
		if !below {
			break
		}
		if !readAnyway.MatchString(name) {
			continue
		}
		content, err := fs.ReadFile(e.files, file)
		switch {
		case err != nil: // what is not there says nothing
		case strings.HasSuffix(name, ".env"):
			u.assigned(content)
		default:
			u.named = append(append(u.named, comment.ReplaceAll(content, nil)...), '\n')
		}
	}
	e.ignored(u, dir+"/.env")
	names := secretnames.Names{Files: e.files}
	if e.repo != nil {
		folder, names.Secrets = e.repo.Named(folder), e.repo.Fleet.Secrets
		for name, value := range e.repo.Fleet.Vars {
			u.set[name] = u.set[name] || value != ""
		}
	}
	secrets, _ := names.EnvNames(folder) // a damaged file is reported by what opens it
	for _, name := range secrets {
		u.set[name] = true
	}
	return u
}

// ignored adds the variables of an env file that Git ignores: as long as the stack lacks them,
// check refuses it, with the import of the file.
func (e *effect) ignored(u *inUse, file string) {
	if _, inGit := slices.BinarySearch(e.in, file); e.beside == nil || inGit {
		return
	}
	if content, err := fs.ReadFile(e.beside, file); err == nil {
		u.assigned(content)
	}
}

// assigned adds the variables that an env file sets to something.
func (u *inUse) assigned(content []byte) {
	for line := range bytes.Lines(content) {
		name, value, found := strings.Cut(strings.TrimSpace(string(line)), "=")
		name = strings.TrimSpace(strings.TrimPrefix(name, "export "))
		if found && fleet.IsVariable(name) && strings.Trim(value, `"' `) != "" {
			u.set[name] = true
		}
	}
}

// comment is a line of YAML that says something to readers only.
var comment = regexp.MustCompile(`(?m)^[ \t]*#.*$`)

// wholeFolder is where a Compose file takes all of its folder: to be built, or mounted.
var wholeFolder = regexp.MustCompile(`(?m)(^|[\s"'\[,:])\./?($|[\s"'\],:}])`)

// reads reports whether a file of the stack's folder may reach a service: Compose reads it
// without being told, or a Compose file names it or the folder that it is in.
func (u *inUse) reads(file string) bool {
	if readAnyway.MatchString(file) || wholeFolder.Match(u.named) {
		return true
	}
	first, _, _ := strings.Cut(file, "/")
	return bytes.Contains(u.named, []byte(first)) || u.names(file)
}

// envFiles is what services list as env files: one in the same line, or in the lines below.
var envFiles = regexp.MustCompile(`(?m)\benv_file:[ \t]*(?:[^\s#][^\n]*|(?:(?:#[^\n]*)?\n[ \t]*(?:-|path:|required:|format:)[^\n]*)+)`)

// lists reports whether a service lists an env file of that name.
func (u *inUse) lists(base string) bool {
	return slices.ContainsFunc(envFiles.FindAll(u.named, -1), func(list []byte) bool { return bytes.Contains(list, []byte(base)) })
}

// names reports whether a Compose file names a file of the stack's folder itself.
func (u *inUse) names(file string) bool { return bytes.Contains(u.named, []byte(path.Base(file))) }
