package controlrepo

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/suggest"
	"salvor/internal/yamldoc"
)

// checkStacks reports what the stacks say that does not fit together, or not
// with the fleet.
func checkStacks(stacks []stackFile, f *fleet.Fleet) {
	byName := map[string]*stackFile{}
	for i := range stacks {
		byName[stacks[i].Name] = &stacks[i]
	}
	for i := range stacks {
		s := &stacks[i]
		checkPlacement(s, f)
		checkNeeds(s, byName)
		checkShared(s, byName, f)
	}
	checkReserved(stacks)
	checkOneName(stacks)
	checkFormerly(stacks, byName)
	checkProjectDirs(stacks)
	checkProjectNames(stacks)
	checkCycles(stacks, byName)
}

func checkPlacement(s *stackFile, f *fleet.Fleet) {
	if _, ok := f.Host(s.Host); s.Host != "" && !ok {
		meant, advice := suggest.DidYouMean(s.Host, hostNames(f)), ""
		if now := calledNow(s.Host, f); now != "" {
			meant, advice = "", "set host: "+now+", as "+s.Host+" is called now"
		} else if meant == "" {
			advice = "salvor host add " + s.Host + " USER@ADDRESS"
		}
		s.r.Advise(s.place("host"), advice, "there is no host %q in %s%s", s.Host, fleet.File, meant)
	}
}

// calledNow returns the new name of a host that was renamed, else "".
func calledNow(host string, f *fleet.Fleet) string {
	for _, h := range f.Hosts {
		if h.Formerly == host {
			return h.Name
		}
	}
	return ""
}

func checkNeeds(s *stackFile, byName map[string]*stackFile) {
	for i, need := range s.Needs {
		place := s.place("needs", strconv.Itoa(i))
		switch {
		case byName[need] == nil:
			s.r.Add(place, "there is no stack %q%s", need, suggest.DidYouMean(need, slices.Sorted(maps.Keys(byName))))
		case slices.Contains(s.Needs[:i], need):
			s.r.Add(place, "%q is listed twice", need)
		}
	}
}

// checkOneName reports two stacks that Docker would see as one project. A name
// with a variable in it is known only when the file is resolved.
func checkOneName(stacks []stackFile) {
	owner := map[string]*stackFile{}
	for i := range stacks {
		owner[stacks[i].Name] = &stacks[i]
	}
	for i := range stacks {
		s := &stacks[i]
		if s.Project != "" || s.project == "" || s.project == s.Name || strings.Contains(s.project, "$") {
			continue
		}
		if other := owner[s.project]; other != nil {
			s.r.Advise(s.named, "remove name: from one of them, whose folder names it", "two stacks have the same name: %s and %[3]s both have name: %[2]s", s.r.File, s.project, other.r.File)
			continue
		}
		owner[s.project] = s
	}
}

// checkReserved reports names that are those of hosts' own projects.
func checkReserved(stacks []stackFile) {
	for i := range stacks {
		s := &stacks[i]
		for _, n := range []struct {
			name, advice string
			at           yamldoc.Position
		}{
			{s.Name, "rename the folder", s.where},
			{s.Project, "choose another project", s.place("project")},
			{s.project, "remove name: the folder names the project", s.named},
		} {
			if strings.HasPrefix(n.name, fleet.OwnProjectPrefix) {
				s.r.Advise(n.at, n.advice, "%q can't be a stack's: names that begin with %s are those of projects that Salvor makes for hosts", n.name, fleet.OwnProjectPrefix)
				break
			}
		}
	}
}

// checkFormerly reports stacks and volumes that claim one former name.
func checkFormerly(stacks []stackFile, byName map[string]*stackFile) {
	former := map[string]string{}
	for i := range stacks {
		s := &stacks[i]
		checkFormerVolumes(s)
		if s.Formerly == "" {
			continue
		}
		if byName[s.Formerly] != nil {
			s.r.Add(s.place("formerly"), "two stacks have the same name: %q was formerly %q, which still exists", s.Name, s.Formerly)
		}
		if first, taken := former[s.Formerly]; taken {
			s.r.Add(s.place("formerly"), "two stacks have the same name: both %q and %q were formerly %q", first, s.Name, s.Formerly)
		}
		former[s.Formerly] = s.Name
	}
}

func checkFormerVolumes(s *stackFile) {
	names := map[string]bool{}
	for _, v := range s.Volumes {
		names[v.Volume] = true
	}
	former := map[string]string{}
	for _, v := range s.Volumes {
		if v.Formerly == "" {
			continue
		}
		place := s.place("volumes", v.Volume, "formerly")
		if names[v.Formerly] {
			s.r.Add(place, "%q was formerly %q, which still exists", v.Volume, v.Formerly)
		}
		if first, taken := former[v.Formerly]; taken {
			s.r.Add(place, "both %q and %q were formerly %q", first, v.Volume, v.Formerly)
		}
		former[v.Formerly] = v.Volume
	}
}

// checkProjectDirs reports two stacks of one host in one folder.
func checkProjectDirs(stacks []stackFile) {
	type folder struct{ host, dir string }
	owner := map[folder]string{}
	for i := range stacks {
		s := &stacks[i]
		if s.ProjectDir == "" {
			continue
		}
		at := folder{s.Host, s.ProjectDir}
		if first, taken := owner[at]; taken {
			s.r.Add(s.place("dir"), "stack %q already has this project directory", first)
			continue
		}
		owner[at] = s.Name
	}
}

// checkProjectNames reports two stacks of one host that Compose would take for one project.
func checkProjectNames(stacks []stackFile) {
	type project struct{ host, name string }
	owner := map[project]*stackFile{}
	for i := range stacks {
		s := &stacks[i]
		here := project{s.Host, s.ProjectName()}
		first := owner[here]
		if first == nil {
			owner[here] = s
			continue
		}
		said := s
		if s.Project == "" {
			said, first = first, s // the one whose own name it is need not change
		}
		said.r.Advise(said.place("project"), "choose another host for one of them, or another project for a stack that does not run yet",
			"stack %q is the Compose project %q on the same host already", first.Name, said.ProjectName())
	}
}

// checkCycles reports each circle of needs once, at its first stack by name.
func checkCycles(stacks []stackFile, byName map[string]*stackFile) {
	done := map[string]bool{}
	var walk func(name string, way []string)
	walk = func(name string, way []string) {
		if i := slices.Index(way, name); i >= 0 {
			reportCycle(way[i:], byName)
			return
		}
		s := byName[name]
		if s == nil || done[name] {
			return
		}
		for _, need := range s.Needs {
			walk(need, append(way[:len(way):len(way)], name))
		}
		done[name] = true
	}
	for i := range stacks {
		walk(stacks[i].Name, nil)
	}
}

func reportCycle(circle []string, byName map[string]*stackFile) {
	s := byName[circle[0]]
	next := circle[1%len(circle)]
	place := s.place("needs", strconv.Itoa(slices.Index(s.Needs, next)))
	s.r.Add(place, "needs form a circle: %s", strings.Join(append(circle[:len(circle):len(circle)], circle[0]), " → "))
}
