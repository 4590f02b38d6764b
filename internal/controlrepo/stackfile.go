package controlrepo

import (
	"cmp"
	"io/fs"
	pathpkg "path"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/suggest"
	"salvor/internal/yamldoc"
)

// composeFiles are the names Compose looks for, in its order.
var composeFiles = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}

// ComposeFiles returns the names of which a stack's folder has one, the first that
// counts first.
func ComposeFiles() []string { return slices.Clone(composeFiles) }

// A stackFile is one stack as its Compose file declares it, with the places
// that messages about it name.
type stackFile struct {
	fleet.Stack
	named   yamldoc.Position // of project
	project string           // Compose's top-level name, "" when it has none
	where   yamldoc.Position
	read    bool // as a mapping: what x-salvor says is known
	r       *yamldoc.Reader
}

// readStacks reads every folder of stacks/; one that can't be read is a stack with
// nothing but its name. Files next to the folders and hidden folders are not stacks.
func readStacks(fsys fs.FS, problems *yamldoc.Report) []stackFile {
	dirs, err := fs.ReadDir(fsys, fleet.StackDir)
	if err != nil {
		problems.AddRead(fleet.StackDir, err)
		return nil
	}
	var stacks []stackFile
	for _, d := range dirs {
		if !d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			continue
		}
		stacks = append(stacks, readStack(fsys, d.Name(), problems))
	}
	return stacks
}

func readStack(fsys fs.FS, name string, problems *yamldoc.Report) stackFile {
	dir := pathpkg.Join(fleet.StackDir, name)
	unread := stackFile{Stack: fleet.Stack{Name: name, Dir: dir}, where: yamldoc.Position{File: dir}, r: yamldoc.NewReader(dir, problems)}
	if err := fleet.ValidName(name); err != nil {
		problems.Add(yamldoc.Position{File: dir}, "%v", err)
	}
	file, ok := findComposeFile(fsys, dir, problems)
	if !ok {
		return unread
	}
	unread.File = file
	content, err := fs.ReadFile(fsys, pathpkg.Join(dir, file))
	if err != nil {
		problems.Add(yamldoc.Position{File: pathpkg.Join(dir, file)}, "it can't be read: %v", fault.WithoutPath(err))
		return unread
	}
	s := decodeStack(yamldoc.NewReader(pathpkg.Join(dir, file), problems), content)
	s.Name, s.Dir, s.File = name, dir, file
	return s
}

// findComposeFile returns the name of the one Compose file in dir.
func findComposeFile(fsys fs.FS, dir string, problems *yamldoc.Report) (string, bool) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		problems.AddRead(dir, err)
		return "", false
	}
	var found, others []string
	for _, e := range entries {
		switch {
		case e.IsDir():
		case slices.Contains(composeFiles, e.Name()):
			found = append(found, e.Name())
		case strings.HasSuffix(e.Name(), ".yaml") || strings.HasSuffix(e.Name(), ".yml"):
			others = append(others, e.Name())
		}
	}
	switch len(found) {
	case 1:
		return found[0], true
	case 0:
		var near string
		for _, o := range others {
			near = cmp.Or(near, suggest.DidYouMean(o, composeFiles))
		}
		problems.Add(yamldoc.Position{File: dir}, "the stack has no Compose file (%s)%s", strings.Join(composeFiles, ", "), near)
	default:
		problems.Add(yamldoc.Position{File: dir}, "the stack has %s: keep one", strings.Join(found, " and "))
	}
	return "", false
}

// decodeStack reads x-salvor and what of the Compose file it is checked
// against. The Compose file as such is read elsewhere.
func decodeStack(r *yamldoc.Reader, content []byte) stackFile {
	s := stackFile{r: r, where: yamldoc.Position{File: r.File, Line: 1, Column: 1}}
	root, err := yamldoc.Parse(r.File, content)
	switch {
	case err != nil:
		r.Join(err)
		return s
	case root == nil:
		r.Add(yamldoc.Position{File: r.File}, "the file is empty")
		return s
	case !yamldoc.IsMapping(root):
		r.Fail(root, "the file is %s, want a mapping", yamldoc.KindOf(root))
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
	}
	for i := range s.OnChange {
		s.OnChange[i].Position = s.place("on_change", s.OnChange[i].Service).String()
	}
	for i := range s.OnRotate {
		s.finishCommand(&s.OnRotate[i])
	}
	checkTwice(s, root)
}

// finishCommand undoes Compose's escaping: Compose reads the whole file, this
// key too, and takes a single $ for one of its variables.
func (s *stackFile) finishCommand(c *fleet.ServiceCommand) {
	place := s.place("on_rotate", c.Service)
	c.Position = place.String()
	if len(c.Argv) == 0 {
		s.r.Add(place, "on_rotate of %s has no command: write it as a list, [psql, -c, …]", c.Service)
	}
	for i, arg := range c.Argv {
		if strings.Contains(strings.ReplaceAll(arg, "$$", ""), "$") {
			s.r.Add(place, "on_rotate of %s: write $$ for a $ in the command", c.Service)
		}
		c.Argv[i] = strings.ReplaceAll(arg, "$$", "$")
	}
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
