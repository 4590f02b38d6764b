package controlrepo

import (
	"cmp"
	"io/fs"
	pathpkg "path"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/suggest"
	"salvor/internal/yamldoc"
	"salvor/internal/yamldoc/explain"
)

// A stackFile is one stack as its Compose file declares it, with the places
// that messages about it name.
type stackFile struct {
	fleet.Stack
	named   yamldoc.Position // of project
	project string           // Compose's top-level name, "" when it has none
	where   yamldoc.Position
	content []byte
	read    bool // as a mapping: what x-salvor says is known
	r       *yamldoc.Reader
}

// readStack reads a folder of stacks/; one that can't be read is a stack with nothing but
// its name. is says whether it is a stack at all.
func readStack(fsys fs.FS, f stackFolder, problems *yamldoc.Report) (s stackFile, is bool) {
	dir := pathpkg.Join(fleet.StackDir, f.name)
	unread := stackFile{Stack: fleet.Stack{Name: f.name, Dir: dir}, where: yamldoc.Position{File: dir}, r: yamldoc.NewReader(dir, problems)}
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		problems.AddRead(dir, err)
		return unread, true
	}
	found, problem := f.composeFile(entries)
	if found == "" && problem == "" {
		return unread, false
	}
	if err := fleet.ValidName(f.name); err != nil {
		problems.Add(yamldoc.Position{File: dir}, "%v", err)
	}
	if problem != "" {
		problems.Add(yamldoc.Position{File: dir}, "%s", problem)
		return unread, true
	}
	unread.File = found
	content, err := fs.ReadFile(fsys, pathpkg.Join(dir, found))
	if err != nil {
		problems.Add(yamldoc.Position{File: pathpkg.Join(dir, found)}, "it can't be read: %v", fault.WithoutPath(err))
		return unread, true
	}
	s = decodeStack(yamldoc.NewReader(pathpkg.Join(dir, found), problems), content)
	s.Name, s.Dir, s.File, s.content = f.name, dir, found, content
	return s, true
}

// decodeStack reads x-salvor and what of the Compose file it is checked
// against. The Compose file as such is read elsewhere.
func decodeStack(r *yamldoc.Reader, content []byte) stackFile {
	s := stackFile{r: r, where: yamldoc.Position{File: r.File, Line: 1, Column: 1}}
	root, err := explain.Parse(r.File, content)
	switch {
	case err != nil:
		r.Join(err)
		return s
	case root == nil:
		r.Advise(s.where, "write services: with a service in it, or remove the folder", "the file is empty")
		return s
	case !yamldoc.IsMapping(root):
		r.Advise(r.Position(root), "begin it with services:", "the file is %s, want a mapping", yamldoc.KindOf(root))
		return s
	}
	s.read = true
	for _, p := range r.Pairs(root) {
		switch p.Key.Value {
		case "x-salvor":
			s.Stack = stackShape().Read(r, p.Value, yamldoc.Path{"x-salvor"})
			s.where = r.Position(p.Key)
		case "name":
			s.project, s.named = p.Value.Value, r.Position(p.Value)
		default:
			checkMisspelt(r, p.Key)
		}
	}
	s.finish(root)
	return s
}

// checkMisspelt reports a key that was meant to be x-salvor: Compose ignores every x-
// key, so nothing else would.
func checkMisspelt(r *yamldoc.Reader, key *yamldoc.Node) {
	if strings.HasPrefix(key.Value, "x") && suggest.Distance(key.Value, "x-salvor") <= 2 {
		r.Fail(key, "unknown key %q, did you mean \"x-salvor\"?", key.Value)
	}
}

func (s *stackFile) finish(root *yamldoc.Node) {
	s.PauseLimit = cmp.Or(s.PauseLimit, defaultPauseLimit)
	s.PauseEvery = cmp.Or(s.PauseEvery, defaultPauseEvery)
	for i := range s.Volumes {
		v := &s.Volumes[i]
		v.Protect = cmp.Or(v.Protect, fleet.Snapshot)
		v.Position = s.place("volumes", v.Volume).String()
		if v.Consistent != "" && v.Protect != fleet.Snapshot {
			s.r.Add(s.place("volumes", v.Volume, "consistent"), "consistent is for volumes with protect: snapshot, this one has %s", v.Protect)
		}
		if len(v.Exclude) > 0 && v.Protect != fleet.Snapshot {
			s.r.Add(s.place("volumes", v.Volume, "exclude"), "exclude is for volumes with protect: snapshot, this one has %s", v.Protect)
		}
	}
	for i := range s.OnChange {
		s.OnChange[i].Position = s.place("on_change", s.OnChange[i].Service).String()
	}
	for i := range s.OnRotate {
		c := &s.OnRotate[i]
		place := s.place("on_rotate", c.Service)
		c.Position, c.Argv = place.String(), s.finishCommand(place, "on_rotate of "+c.Service, c.Argv)
	}
	for i := range s.Routes {
		s.Routes[i].Position = s.place("routes", strconv.Itoa(i), "hostname").String()
	}
	s.finishHooks("before", s.Hooks.Before)
	s.finishHooks("after", s.Hooks.After)
	checkTwice(s, root)
}

func (s *stackFile) finishHooks(when string, all []fleet.Hook) {
	for i := range all {
		h := &all[i]
		place := s.place("hooks", when, strconv.Itoa(i), "command")
		h.Position, h.Limit = place.String(), cmp.Or(h.Limit, fleet.DefaultHookLimit)
		h.Command = s.finishCommand(place, "hook in "+h.Service, h.Command)
	}
}

// finishCommand undoes Compose's escaping: Compose reads the whole file, this
// key too, and takes a single $ for one of its variables.
func (s *stackFile) finishCommand(place yamldoc.Position, what string, argv []string) []string {
	if len(argv) == 0 {
		s.r.Add(place, "%s has no command: write it as a list, [psql, -c, …]", what)
	}
	var finished []string
	for _, arg := range argv {
		if strings.Contains(strings.ReplaceAll(arg, "$$", ""), "$") {
			s.r.Add(place, "%s: write $$ for a $ in the command", what)
		}
		finished = append(finished, strings.ReplaceAll(arg, "$$", "$"))
	}
	return finished
}

// place returns where a key of x-salvor stands.
func (s *stackFile) place(keys ...string) yamldoc.Position {
	if pos := s.r.Places.Of(append([]string{"x-salvor"}, keys...)...); pos.Line != 0 {
		return pos
	}
	return s.where
}

// checkTwice reports data that is protected under two names: a bind mount under
// two spellings of its path, or a named volume that is a bind mount as well or
// shares its Docker name with another.
func checkTwice(s *stackFile, root *yamldoc.Node) {
	declared := topLevelVolumes(s.r, root)
	first := map[string]string{}
	for _, v := range s.Volumes {
		id := v.Volume
		if isBindPath(id) {
			id = bindID(id)
		} else if as, ok := declared[id]; ok {
			id = as
		}
		if before, twice := first[id]; twice {
			s.r.Add(s.place("volumes", v.Volume), "the volume %q is protected twice, first as %q", v.Volume, before)
			continue
		}
		first[id] = v.Volume
	}
}

func bindID(source string) string { return "bind:" + pathpkg.Clean(source) }

// topLevelVolumes returns what the named volumes of a Compose file are: the
// path they bind, or the name they have in Docker.
func topLevelVolumes(r *yamldoc.Reader, root *yamldoc.Node) map[string]string {
	found := map[string]string{}
	for name, v := range lookup(r, child(r, root, "volumes")) {
		device, options := child(r, child(r, v, "driver_opts"), "device"), child(r, child(r, v, "driver_opts"), "o")
		switch own := child(r, v, "name"); {
		case device != nil && options != nil && slices.Contains(strings.Split(options.Value, ","), "bind"):
			found[name] = bindID(device.Value)
		case own != nil && own.Value != "":
			found[name] = "volume:" + own.Value
		}
	}
	return found
}

// lookup returns the entries of a mapping, of anything else none.
func lookup(r *yamldoc.Reader, n *yamldoc.Node) map[string]*yamldoc.Node {
	found := map[string]*yamldoc.Node{}
	if n == nil {
		return found
	}
	r.Follow(n, func(n *yamldoc.Node) {
		if yamldoc.IsMapping(n) {
			for _, p := range r.Pairs(n) {
				found[p.Key.Value] = p.Value
			}
		}
	})
	return found
}

func child(r *yamldoc.Reader, n *yamldoc.Node, key string) *yamldoc.Node { return lookup(r, n)[key] }
