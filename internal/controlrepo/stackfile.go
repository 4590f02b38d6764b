package controlrepo

import (
	"cmp"
	"errors"
	"io/fs"
	pathpkg "path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"salvor/internal/fleet"
)

// composeFiles are the names Compose looks for, in its order.
var composeFiles = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}

// A stackFile is one stack as its Compose file declares it, with the places
// that messages about it name.
type stackFile struct {
	fleet.Stack
	named   Position // of project
	project string   // Compose's top-level name, "" when it has none
	where   Position
	read    bool // as a mapping: what x-salvor says is known
	r       *reader
}

// readStacks reads every folder of stacks/; one that can't be read is a stack with
// nothing but its name. Files next to the folders and hidden folders are not stacks.
func readStacks(fsys fs.FS, problems *problemList) []stackFile {
	dirs, err := fs.ReadDir(fsys, fleet.StackDir)
	if err != nil {
		problems.addRead(fleet.StackDir, err)
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

func readStack(fsys fs.FS, name string, problems *problemList) stackFile {
	dir := pathpkg.Join(fleet.StackDir, name)
	unread := stackFile{Stack: fleet.Stack{Name: name, Dir: dir}, where: Position{File: dir}, r: newReader(dir, problems)}
	if err := fleet.ValidName(name); err != nil {
		problems.add(Position{File: dir}, "%v", err)
	}
	file, ok := findComposeFile(fsys, dir, problems)
	if !ok {
		return unread
	}
	unread.File = file
	content, err := fs.ReadFile(fsys, pathpkg.Join(dir, file))
	if err != nil {
		problems.add(Position{File: pathpkg.Join(dir, file)}, "it can't be read: %v", pathless(err))
		return unread
	}
	s := decodeStack(newReader(pathpkg.Join(dir, file), problems), content)
	s.Name, s.Dir, s.File = name, dir, file
	return s
}

// pathless drops the path that fs puts into its errors.
func pathless(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// findComposeFile returns the name of the one Compose file in dir.
func findComposeFile(fsys fs.FS, dir string, problems *problemList) (string, bool) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		problems.addRead(dir, err)
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
			near = cmp.Or(near, didYouMean(o, composeFiles))
		}
		problems.add(Position{File: dir}, "the stack has no Compose file (%s)%s", strings.Join(composeFiles, ", "), near)
	default:
		problems.add(Position{File: dir}, "the stack has %s: keep one", strings.Join(found, " and "))
	}
	return "", false
}

// decodeStack reads x-salvor and what of the Compose file it is checked
// against. The Compose file as such is read elsewhere.
func decodeStack(r *reader, content []byte) stackFile {
	s := stackFile{r: r, where: Position{File: r.file, Line: 1, Column: 1}}
	root, err := parse(r.file, content)
	switch {
	case err != nil:
		r.all = append(r.all, Problems(err)...)
		return s
	case root == nil:
		r.add(Position{File: r.file}, "the file is empty")
		return s
	case root.Kind != yaml.MappingNode:
		r.fail(root, "the file is %s, want a mapping", kindOf(root))
		return s
	}
	s.read = true
	for _, p := range r.pairs(root) {
		switch p.key.Value {
		case "x-salvor":
			s.Stack = stackShape().read(r, p.value, path{"x-salvor"})
			s.where = r.position(p.key)
		case "name":
			s.project, s.named = p.value.Value, r.position(p.value)
		default:
			checkMisspelt(r, p.key)
		}
	}
	s.finish(root)
	return s
}

// checkMisspelt reports a key that was meant to be x-salvor: Compose ignores every x-
// key, so nothing else would.
func checkMisspelt(r *reader, key *yaml.Node) {
	if strings.HasPrefix(key.Value, "x") && editDistance(key.Value, "x-salvor") <= 2 {
		r.fail(key, "unknown key %q, did you mean \"x-salvor\"?", key.Value)
	}
}

func (s *stackFile) finish(root *yaml.Node) {
	s.PauseLimit = cmp.Or(s.PauseLimit, defaultPauseLimit)
	s.PauseEvery = cmp.Or(s.PauseEvery, defaultPauseEvery)
	for i := range s.Volumes {
		v := &s.Volumes[i]
		v.Protect = cmp.Or(v.Protect, fleet.Snapshot)
		v.Position = s.place("volumes", v.Volume).String()
		if v.Consistent != "" && v.Protect != fleet.Snapshot {
			s.r.add(s.place("volumes", v.Volume, "consistent"), "consistent is for volumes with protect: snapshot, this one has %s", v.Protect)
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
		s.r.add(place, "on_rotate of %s has no command: write it as a list, [psql, -c, …]", c.Service)
	}
	for i, arg := range c.Argv {
		if strings.Contains(strings.ReplaceAll(arg, "$$", ""), "$") {
			s.r.add(place, "on_rotate of %s: write $$ for a $ in the command", c.Service)
		}
		c.Argv[i] = strings.ReplaceAll(arg, "$$", "$")
	}
}

// place returns where a key of x-salvor stands.
func (s *stackFile) place(keys ...string) Position {
	if pos := s.r.at.of(append([]string{"x-salvor"}, keys...)...); pos.Line != 0 {
		return pos
	}
	return s.where
}

// checkTwice reports data that is protected under two names: a bind mount under
// two spellings of its path, or a named volume that is a bind mount as well or
// shares its Docker name with another.
func checkTwice(s *stackFile, root *yaml.Node) {
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
			s.r.add(s.place("volumes", v.Volume), "the volume %q is protected twice, first as %q", v.Volume, before)
			continue
		}
		first[id] = v.Volume
	}
}

func bindID(source string) string { return "bind:" + pathpkg.Clean(source) }

// topLevelVolumes returns what the named volumes of a Compose file are: the
// path they bind, or the name they have in Docker.
func topLevelVolumes(r *reader, root *yaml.Node) map[string]string {
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
func lookup(r *reader, n *yaml.Node) map[string]*yaml.Node {
	found := map[string]*yaml.Node{}
	if n == nil {
		return found
	}
	r.follow(n, func(n *yaml.Node) {
		if n.Kind == yaml.MappingNode {
			for _, p := range r.pairs(n) {
				found[p.key.Value] = p.value
			}
		}
	})
	return found
}

func child(r *reader, n *yaml.Node, key string) *yaml.Node { return lookup(r, n)[key] }
