package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"salvor/internal/docker"
	"salvor/internal/fault"
	"salvor/internal/hold"
	"salvor/internal/hostpath"
	"salvor/internal/machine"
	"salvor/internal/progress"
	"salvor/internal/project"
)

// ErrOtherVersion means that something else of a stack runs than Git says.
var ErrOtherVersion = errors.New("what runs is not what Git says")

// A HandBack is how a stack is given back to its user.
type HandBack struct {
	Plain
	Untouched bool     // it runs from its user's files, as it ran before Salvor: nothing is done
	Start     []string // services whose containers run then
	Make      []string // services whose containers are only made
}

// Services are those whose containers are made again.
func (h HandBack) Services() []string {
	return slices.Sorted(slices.Values(slices.Concat(h.Start, h.Make)))
}

// Asked is what a HandBack is asked for.
type Asked struct {
	Deployment
	Adopt   *project.Adoption // of a stack with a folder of its user's
	Stopped bool              // it was declared so, and stays so
	Secrets PlainSecrets
	Private string // a folder in memory, which is the caller's to remove
}

// HandBackOf says how a deployed stack is given back. Nothing is changed.
func (p Project) HandBackOf(ctx context.Context, a Asked) (HandBack, error) {
	seen, err := p.host.Observe(ctx, p.name)
	if err != nil {
		return HandBack{}, err
	}
	r, s := seen[0].Record, HandBack{}
	if a.Adopt != nil && !slices.ContainsFunc(seen[0].Containers, func(c docker.Container) bool { return Gated(c) && !c.OneOff }) {
		plain, err := p.asStarted(ctx, *a.Adopt)
		return HandBack{Plain: plain, Untouched: true}, err
	}
	if !seen[0].Deployed {
		return s, fmt.Errorf("stack %s was never deployed here", p.name)
	}
	k, _, err := p.host.lastGood(ctx, p.name)
	if err != nil {
		return s, err
	}
	s.choose(k.Project, seen[0], a)
	if a.Adopt == nil {
		if s.Plain, err = plainly(p.name, k, PlainFolder(p.name), s.Start, a.Secrets); err == nil {
			err = p.ownFolder(ctx, s.Plain)
		}
	} else {
		s.Plain, err = p.intoFolder(ctx, a, r)
	}
	for _, f := range s.Files {
		if err == nil {
			err = p.within(ctx, s.Dir, path.Join(s.Dir, f.Path))
		}
	}
	return s, err
}

// choose says which services are started, and of which only the containers are made again.
func (h *HandBack) choose(p project.Project, seen State, a Asked) {
	for _, s := range p.Services {
		mine := ofService(seen.Containers, s.Name)
		runs := slices.ContainsFunc(mine, func(c docker.Container) bool { return c.State == "running" || c.State == "paused" })
		switch {
		case s.Idle && len(mine) == 0:
		case a.Stopped, slices.Contains(a.ByHand, s.Name), s.Idle && !runs:
			h.Make = append(h.Make, s.Name)
		default:
			h.Start = append(h.Start, s.Name)
		}
	}
}

// ownFolder refuses a folder in which something is that Salvor did not write: no file of the
// user is replaced there.
func (p Project) ownFolder(ctx context.Context, plain Plain) error {
	files := []PlainFile{{Path: "compose.yml"}, {Path: "docker-compose.yml"}, {Path: "docker-compose.yaml"}}
	for _, f := range slices.Concat(files, plain.Files) {
		file := path.Join(plain.Dir, f.Path)
		have, err := p.host.machine.ReadFile(ctx, file)
		interrupted := err == nil && (f.Data != nil && bytes.Equal(have, f.Data) || f.Path == ComposeFile && GivenBack(p.name, have))
		if !interrupted && !errors.Is(err, fs.ErrNotExist) {
			return fault.WithHint(fmt.Errorf("stack %s is to get the folder %s, and %s is there already", p.name, plain.Dir, file), "move "+plain.Dir+" away on the host, then run this again")
		}
	}
	return nil
}

// intoFolder returns the files to write into the user's folder: none where those that are
// there make the same of the stack as Git's.
func (p Project) intoFolder(ctx context.Context, a Asked, r Record) (Plain, error) {
	plain := Plain{Dir: a.Adopt.Dir, Compose: a.Adopt.Compose, own: true, Tags: map[string]string{}}
	if r.Hash != a.Project.Hash {
		return plain, fault.WithHint(fmt.Errorf("stack %s: %w", p.name, ErrOtherVersion), "salvor apply first, so that the files in its folder can be those that run")
	}
	for _, s := range a.Project.Services {
		if ref := r.Images[s.Name]; ref != "" && !s.Build && !project.Digested(s.Image) {
			plain.Tags[s.Image] = ref
		}
	}
	name := a.Project.Called(p.name)
	resolved, err := p.resolve(ctx, name, *a.Adopt, a.Secrets.Env, a.Private)
	if err != nil {
		return plain, err
	}
	want, err := p.hashes(ctx, name, plain.Dir, resolved)
	if err != nil {
		return plain, err
	}
	files, err := ofUser(p.name, *a.Adopt, a.Secrets)
	if err != nil {
		return plain, err
	}
	same, err := p.hasAll(ctx, plain, files) // hashes do not cover what files say
	if err != nil || same && maps.Equal(want, p.asItIs(ctx, name, plain)) {
		plain.Up = upIn(plain.Dir, name, callsItself(*a.Adopt, name), plain.Compose, nil)
		return plain, err
	}
	plain.Up = upIn(plain.Dir, name, slices.Contains([]string{"", name}, a.Adopt.Vars[projectVariable]), plain.Compose, nil)
	plain.Files, err = withName(files, *a.Adopt, name)
	return plain, err
}

// asItIs returns Compose's hashes of what is in the user's folder, none where Compose makes
// nothing of it.
func (p Project) asItIs(ctx context.Context, name string, plain Plain) map[string]string {
	for _, file := range plain.Compose {
		if _, err := p.host.machine.ReadFile(ctx, path.Join(plain.Dir, file)); err != nil {
			return nil
		}
	}
	var out bytes.Buffer
	argv := append(plain.argv(name), "--profile", "*", "config")
	if _, err := p.host.machine.Run(ctx, machine.Cmd{Argv: argv, Dir: plain.Dir, Stdout: &out, Timeout: composeTimeout}); err != nil {
		return nil
	}
	hashes, err := p.hashes(ctx, name, plain.Dir, out.Bytes())
	if err != nil {
		return nil
	}
	return hashes
}

func (p Plain) argv(project string) []string {
	argv := []string{"docker", "compose", "--project-name", project, "--project-directory", p.Dir}
	for _, file := range p.Compose {
		argv = append(argv, "--file", path.Join(p.Dir, file))
	}
	return argv
}

// Before is where a user's file is kept that is written again.
func Before(file string) string { return file + before }

// Replaces returns the user's files that are written again.
func (p Project) Replaces(ctx context.Context, plain Plain) ([]string, error) {
	var all []string
	for _, f := range plain.Files {
		file := path.Join(plain.Dir, f.Path)
		have, err := p.host.machine.ReadFile(ctx, file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err == nil && plain.own && !bytes.Equal(have, f.Data) {
			all = append(all, file)
		}
	}
	return all, nil
}

// GiveBack has a stack run from plain files, and returns when it is healthy. Data stays where
// it is. Interrupted at any point, the next call continues.
func (p Project) GiveBack(ctx context.Context, h HandBack, sink progress.Sink) error {
	if h.Untouched {
		return nil
	}
	scope := progress.Scope{Sink: sink, Stack: p.name}
	end := scope.Step("write plain files", h.Dir)
	err := p.writePlain(ctx, h.Plain)
	end(err, h.Dir)
	if err != nil {
		return err
	}
	hold.At(ctx, "hand-back-written")
	end = scope.Step("make containers again", strings.Join(h.Services(), ", "))
	err = p.runPlain(ctx, h)
	end(err, "")
	return err
}

// before is what is added to the name of a user's file that was replaced.
const before = ".before-salvor-release"

func (p Project) writePlain(ctx context.Context, plain Plain) error {
	if err := p.host.run(ctx, "mkdir", "-p", "-m", folderMode, "--", plain.Dir); err != nil {
		return err
	}
	for _, f := range plain.Files {
		if err := p.writeFile(ctx, plain, f); err != nil {
			return err
		}
	}
	return nil
}

func (p Project) writeFile(ctx context.Context, plain Plain, f PlainFile) error {
	file := path.Join(plain.Dir, f.Path)
	if err := p.within(ctx, plain.Dir, file); err != nil {
		return err
	}
	if err := p.folders(ctx, plain.Dir, f); err != nil {
		return err
	}
	asIs, err := p.keepUsers(ctx, plain, f)
	if err != nil || asIs && !f.Secret {
		return err
	}
	if err := p.host.put(ctx, file, f.Data, f.Mode); err != nil {
		return err
	}
	if f.UID != 0 || f.GID != 0 {
		if err := p.host.run(ctx, "chown", fmt.Sprintf("%d:%d", f.UID, f.GID), "--", file); err != nil {
			return err
		}
	}
	return p.asBefore(ctx, plain, f)
}

// folders makes those that a file needs: of the secrets' only root enters the outermost.
func (p Project) folders(ctx context.Context, dir string, f PlainFile) error {
	if rest, secret := strings.CutPrefix(f.Path, secretsFolder+"/"); secret && f.Secret {
		err := p.host.run(ctx, "mkdir", "-p", "-m", "0700", "--", path.Join(dir, secretsFolder))
		if err != nil {
			return err
		}
		return p.host.run(ctx, "mkdir", "-p", "-m", folderMode, "--", path.Join(dir, secretsFolder, path.Dir(rest)))
	}
	return p.host.run(ctx, "mkdir", "-p", "-m", folderMode, "--", path.Dir(path.Join(dir, f.Path)))
}

// keepUsers keeps a file of the user that is replaced next to it, the first one alone. It
// reports whether the user's own says the same, and was never replaced.
func (p Project) keepUsers(ctx context.Context, plain Plain, f PlainFile) (asIs bool, err error) {
	file := path.Join(plain.Dir, f.Path)
	have, err := p.host.machine.ReadFile(ctx, file)
	if !plain.own || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if _, err := p.host.machine.ReadFile(ctx, file+before); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if bytes.Equal(have, f.Data) {
		return true, nil
	}
	if err := p.host.run(ctx, "cp", "--preserve=all", "-T", "--", file, file+before+".tmp"); err != nil {
		return false, err
	}
	return false, p.host.run(ctx, "mv", "-T", "--", file+before+".tmp", file+before)
}

// asBefore gives a file that was replaced the owner that the user's had, and its mode if the
// file has no secret.
func (p Project) asBefore(ctx context.Context, plain Plain, f PlainFile) error {
	file := path.Join(plain.Dir, f.Path)
	_, err := p.host.machine.ReadFile(ctx, file+before)
	if !plain.own || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = p.host.run(ctx, "chown", "--reference="+file+before, "--", file)
	}
	if err == nil && !f.Secret {
		err = p.host.run(ctx, "chmod", "--reference="+file+before, "--", file)
	}
	return err
}

// runPlain has Compose make the containers again, with the images that run now.
func (p Project) runPlain(ctx context.Context, h HandBack) error {
	project, err := p.host.ProjectName(ctx, p.name)
	if err != nil {
		return err
	}
	for _, tag := range slices.Sorted(maps.Keys(h.Tags)) {
		if err := p.host.docker(ctx, "tag", h.Tags[tag], tag); err != nil {
			return err
		}
	}
	if err := p.plainCompose(ctx, h, project, "config", "--quiet"); err != nil {
		return err
	}
	if err := p.host.unpauseAll(ctx, p.name); err != nil {
		return err
	}
	if len(h.Start) > 0 {
		err = p.plainCompose(ctx, h, project, append([]string{"up", "--detach", "--no-build", "--quiet-pull", "--pull", "missing"}, h.Start...)...)
	}
	if err == nil && len(h.Make) > 0 {
		err = p.plainCompose(ctx, h, project, append([]string{"create", "--no-build", "--pull", "missing"}, h.Make...)...)
	}
	if err != nil {
		return err
	}
	if err := p.host.waitHealthy(ctx, Deployment{Stack: p.name, ByHand: h.Make, Patience: plainPatience}); err != nil {
		return err
	}
	return p.allPlain(ctx)
}

const plainPatience = 5 * time.Minute

func (p Project) plainCompose(ctx context.Context, h HandBack, project string, args ...string) error {
	_, err := p.host.machine.Run(ctx, machine.Cmd{Argv: append(h.argv(project), args...), Dir: h.Dir, Timeout: composeTimeout,
		Env: []string{"COMPOSE_PROGRESS=plain", "COMPOSE_ANSI=never", "DOCKER_CLI_HINTS=false"}})
	if err != nil {
		return fmt.Errorf("docker compose %s in %s: %w", args[0], h.Dir, lastLine(err))
	}
	return nil
}

// allPlain returns an error where a container still waits for its gate.
func (p Project) allPlain(ctx context.Context) error {
	containers, err := p.host.containers(ctx, p.name)
	if err != nil {
		return err
	}
	for _, c := range containers {
		if Gated(c) && !c.OneOff {
			return fault.WithHint(fmt.Errorf("container %s of stack %s would not start without Salvor", c.Name, p.name), "docker rm it on the host if it is not needed, then run this again")
		}
	}
	return nil
}

// Forget removes what is noted of a stack that runs from plain files, and its rendered files.
// Containers and data stay. It may be called again.
func (p Project) Forget(ctx context.Context) error {
	return p.host.run(ctx, "rm", "-rf", "--", hostpath.Default().Project(p.name))
}
