package controlrepo

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/lockfile"
	"salvor/internal/placement"
	"salvor/internal/yamldoc"
)

// identify gives stacks that were renamed the name that they began with, which their
// claims, data, seals and secrets have: from now on Name is that one, and Called what
// the folder is called. A stack is formerly another whose folder is gone, until the
// lock says what it is called.
func (repo *Repository) identify(r *yamldoc.Reader, fsys fs.FS) {
	began := map[string]string{}
	for _, st := range repo.Fleet.Stacks {
		if name := repo.beganAs(st, fsys); name != st.Name {
			began[st.Name] = name
		}
	}
	for i := range repo.Fleet.Stacks {
		st := &repo.Fleet.Stacks[i]
		if name, renamed := began[st.Name]; renamed {
			st.Called, st.Name = st.Name, name
		} else if by := repo.Lock.Stacks[st.Name].Called; by != "" && began[by] == st.Name {
			r.Advise(yamldoc.Position{File: st.Dir}, "choose another name for the folder",
				"two stacks have the same name: %q is the first name of %q, which still has it on hosts and remotes", st.Name, by)
		}
		st.Needs = slices.Clone(st.Needs) // the checks go by folders
		for n, need := range st.Needs {
			if name, renamed := began[need]; renamed {
				st.Needs[n] = name
			}
		}
	}
	repo.began = began
	repo.callStacks()
	for _, remote := range repo.Fleet.Remotes { // maps, which the loop's copy shares
		for called, name := range began {
			if own, is := remote.Stacks[called]; is {
				delete(remote.Stacks, called)
				remote.Stacks[name] = own
			}
		}
	}
	repo.noticeSecretsOfRenamed(fsys)
}

// beganAs returns the name that a stack began with.
func (repo *Repository) beganAs(st fleet.Stack, fsys fs.FS) string {
	if _, own := repo.Lock.Stacks[st.Name]; own {
		return st.Name
	}
	for _, name := range slices.Sorted(maps.Keys(repo.Lock.Stacks)) {
		if repo.Lock.Stacks[name].Called == st.Name {
			return name
		}
	}
	if st.Formerly == "" || repo.folder(st.Formerly) {
		return st.Name
	}
	for _, name := range slices.Sorted(maps.Keys(repo.Lock.Stacks)) {
		called := repo.Lock.Stacks[name].Called
		if (name == st.Formerly || called == st.Formerly) && !repo.folder(called) {
			return name
		}
	}
	if _, err := fs.Stat(fsys, fleet.RecoveryFile(st.Formerly)); err == nil {
		return st.Formerly // it is not placed now, and has snapshots
	}
	return st.Name
}

// folder reports whether a folder of that name declares a stack.
func (repo *Repository) folder(name string) bool {
	return slices.ContainsFunc(repo.Fleet.Stacks, func(st fleet.Stack) bool { return st.Dir == fleet.StackDir+"/"+name })
}

// callStacks brings what placements are called up to date, for the next commit.
func (repo *Repository) callStacks() {
	for _, st := range repo.Fleet.Stacks {
		p, placed := repo.Lock.Stacks[st.Name]
		if !placed || p.Called == st.Called {
			continue
		}
		repo.Lock = placement.Call(repo.Lock, st.Name, st.Called)
		repo.Renamed = append(repo.Renamed, st)
	}
	if len(repo.Renamed) == 0 {
		return
	}
	if content, err := lockfile.Encode(repo.Lock); err == nil { // it was read, so it can be written
		repo.renaming(lockfile.Name, content)
	}
}

// noticeSecretsOfRenamed reports variables that were renamed with their stack: it
// keeps its name there.
func (repo *Repository) noticeSecretsOfRenamed(fsys fs.FS) {
	for _, st := range repo.Fleet.Stacks {
		file := fleet.EnvFile(st.Called)
		if _, err := fs.Stat(fsys, file); st.Called == "" || err != nil {
			continue
		}
		repo.Findings = append(repo.Findings, finding.Finding{
			Code: finding.StackBroken, Severity: finding.Fatal, Stack: st.Name, Subject: file,
			Text: fmt.Sprintf("stack %s is now called %s, but its secrets keep the name %s", st.Name, st.Called, st.Name),
			Fix:  fmt.Sprintf("git mv %s secrets/%s.env", file, st.Name),
		})
	}
}

// Named returns the name that a stack began with, by that name or by what it is
// called now. Another name is returned as it is.
func (repo *Repository) Named(stack string) string {
	if name, renamed := repo.began[stack]; renamed {
		return name
	}
	return stack
}
