// Package adopt makes stacks of the Compose projects that run on a host already. It reads
// the host, writes their files into the repository, and changes nothing on the host: what
// runs is taken over by an apply that is asked to.
package adopt

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/terminal"
	"salvor/internal/yamldoc"
	"salvor/internal/yamldoc/explain"
)

// A Candidate is a project of a host and the stack that it would be.
type Candidate struct {
	Project agentapi.RunningProject
	Stack   string            // the name that it gets
	Score   Score             // what is lost with its host
	Compose string            // its Compose file below the stack's folder
	Files   map[string][]byte // plain files below the stack's folder, by path
	Secret  map[string][]byte // env files below it: to be encrypted, never written plain

	ComposeFiles []string          // all of Files that are Compose files, sorted
	SecretFiles  map[string][]byte // files that are secrets of those: to be encrypted, never written plain
	Programs     []string          // files that are executable

	Again string // the folder of the stack that it was, which is placed nowhere now: it is placed here again
	Made  bool   // Again, and its folder on the host is one that `salvor host release` made

	Left  []string // files that stay on the host, each with why
	Notes []string // what is to be known of its data
	Why   string   // why it can't be a stack, "" for one that can
	Hint  string   // what to do about it
}

// Candidates are the projects of an inventory that could become stacks of a host, by name:
// those that are wanted, all where none is named, never Salvor's own, and none that is a stack
// of the host already.
func Candidates(inv agentapi.Inventory, f *fleet.Fleet, host string, wanted ...string) []Candidate {
	var all []Candidate
	taken := map[string]bool{}
	for _, st := range f.Stacks {
		taken[st.Name], taken[path.Base(st.Dir)] = true, true
	}
	declared := func(p agentapi.RunningProject) bool {
		return slices.ContainsFunc(f.Stacks, func(st fleet.Stack) bool {
			return st.Host == host && (st.ProjectName() == p.Name || st.ProjectDir != "" && st.ProjectDir == p.Dir)
		})
	}
	for _, p := range inv.Projects {
		if p.Own || declared(p) || len(wanted) > 0 && !slices.Contains(wanted, p.Name) {
			continue
		}
		c := Candidate{Project: p, Stack: stackName(p.Name, host, taken)}
		taken[c.Stack] = true
		c.choose(host)
		c.Notes = anonymous(p)
		if inv.Swarm && c.Why == "" && len(p.Compose) == 0 {
			c.refuse("it is part of a Swarm", "docker compose up on one host, or leave it as it is")
		}
		all = append(all, c)
	}
	return all
}

// anonymous says which data of a project no snapshot can have: it is in volumes without a name,
// of the Compose file or of an image.
func anonymous(p agentapi.RunningProject) []string {
	var notes []string
	for _, m := range p.Mounts {
		if m.Anonymous && m.Files > 0 {
			notes = append(notes, fmt.Sprintf("%s of %s is an anonymous volume (%s), which no snapshot has: to save it, mount a volume with a name there",
				strings.Join(m.Targets, ", "), listed(m.Services), terminal.Bytes(m.Bytes)))
		}
	}
	return notes
}

func listed(names []string) string { return strings.Join(names, ", ") }

// stackName is the project's, or with the host's where another stack has that.
func stackName(project, host string, taken map[string]bool) string {
	for _, name := range []string{project, project + "-" + host} {
		if fleet.ValidName(name) == nil && !taken[name] {
			return name
		}
	}
	for n := 2; ; n++ {
		if name := fmt.Sprintf("%s-%s-%d", project, host, n); !taken[name] {
			return name
		}
	}
}

func (c *Candidate) refuse(why, hint string) { c.Why, c.Hint = why, hint }

// choose takes the project's files as the stack's, or says why they can't be.
func (c *Candidate) choose(host string) {
	p := c.Project
	switch {
	case p.Draft:
	case p.Incomplete != "" && slices.ContainsFunc(p.Files, func(f agentapi.FoundFile) bool { return f.Kind == agentapi.FileCompose }):
		c.refuse(p.Incomplete, "is it a template? Render it on the host first, then salvor adopt "+host)
		return
	case p.Incomplete != "":
		c.refuse(p.Incomplete, "write its Compose file into a folder of its own, docker compose up there, then salvor adopt "+host)
		return
	}
	c.Files, c.Secret, c.SecretFiles = map[string][]byte{}, map[string][]byte{}, map[string][]byte{}
	given := map[string][]byte{} // env files around the folder that Compose was given
	for _, f := range p.Files {
		rel, below := strings.CutPrefix(f.Path, strings.TrimSuffix(p.Dir, "/")+"/")
		switch {
		case !below && f.Content != nil && slices.Contains(p.EnvFiles, f.Path):
			given[f.Path] = f.Content
		case !below:
			c.refuse(f.Path+" is outside of its folder "+p.Dir, "move it into the folder, docker compose up -d there, then salvor adopt "+host)
			return
		case !keepable(rel):
			c.Left = append(c.Left, f.Path+" (Git's own, or a key)")
		case f.Left != "" && (f.Kind == agentapi.FileEnv || f.Kind == agentapi.FileSecret):
			c.refuse(f.Path+" can't be read: "+f.Left, "make it a plain file, then salvor adopt "+host)
			return
		case f.Kind == agentapi.FileSecret:
			c.SecretFiles[rel] = f.Content
		case f.Left != "":
			c.Left = append(c.Left, fmt.Sprintf("%s (%s)", f.Path, f.Left))
		case f.Kind == agentapi.FileEnv:
			c.Secret[rel] = f.Content
		default:
			c.Files[rel] = f.Content
			if f.Kind == agentapi.FileCompose {
				c.ComposeFiles = append(c.ComposeFiles, rel)
			} else if f.Mode == 0o755 {
				c.Programs = append(c.Programs, rel)
			}
		}
	}
	if !c.giveEnvFiles(given) {
		c.refuse("it was started with --env-file "+strings.Join(p.EnvFiles, ", "), "put its variables into "+path.Join(p.Dir, ".env")+", docker compose up -d there, then salvor adopt "+host)
		return
	}
	c.declare(host)
}

// keepable reports whether a file can be one of the repository: not one that Git itself obeys,
// nor a key. A folder such as .github or .gitea, and a .gitignore, are files like any other.
func keepable(rel string) bool {
	obeyed := []string{".gitattributes", ".gitmodules"}
	return fleet.ValidPath(rel) == nil && !slices.Contains(obeyed, strings.ToLower(path.Base(rel))) && !strings.Contains("/"+rel, "/.ssh/")
}

// giveEnvFiles makes the .env of what Compose was given by --env-file in its place, and
// reports whether it knows all of that. Where two set a variable, the last one counts, in
// one file as in several.
func (c *Candidate) giveEnvFiles(around map[string][]byte) bool {
	var all []byte
	for _, file := range c.Project.EnvFiles {
		content, known := c.Secret[strings.TrimPrefix(path.Clean(file), c.Project.Dir+"/")]
		if !known {
			content, known = around[path.Clean(file)]
		}
		if !known {
			return false
		}
		all = append(append(all, content...), '\n')
	}
	switch _, own := c.Secret["stack.env"]; {
	case own && len(c.Project.EnvFiles) == 1: // Portainer's, and of the name that a stack's has
		delete(c.Secret, ".env")
	case len(c.Project.EnvFiles) > 0:
		c.Secret[".env"] = all
	}
	return true
}

// composeNames are those that Compose looks for, with the override that it adds to each.
func composeNames() [][2]string {
	return [][2]string{
		{"compose.yaml", "compose.override.yaml"}, {"compose.yml", "compose.override.yml"},
		{"docker-compose.yml", "docker-compose.override.yml"}, {"docker-compose.yaml", "docker-compose.override.yaml"},
	}
}

// declare gives the Compose file its x-salvor. A file of another name than Compose looks
// for gets that of the first.
func (c *Candidate) declare(host string) {
	var given []string
	for _, file := range c.Project.Compose {
		given = append(given, strings.TrimPrefix(file, strings.TrimSuffix(c.Project.Dir, "/")+"/"))
	}
	if lacks := slices.IndexFunc(given, func(file string) bool { return !slices.Contains(c.ComposeFiles, file) }); lacks >= 0 {
		c.refuse("its Compose file "+given[lacks]+" can't be taken", "give it a plain name in its folder, docker compose up -d there, then salvor adopt "+host)
		return
	}
	known := slices.ContainsFunc(composeNames(), func(n [2]string) bool {
		return slices.Equal(given, n[:1]) || slices.Equal(given, n[:])
	})
	switch {
	case known:
		c.Compose = given[0]
	case len(given) == 1 && path.Dir(given[0]) == ".":
		c.Compose = composeNames()[0][0]
		if _, other := c.Files[c.Compose]; other {
			c.refuse("it was made from "+given[0]+", and there is a "+c.Compose+", too", "rename one of them on the host, docker compose up -d there")
			return
		}
		c.Files[c.Compose] = c.Files[given[0]]
		delete(c.Files, given[0])
		c.ComposeFiles[slices.Index(c.ComposeFiles, given[0])] = c.Compose
	default:
		c.refuse("it was made from "+strings.Join(given, ", "), "make one Compose file of them, docker compose up -d with it, then salvor adopt "+host)
		return
	}
	content, err := withStack(c.Files[c.Compose], c.settings(host))
	if err == nil && c.Project.Draft {
		content = append(draftHead(c.Project, c.Stack, host), content...)
	}
	if err != nil {
		c.refuse(c.Compose+" can't be read: "+terminal.Line(err.Error()), "is it a template? Render it on the host first, then salvor adopt "+host)
		return
	}
	c.Files[c.Compose] = content
}

// settings are the lines of the stack's x-salvor. A draft has no folder: all its paths are whole.
func (c *Candidate) settings(host string) string {
	text := "x-salvor:\n  host: " + yamldoc.Scalar(host) + "\n"
	if c.Project.Draft {
		text += "  draft: true\n"
	} else {
		text += "  dir: " + yamldoc.Scalar(c.Project.Dir) + "\n"
	}
	if c.Project.Name != c.Stack {
		text += "  project: " + yamldoc.Scalar(c.Project.Name) + "\n"
	}
	return text + "\n"
}

// withStack returns a Compose file with x-salvor in front of all that it has, which stays
// byte for byte.
func withStack(content []byte, settings string) ([]byte, error) {
	root, err := explain.Parse("compose.yaml", content)
	if err != nil {
		return nil, err
	}
	if !yamldoc.IsMapping(root) || yamldoc.Find(root, "services") == nil {
		return nil, fmt.Errorf("it has no services")
	}
	if yamldoc.Find(root, "x-salvor") != nil {
		return nil, fmt.Errorf("it has an x-salvor already")
	}
	at := documentStart(content)
	made := slices.Concat(content[:at], []byte(settings), content[at:])
	if _, err := explain.Parse("compose.yaml", made); err != nil {
		return nil, fmt.Errorf("x-salvor can't be put in front of it: %w", err)
	}
	return made, nil
}

// documentStart returns where the text of a document begins that has a line `---`, or a
// directive, 0 for one that has none.
func documentStart(content []byte) int {
	at := 0
	for line := range strings.Lines(string(content)) {
		trimmed := strings.TrimSpace(line)
		at += len(line)
		switch {
		case trimmed == "---":
			return at
		case trimmed == "" || strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, "%"):
		default:
			return 0
		}
	}
	return 0
}
