package stack

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"salvor/internal/docker"
	"salvor/internal/project"
	"salvor/internal/yamldoc"
)

// projectVariable is a variable with which Compose names a project, in front of `name:` in a
// Compose file and the folder's own name.
// Source: https://docs.docker.com/compose/how-tos/project-name/
const projectVariable = "COMPOSE_PROJECT_NAME"

// asStarted says how a stack that runs untouched was started: from which files, and with
// which command in its folder Compose finds it again. Up is "" where the host does not have
// these files by the names that Compose knew.
func (p Project) asStarted(ctx context.Context, a project.Adoption) (Plain, error) {
	plain := Plain{Dir: a.Dir, Compose: a.Compose}
	name, err := p.host.ProjectName(ctx, p.name)
	if err != nil {
		return plain, err
	}
	all, err := p.host.engine.List(ctx)
	if err != nil {
		return plain, err
	}
	var files, envFiles []string
	if i := slices.IndexFunc(all, func(c docker.Listed) bool { return c.Project == name && !c.OneOff }); i >= 0 {
		files, envFiles = all[i].ComposeFiles, all[i].EnvFiles
	}
	if len(files) == 0 {
		files = a.Compose
	}
	for _, file := range files {
		if !path.IsAbs(file) {
			file = path.Join(plain.Dir, file)
		}
		_, err := p.host.machine.ReadFile(ctx, file)
		if errors.Is(err, fs.ErrNotExist) {
			return plain, nil
		}
		if err != nil {
			return plain, err
		}
	}
	plain.Up = upIn(plain.Dir, name, callsItself(a, name), files, envFiles)
	return plain, nil
}

// callsItself reports whether Compose calls a project so on its own, in the folder of its user.
func callsItself(a project.Adoption, name string) bool {
	said := path.Base(a.Dir)
	for _, f := range a.Files {
		if at := slices.Index(a.Compose, f.Path); at >= 0 {
			if root, err := yamldoc.Parse(f.Path, f.Data); err == nil && yamldoc.ValueOf(yamldoc.Find(root, "name")) != "" {
				said = yamldoc.ValueOf(yamldoc.Find(root, "name"))
			}
		}
	}
	if variable := a.Vars[projectVariable]; variable != "" {
		said = variable
	}
	return said == name
}

// upIn is the command that finds a project in its folder as it was started: with the options
// that Compose would not come to on its own.
func upIn(dir, project string, named bool, files, envFiles []string) string {
	argv := []string{"docker", "compose"}
	if !named {
		argv = append(argv, "-p", project)
	}
	below := func(file string) string { return strings.TrimPrefix(file, strings.TrimSuffix(dir, "/")+"/") }
	if !found(files, below) {
		for _, file := range files {
			argv = append(argv, "-f", shown(below(file)))
		}
	}
	if len(envFiles) != 1 || below(envFiles[0]) != ".env" {
		for _, file := range envFiles {
			argv = append(argv, "--env-file", shown(below(file)))
		}
	}
	return strings.Join(append(argv, "up", "-d"), " ")
}

// found reports whether Compose finds these files on its own.
// Source: compose-go, cli/options.go, DefaultFileNames and DefaultOverrideFileNames.
func found(files []string, below func(string) string) bool {
	for _, name := range []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"} {
		base, ext := strings.TrimSuffix(name, path.Ext(name)), path.Ext(name)
		if len(files) > 0 && below(files[0]) == name && (len(files) == 1 || len(files) == 2 && below(files[1]) == base+".override"+ext) {
			return true
		}
	}
	return false
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// shown is an argument as a shell takes it.
func shown(arg string) string {
	if plainWord.MatchString(arg) {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}

// withName has Compose call the project as it is called here, also without --project-name: by
// `name:`, which is in no service's hash and in no container. Where the files do so by
// themselves, they are returned as they are.
func withName(files []PlainFile, a project.Adoption, name string) ([]PlainFile, error) {
	if callsItself(a, name) || len(a.Compose) == 0 {
		return files, nil
	}
	at := a.Compose[0]
	for _, f := range files {
		if root, err := yamldoc.Parse(f.Path, f.Data); slices.Contains(a.Compose, f.Path) && err == nil && yamldoc.Find(root, "name") != nil {
			at = f.Path
		}
	}
	i := slices.IndexFunc(files, func(f PlainFile) bool { return f.Path == at })
	if i < 0 {
		return files, nil
	}
	var err error
	files[i].Data, err = yamldoc.Set(files[i].Data, yamldoc.Path{"name"}, yamldoc.Scalar(name))
	return files, err
}
