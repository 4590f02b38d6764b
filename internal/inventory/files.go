package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"salvor/internal/agentapi"
	"salvor/internal/yamldoc"
)

const (
	maxFile   = 1 << 20 // of what is taken into Git
	maxAll    = 8 << 20 // of all files of an answer, which is one message
	maxFolder = 500     // files of one folder that is read whole
)

// A reader collects the files of one project. Labels say where they are, and an image may
// carry any label; so files are read below the project's folder only.
type reader struct {
	host   Host
	dir    string
	root   *os.Root // of dir
	data   []string // where the project's data lies: not read
	room   *int64   // that is left for files
	files  map[string]agentapi.FoundFile
	broken string
}

// collect reads what a project is made of: its Compose files, what they refer to, and the
// files and folders below its own that are mounted read-only. A project that was started in a
// manager's container has its files where that has them on the host.
func (h Host) collect(p *agentapi.RunningProject, places []place, room *int64) {
	switch {
	case p.Dir == "" || len(p.Compose) == 0:
		p.Incomplete = "its containers do not say from which files they were made"
		return
	case !path.IsAbs(p.Dir) || slices.Contains(tooWide(), path.Clean(p.Dir)):
		p.Incomplete = p.Dir + " is not a folder of one project"
		return
	}
	root, err := h.open(path.Clean(p.Dir), p.Compose[0], places)
	if err != nil {
		p.Incomplete = p.Dir + " is not there"
		return
	}
	defer root.Close()
	r := &reader{host: h, dir: path.Clean(p.Dir), root: root, room: room, files: map[string]agentapi.FoundFile{}}
	for _, m := range p.Mounts {
		if !m.ReadOnly {
			r.data = append(r.data, m.Source)
		}
	}
	for _, file := range p.Compose {
		r.compose(file)
	}
	r.file(path.Join(r.dir, ".env"), agentapi.FileEnv)
	for _, file := range p.EnvFiles {
		if !r.global(file, places) {
			r.file(file, agentapi.FileEnv)
		}
	}
	for _, m := range p.Mounts {
		if m.ReadOnly {
			r.tree(m.Source)
		}
	}
	for _, f := range r.files {
		p.Files = append(p.Files, f)
	}
	slices.SortFunc(p.Files, func(a, b agentapi.FoundFile) int { return cmp.Compare(a.Path, b.Path) })
	p.Incomplete = r.broken
}

// globalEnv is the env file next to its stacks' folders that Dockge gives to each of them.
// Source: louislam/dockge, backend/stack.ts, getComposeOptions.
const globalEnv = "global.env"

// global takes Dockge's env file for all stacks, if it is that. No other file outside of a
// project's folder is read.
func (r *reader) global(file string, places []place) bool {
	i := slices.IndexFunc(places, func(p place) bool {
		return p.name == "dockge" && path.Clean(file) == path.Join(p.target, globalEnv) && path.Dir(r.dir) == p.target
	})
	if i < 0 {
		return false
	}
	root, err := os.OpenRoot(r.host.Root + places[i].source)
	if err != nil {
		return false
	}
	defer root.Close()
	around := &reader{host: r.host, dir: places[i].target, root: root, room: r.room, files: r.files}
	around.file(path.Clean(file), agentapi.FileEnv)
	return true
}

// open opens the folder of that name which has the project's Compose file: the host's, or a
// manager's. Of a manager's project with a relative bind the host has one, too, which Docker
// made for the data.
func (h Host) open(dir, file string, places []place) (*os.Root, error) {
	folders := []string{h.Root + dir}
	for _, at := range places {
		if rel, below := strings.CutPrefix(dir, at.target+"/"); below {
			folders = append(folders, path.Join(h.Root, at.source, rel))
		}
	}
	rel := strings.TrimPrefix(path.Clean(file), dir+"/")
	for _, folder := range folders {
		root, err := os.OpenRoot(folder)
		if err != nil {
			continue
		}
		if _, err := root.Lstat(rel); err == nil {
			return root, nil
		}
		_ = root.Close() // it is opened again below, if it is the only one
	}
	return os.OpenRoot(folders[0])
}

// tooWide are folders that are not one project's, whatever a label says.
func tooWide() []string {
	return []string{"/", "/root", "/var/lib/docker", "/var/lib/salvor", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/media", "/mnt", "/opt", "/proc", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/lib"}
}

// compose takes a Compose file and what it refers to.
func (r *reader) compose(file string) {
	if _, taken := r.files[file]; taken {
		return
	}
	if path.Base(file) == "-" {
		r.broken = cmp.Or(r.broken, "its Compose file came through a pipe (docker compose -f -), so the host has none")
		return
	}
	if ext := path.Ext(file); ext != ".yml" && ext != ".yaml" {
		r.broken = cmp.Or(r.broken, file+" is not named like a Compose file")
		return
	}
	content, left := r.read(file)
	if content == nil {
		r.broken = cmp.Or(r.broken, file+": "+left)
		return
	}
	r.keep(file, agentapi.FileCompose, content)
	doc, err := yamldoc.Parse(file, content)
	if err != nil {
		r.broken = cmp.Or(r.broken, err.Error())
		return
	}
	r.references(path.Dir(file), doc, nil)
}

// references takes the files that a Compose file names, by where it names them. It knows
// no interpolation: what has a variable in its path is left.
func (r *reader) references(at string, n *yamldoc.Node, keys []string) {
	n = yamldoc.Resolve(n)
	switch {
	case yamldoc.IsMapping(n):
		for key, v := range yamldoc.Entries(n) {
			r.references(at, v, append(slices.Clone(keys), key))
		}
	case yamldoc.IsList(n):
		for _, item := range yamldoc.Items(n) {
			r.references(at, item, keys)
		}
	case yamldoc.IsScalar(n) && n.Value != "" && !strings.Contains(n.Value, "$") && len(keys) > 0:
		r.named(at, n.Value, keys)
	}
}

func (r *reader) named(at, value string, keys []string) {
	file := value
	if !path.IsAbs(file) {
		file = path.Join(at, file)
	}
	last := keys[len(keys)-1]
	switch {
	case slices.Contains(keys, "include") && (last == "include" || last == "path"):
		r.compose(file)
	case slices.Contains(keys, "extends") && last == "file":
		r.compose(file)
	case slices.Contains(keys, "env_file") && (last == "env_file" || last == "path"):
		r.file(file, agentapi.FileEnv)
	case keys[0] == "secrets" && last == "file":
		r.file(file, agentapi.FileSecret)
	case keys[0] == "configs" && last == "file":
		r.file(file, agentapi.FilePlain)
	case last == "build" || last == "context" && slices.Contains(keys, "build"):
		if !strings.Contains(value, "://") {
			r.tree(file)
		}
	case last == "dockerfile" && slices.Contains(keys, "build"):
		r.file(file, agentapi.FilePlain)
	}
}

// tree takes a file, or all of a folder that is small enough, where it is below the
// project's own.
func (r *reader) tree(source string) {
	rel, below := r.below(source)
	if !below {
		return
	}
	info, err := r.root.Stat(rel)
	if err != nil {
		return
	}
	if !info.IsDir() {
		r.file(source, agentapi.FilePlain)
		return
	}
	var names []string
	_ = fs.WalkDir(r.root.FS(), rel, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil
		case d.IsDir() && (d.Name() == ".git" || slices.Contains(r.data, path.Join(r.dir, p))):
			return fs.SkipDir
		case !d.IsDir():
			names = append(names, path.Join(r.dir, p))
		}
		if len(names) > maxFolder {
			return fs.SkipAll
		}
		return nil
	})
	if len(names) > maxFolder {
		r.files[source] = agentapi.FoundFile{Path: source, Kind: agentapi.FilePlain, Left: fmt.Sprintf("a folder of more than %d files", maxFolder)}
		return
	}
	for _, name := range names {
		r.file(name, kindOf(name))
	}
}

func kindOf(file string) agentapi.FileKind {
	if base := path.Base(file); strings.HasPrefix(base, ".env") || path.Ext(base) == ".env" {
		return agentapi.FileEnv
	}
	return agentapi.FilePlain
}

// file takes one file, where there is one.
func (r *reader) file(file string, kind agentapi.FileKind) {
	if _, taken := r.files[file]; taken || slices.Contains(r.data, file) {
		return
	}
	content, left := r.read(file)
	switch {
	case content != nil:
		r.keep(file, kind, content)
	case left != missing:
		r.files[file] = agentapi.FoundFile{Path: file, Kind: kind, Left: left}
	}
}

func (r *reader) keep(file string, kind agentapi.FileKind, content []byte) {
	mode := uint32(0o644)
	if rel, below := r.below(file); below {
		if info, err := r.root.Stat(rel); err == nil && info.Mode()&0o100 != 0 {
			mode = 0o755
		}
	}
	*r.room -= int64(len(content))
	r.files[file] = agentapi.FoundFile{Path: file, Kind: kind, Mode: mode, Content: content}
}

// below returns a path relative to the project's folder, as long as it is below it.
func (r *reader) below(file string) (string, bool) {
	if file == r.dir {
		return ".", true
	}
	rel, below := strings.CutPrefix(path.Clean(file), r.dir+"/")
	return rel, below
}

const missing = "it is not there"

// read returns a file's content, or why it is left where it is.
func (r *reader) read(file string) (content []byte, left string) {
	f, err := r.open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing
	}
	if err != nil {
		return nil, "not a plain file of the project's folder"
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, "a file that can't be read"
	case info.Size() > maxFile:
		return nil, fmt.Sprintf("%.1f MiB", float64(info.Size())/(1<<20))
	case info.Size() > *r.room:
		return nil, fmt.Sprintf("the files have more than %d MiB; fewer projects have room", maxAll>>20)
	}
	content, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil || len(content) > maxFile {
		return nil, "a file that can't be read, or grows"
	}
	if content == nil {
		content = []byte{}
	}
	return content, ""
}

func (r *reader) open(file string) (*os.File, error) {
	rel, below := r.below(file)
	if !below {
		return nil, errOutside
	}
	// a pipe would wait for its writer
	f, err := r.root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(errOutside, f.Close())
	}
	return f, nil
}

var errOutside = errors.New("not a plain file of the project's folder")
