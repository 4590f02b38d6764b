package adopt

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/controlrepo"
	"salvor/internal/envimport"
	"salvor/internal/fleet"
	"salvor/internal/scan"
	"salvor/internal/stack"
	"salvor/internal/yamldoc"
)

// again makes candidates that were stacks of the repository these stacks again.
func (a *Adopter) again(all []Candidate) {
	for i, c := range all {
		for _, st := range a.checkout.Fleet.Stacks {
			if _, placed := a.checkout.Lock.Placement(st.Name); !placed && was(st, c.Project) {
				all[i] = Candidate{Project: c.Project, Stack: st.Name, Compose: st.File, Again: st.Dir, Made: st.ProjectDir == ""}
			}
		}
	}
}

// was reports whether a project is a stack that no host has, as its host was given it back:
// in the folder that its user had, or in the one that it got then.
func was(st fleet.Stack, p agentapi.RunningProject) bool {
	switch {
	case st.Host != "" || st.ProjectName() != p.Name:
		return false
	case st.ProjectDir != "":
		return st.ProjectDir == p.Dir
	}
	return p.Dir == stack.PlainFolder(st.Name) && slices.ContainsFunc(p.Files, func(f agentapi.FoundFile) bool {
		return f.Kind == agentapi.FileCompose && stack.GivenBack(st.Name, f.Content)
	})
}

// place puts a stack of the repository on the host again: its Compose file names it, and
// nothing else changes.
func (w *work) place(c Candidate, host string) error {
	name := path.Join(c.Again, c.Compose)
	before, err := w.checkout.File(name)
	if err != nil {
		return err
	}
	after, err := controlrepo.SetStackHost(before, host)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	made := Adopted{Stack: c.Stack, Files: []string{name}, Made: c.Made}
	if !c.Made {
		if made.Differs, err = w.differences(c); err != nil {
			return err
		}
	}
	w.mounts[c.Stack] = c.Project.Mounts
	w.receipt.Stacks = append(w.receipt.Stacks, made)
	w.receipt.Changes = append(w.receipt.Changes, envimport.FileChange{Path: name, Before: before, After: after})
	return w.put(map[string][]byte{name: after})
}

// differences are the files of a project that say something else on its host than in Git.
// What has a secret there is named and not shown. Env files are not compared: an apply does
// that, by Compose's hashes.
func (w *work) differences(c Candidate) ([]Difference, error) {
	scanner, err := scan.New()
	if err != nil {
		return nil, err
	}
	var all []Difference
	for _, f := range c.Project.Files {
		rel, below := strings.CutPrefix(f.Path, c.Project.Dir+"/")
		if !below || f.Left != "" || f.Kind == agentapi.FileEnv || f.Kind == agentapi.FileSecret {
			continue
		}
		if len(c.Project.Compose) == 1 && f.Path == c.Project.Compose[0] {
			rel = c.Compose // which another name may have been given for
		}
		compose := f.Kind == agentapi.FileCompose
		have, err := w.ofGit(path.Join(c.Again, rel), compose)
		if errors.Is(err, fs.ErrNotExist) && !compose {
			continue // it stayed on the host, as data
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if bytes.Equal(have, f.Content) || compose && slices.Equal(said(have), said(withoutName(f.Content, have, c.Project.Name))) {
			continue
		}
		one := Difference{File: f.Path}
		if len(scanner.Scan(path.Join(c.Again, rel), f.Content)) == 0 {
			one.Git, one.Host = have, f.Content
		}
		all = append(all, one)
	}
	return all, nil
}

// ofGit is a file of the repository, a Compose file without x-salvor.
func (w *work) ofGit(name string, compose bool) ([]byte, error) {
	content, err := w.checkout.File(name)
	if err != nil || !compose {
		return content, err
	}
	content, err = yamldoc.Remove(content, yamldoc.Path{"x-salvor"})
	return bytes.TrimLeft(content, "\n"), err
}

// withoutName is a Compose file of the host without the `name:` that its release gave it, which
// Git's does not have.
func withoutName(host, git []byte, project string) []byte {
	theirs, err := yamldoc.Parse("compose.yaml", host)
	ours, failed := yamldoc.Parse("compose.yaml", git)
	if err != nil || failed != nil || yamldoc.ValueOf(yamldoc.Find(theirs, "name")) != project || yamldoc.Find(ours, "name") != nil {
		return host
	}
	without, err := yamldoc.Remove(host, yamldoc.Path{"name"})
	if err != nil {
		return host
	}
	return without
}

// said are the lines of a Compose file that say something to Compose.
func said(content []byte) []string {
	var all []string
	for line := range strings.Lines(string(content)) {
		if text := strings.TrimSpace(line); text != "" && text[0] != '#' {
			all = append(all, strings.TrimRight(line, " \r\n"))
		}
	}
	return all
}

// A Difference is a file that says something else on the host than in Git.
type Difference struct {
	File      string // on the host
	Git, Host []byte // without x-salvor; both nil where there is a secret in it
}
