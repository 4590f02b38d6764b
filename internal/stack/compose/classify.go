package compose

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/project"
	"salvor/internal/suggest"
)

// A mount is one volume entry of one service and what was decided about it.
type mount struct {
	service string
	index   int // in the service's volumes
	entry   types.ServiceVolumeConfig
	protect fleet.Protection
	source  string             // of a bind in the rendered file
	file    string             // protect is config: path in the repository
	volume  *project.Volume    // nil for what holds no data
	policy  fleet.VolumePolicy // zero when nothing was said
	named   bool               // the policy names this mount, not only a folder that it is in
	home    bool               // the source is written with `~`
	asked   bool               // a question about its folder of the host is open
}

func (m *mount) isHostPath() bool {
	return m.entry.Type == types.VolumeTypeBind && path.IsAbs(m.entry.Source)
}

// mounts is every mount of a project, by service and order.
type mounts struct {
	all  []*mount
	data map[string]*project.Volume
}

func (m *mounts) volumes() []project.Volume {
	var vs []project.Volume
	for _, v := range m.data {
		vs = append(vs, *v)
	}
	slices.SortFunc(vs, func(a, b project.Volume) int { return strings.Compare(a.Name, b.Name) })
	return vs
}

func (m *mounts) at(service string, index int) *mount {
	i := slices.IndexFunc(m.all, func(x *mount) bool { return x.service == service && x.index == index })
	return m.all[i]
}

// A classifier decides what each mount of a stack is: data, configuration, or the
// host's.
type classifier struct{ load *load }

// classify decides every mount of the project: what x-salvor says, else what
// the mount is. What stays undecided becomes a fatal finding.
func (c classifier) classify() (*mounts, error) {
	ms := &mounts{data: map[string]*project.Volume{}}
	used := map[string]string{} // policy to the mount it decides
	for _, name := range c.load.project.ServiceNames() {
		for i, entry := range c.load.project.Services[name].Volumes {
			m := &mount{service: name, index: i, entry: c.hosted(entry), home: fleet.AtHome(entry.Source) != entry.Source}
			if marked(entry.Source + entry.Target) {
				return nil, c.load.fail(c.load.files.mount(name, entry.Target), "a secret can't be part of the path of a mount: %s:%s; write the path, or take it from vars: in fleet.yaml", entry.Source, entry.Target)
			}
			if strings.Contains(entry.Source+entry.Target, tailnetMark) {
				return nil, c.load.fail(c.load.files.mount(name, entry.Target), "${%s} can't be part of the path of a mount: it is another one on each host; write the path", project.TailnetIP)
			}
			if err := c.policy(m, used); err != nil {
				return nil, err
			}
			ms.all = append(ms.all, m)
		}
	}
	if err := c.unusedPolicies(ms, used); err != nil {
		return nil, err
	}
	roots := c.dataRoots(ms)
	for _, m := range ms.all {
		c.decide(ms, m, roots)
	}
	c.ask(ms)
	c.nested(ms)
	for _, v := range ms.data {
		c.consistency(ms, v)
	}
	return ms, nil
}

// hosted rewrites what the host resolves differently from here: `~` is root's
// home there, and a path below the project's own folder is relative to it, see onHost.
func (c classifier) hosted(e types.ServiceVolumeConfig) types.ServiceVolumeConfig {
	if e.Type != types.VolumeTypeBind {
		return e
	}
	e.Source = c.onHost(e.Source)
	return e
}

// onHost returns the source of a bind as the host has it. A folder next to the stack's that
// Git does not have is one of the host only where the stack's own place there is declared:
// nothing but stacks is delivered.
func (c classifier) onHost(source string) string {
	source = c.load.local(path.Clean(fleet.AtHome(source)))
	if dir := c.load.Stack.ProjectDir; dir != "" && leaves(source) && !c.inGit(source) {
		return path.Join(dir, source)
	}
	return source
}

// leaves reports whether a relative source is not in the stack's folder.
func leaves(source string) bool { return source == ".." || strings.HasPrefix(source, "../") }

// inGit reports whether the commit has a relative source.
func (c classifier) inGit(source string) bool {
	repoPath, inside := c.load.inRepo(source)
	_, there := c.load.stat(repoPath)
	return inside && there
}

// policy finds what x-salvor.volumes says about a mount: under the volume's name, the
// bind's source, or an anonymous volume's target; of a folder of the host, what the
// longest folder says that it is in.
func (c classifier) policy(m *mount, used map[string]string) error {
	for _, p := range c.load.Stack.Volumes {
		if !c.names(p.Volume, m.entry) {
			continue
		}
		if m.named {
			return c.load.fail(p.Position, "%s and %s are the same mount; declare its protection once", m.policy.Volume, p.Volume)
		}
		m.policy, m.named = p, true
		used[p.Volume] = m.entry.Source
	}
	if m.named || !m.isHostPath() {
		return nil
	}
	for _, p := range c.load.Stack.Volumes {
		folder := c.onHost(p.Volume)
		if path.IsAbs(folder) && fleet.Within(folder, m.entry.Source) && len(folder) > len(c.onHost(m.policy.Volume)) {
			m.policy = p
			m.policy.Formerly = "" // of the folder alone
			used[p.Volume] = m.entry.Source
		}
	}
	return nil
}

func (c classifier) names(key string, e types.ServiceVolumeConfig) bool {
	switch {
	case e.Type == types.VolumeTypeVolume && e.Source != "":
		return key == e.Source
	case e.Type == types.VolumeTypeVolume:
		return path.Clean(key) == path.Clean(e.Target)
	case e.Type == types.VolumeTypeBind:
		_, isVolume := c.load.project.Volumes[key]
		return !isVolume && c.onHost(key) == e.Source
	}
	return false
}

func (c classifier) unusedPolicies(ms *mounts, used map[string]string) error {
	for _, p := range c.load.Stack.Volumes {
		if _, ok := used[p.Volume]; ok {
			continue
		}
		var names []string
		for _, m := range ms.all {
			if source := written(m.entry.Source); m.entry.Source != "" && !slices.Contains(names, source) {
				names = append(names, source)
			}
		}
		next := "remove it: the stack has no volume"
		if len(names) > 0 {
			next = "name what is mounted: " + some(names)
		}
		return c.load.fail(p.Position, "no service mounts %q%s; %s", p.Volume, suggest.DidYouMean(written(path.Clean(p.Volume)), names), next)
	}
	return nil
}

// decide fills in one mount.
func (c classifier) decide(ms *mounts, m *mount, roots []string) {
	switch m.entry.Type {
	case types.VolumeTypeVolume:
		c.decideVolume(ms, m)
	case types.VolumeTypeBind:
		if path.IsAbs(m.entry.Source) {
			c.decideHostPath(ms, m)
		} else {
			c.decideRelative(ms, m, roots)
		}
	default: // tmpfs, image, npipe: nothing there outlives the container
		m.protect = fleet.None
	}
}

func (c classifier) decideVolume(ms *mounts, m *mount) {
	if m.entry.Source == "" {
		if m.protect = m.policy.Protect; m.protect != fleet.None {
			c.askVolume(project.Asked{Volume: m.entry.Target, Proposed: c.anonymous(m)})
			c.unclassified(m, fmt.Sprintf("the anonymous volume at %s has no name to keep it under", m.entry.Target),
				fmt.Sprintf("give it a name under volumes:, or set x-salvor.volumes: {%s: {protect: none}}", m.entry.Target))
		}
		return
	}
	decl := c.load.project.Volumes[m.entry.Source]
	v := project.Volume{Name: m.entry.Source, Source: m.entry.Source, Docker: decl.Name}
	if v.Docker == "" {
		v.Docker = c.load.Stack.ProjectName() + "_" + v.Name
		if decl.External {
			v.Docker = v.Name
		}
	}
	if binds(decl) {
		v.Docker, v.Path = "", decl.DriverOpts["device"]
	}
	said, _ := c.load.Binds.Of(v.Path)
	v.Protect = cmp.Or(m.policy.Protect, defaultFor(decl), said.Protect)
	if v.Protect == "" {
		c.askVolume(project.Asked{Volume: v.Name, Docker: v.Docker, Proposed: c.outer(m, decl)})
		c.unclassified(m, fmt.Sprintf("volume %s belongs to something outside of this stack", v.Name),
			fmt.Sprintf("choose what it is: x-salvor.volumes: {%s: {protect: external}}, or snapshot, or none", v.Name))
		return
	}
	v.Formerly = formerName(m.policy)
	c.keep(ms, m, v)
}

// formerName is the identity of the volume that a policy says this one was.
func formerName(p fleet.VolumePolicy) string {
	if strings.ContainsAny(p.Formerly, "/~") || strings.HasPrefix(p.Formerly, ".") {
		return bindName(path.Clean(p.Formerly))
	}
	return p.Formerly
}

// binds reports whether a named volume is a folder of the host: the engine mounts it
// so whatever other type it has.
func binds(decl types.VolumeConfig) bool {
	return slices.ContainsFunc(strings.Split(decl.DriverOpts["o"], ","), func(option string) bool {
		option = strings.TrimSpace(option)
		return option == "bind" || option == "rbind"
	})
}

// defaultFor is what a named volume is when nothing is said: data of this stack
// unless its driver or its declaration put it elsewhere. "" means: ask.
func defaultFor(decl types.VolumeConfig) fleet.Protection {
	fs := decl.DriverOpts["type"]
	switch {
	case bool(decl.External) || binds(decl):
		return ""
	case fs == "tmpfs":
		return fleet.None
	case slices.Contains([]string{"nfs", "nfs4", "cifs", "smb3"}, fs):
		return fleet.External
	case decl.Driver != "" && decl.Driver != "local":
		return fleet.External
	case decl.DriverOpts["device"] != "": // a disk of the host, or folders that an overlay shows
		return ""
	}
	return fleet.Snapshot
}

func (c classifier) decideRelative(ms *mounts, m *mount, roots []string) {
	src := m.entry.Source
	repoPath, inside := c.load.inRepo(src)
	if inside && m.policy.Protect == "" && c.config(m, repoPath) {
		m.protect, m.file = fleet.Config, repoPath
		c.load.ignoredBelow(c.load.files.mount(m.service, m.entry.Target), repoPath)
		if !m.entry.ReadOnly {
			c.load.found(finding.Finding{Code: finding.ConfigWritable, Severity: finding.Warning, Subject: c.load.files.mount(m.service, m.entry.Target),
				Text: fmt.Sprintf("%s can write to %s, which comes from Git", m.service, repoPath), Fix: fmt.Sprintf("mount it read-only: %s:%s:ro", written(src), m.entry.Target)})
		}
		return
	}
	if inside && m.policy.Protect == "" {
		c.dataInGit(m, repoPath)
		if c.load.fileNotInGit(m, repoPath) || c.misspelt(m, repoPath) {
			return
		}
	}
	i := slices.IndexFunc(roots, func(r string) bool { return within(r, src) })
	if i < 0 {
		dir, full := "/opt/stacks/"+c.load.Stack.Name, "/srv/"+path.Base(src)
		c.unclassified(m, fmt.Sprintf("%s is next to the stack's folder and not in Git, so it is not known where a host has it", src),
			fmt.Sprintf("write its full path: %s:%s; or, if the stack and its data are in %s there already: x-salvor: {dir: %[3]s}, which makes it %s", full, m.entry.Target, dir, path.Join(dir, src)))
		return
	}
	root := roots[i]
	name := bindName(root)
	at := hostpath.Default().Volume(c.load.Stack.Name, name)
	if c.load.Stack.ProjectDir != "" {
		at = path.Join(c.load.Stack.ProjectDir, root)
	}
	policy := c.policyOf(ms, root)
	c.keep(ms, m, project.Volume{Name: name, Source: written(root), Path: at, Protect: cmp.Or(policy.Protect, fleet.Snapshot), Formerly: formerName(policy)})
	if m.volume != nil {
		m.source = path.Join(m.volume.Path, strings.TrimPrefix(src, root))
	}
}

// policyOf is what was said about a relative bind that others are below.
func (c classifier) policyOf(ms *mounts, root string) fleet.VolumePolicy {
	for _, m := range ms.all {
		if m.entry.Type == types.VolumeTypeBind && m.entry.Source == root && m.policy.Volume != "" {
			return m.policy
		}
	}
	return fleet.VolumePolicy{}
}

// dataRoots returns the relative binds that are volumes of their own, deepest
// first: those that something is said about, and of the others the outermost,
// so that ./data and ./data/sub stay one tree.
func (c classifier) dataRoots(ms *mounts) []string {
	var roots, plain []string
	for _, m := range ms.all {
		src := m.entry.Source
		if m.entry.Type != types.VolumeTypeBind || path.IsAbs(src) || leaves(src) {
			continue
		}
		repoPath, _ := c.load.inRepo(src)
		switch {
		case m.policy.Protect != "" || m.policy.Formerly != "":
			roots = append(roots, src)
		case !c.config(m, repoPath):
			plain = append(plain, src)
		}
	}
	slices.SortFunc(plain, func(a, b string) int { return len(a) - len(b) })
	for _, p := range plain {
		if !slices.ContainsFunc(roots, func(r string) bool { return within(r, p) }) {
			roots = append(roots, p)
		}
	}
	slices.SortFunc(roots, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(roots)
}

// keep records that a mount uses a volume.
func (c classifier) keep(ms *mounts, m *mount, v project.Volume) {
	if v.Protect == fleet.Shared {
		v.Docker, v.Path = "", hostpath.Default().SharedVolume(c.load.Stack.Name, v.Name)
		v.From, v.Writers = m.policy.From, m.policy.Writers
	}
	if ms.data[v.Name] == nil {
		ms.data[v.Name] = &v
	}
	m.volume = ms.data[v.Name]
	m.protect, m.source = m.volume.Protect, m.volume.Path
	if !slices.Contains(m.volume.Services, m.service) {
		m.volume.Services = append(m.volume.Services, m.service)
		slices.Sort(m.volume.Services)
	}
}

func (c classifier) unclassified(m *mount, text, fix string) {
	m.protect = ""
	c.load.found(finding.Finding{Code: finding.MountUnclassified, Severity: finding.Fatal, Subject: c.load.files.mount(m.service, m.entry.Target),
		Text: m.service + ": " + text, Fix: fix})
}
