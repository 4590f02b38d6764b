package controlrepo

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine"
)

// ErrExists means that init would have to overwrite something.
var ErrExists = errors.New("exists already")

//go:embed template
var templates embed.FS

// InitOptions say what a new control repository begins with.
type InitOptions struct {
	Name       string            // the fleet's
	Recipients fleet.Recipients  // who may open its secrets
	Files      map[string][]byte // more files for the first commit: encrypted keys, .sops.yaml
	Environ    []string          // the operator's environment, as os.Environ has it
	Signer     string            // the only public SSH key that signs commits, "" to take them unsigned
}

// Init makes dir a control repository with a first commit: the folder and its
// Git repository where they are missing, fleet.yaml, an example stack, ignore
// rules, a README and a pre-commit hook. It overwrites nothing: ErrExists names
// what stands in the way, and nothing was written then. m is the operator's
// machine.
func Init(ctx context.Context, m machine.Machine, dir string, o InitOptions) (*Git, Commit, error) {
	files, err := initialFiles(o)
	if err != nil {
		return nil, "", err
	}
	if err := checkFree(dir, files); err != nil {
		return nil, "", err
	}
	git, err := initGit(ctx, m, dir, o.Environ)
	if err != nil {
		return nil, "", err
	}
	hook, err := git.freeHook(ctx)
	if err != nil {
		return nil, "", err
	}
	git.OnlySigned(Signers{SSH: files[initialSigners]})
	commit, err := git.CommitFiles(ctx, files, "init: fleet "+o.Name+"\n\nWritten by salvor init.\n")
	if err != nil {
		return nil, "", err
	}
	return git, commit, writeHook(hook)
}

// initialSigners is where init writes the list of keys that sign commits.
const initialSigners = "hosts/allowed_signers"

// initialFiles renders the templates and joins them with the caller's files.
func initialFiles(o InitOptions) (map[string][]byte, error) {
	if err := fleet.ValidName(o.Name); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for path, source := range map[string]string{
		FleetFile: "fleet.yaml", ".gitignore": "gitignore", "README.md": "README.md", "stacks/hello/compose.yaml": "compose.yaml",
	} {
		content, err := render(source, o)
		if err != nil {
			return nil, err
		}
		files[path] = content
	}
	if o.Signer != "" {
		files[initialSigners] = fmt.Appendf(nil, "# The keys whose signed commits this fleet accepts: see ssh-keygen(1), "+
			"ALLOWED SIGNERS.\n"+
			"%s namespaces=\"git\" %s\n", o.Name, o.Signer)
	}
	for path := range o.Files {
		if _, twice := files[path]; twice {
			return nil, fmt.Errorf("salvor: internal error: %s is written by init itself", path)
		}
	}
	maps.Copy(files, o.Files)
	lock, err := EncodeLock(fleet.Lock{Record: newRecord(o.Name)})
	if err != nil {
		return nil, err
	}
	files[LockFile] = lock
	problems := &problemList{}
	decodeAndCheck(files[FleetFile], problems)
	return files, problems.err()
}

// decodeAndCheck proves that what init writes is what Load accepts.
func decodeAndCheck(content []byte, problems *problemList) {
	r := newReader(FleetFile, problems)
	if file, ok := decodeFleet(r, content, ""); ok {
		checkFleet(r, &file.fleet)
	}
}

func render(source string, o InitOptions) ([]byte, error) {
	content, err := templates.ReadFile("template/" + source)
	if err != nil {
		return nil, err
	}
	t, err := template.New(source).Parse(string(content))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, o)
	return out.Bytes(), err
}

// checkFree reports every file that is there already.
func checkFree(dir string, files map[string][]byte) error {
	var taken []string
	for _, path := range keysSorted(files) {
		switch _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(path))); {
		case err == nil:
			taken = append(taken, path)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	if len(taken) > 0 {
		return fault.WithHint(fmt.Errorf("%s: %w: %s", dir, ErrExists, strings.Join(taken, ", ")), "choose an empty folder, or move these away")
	}
	return nil
}

// initGit opens the Git repository at dir, after making it where there is none.
func initGit(ctx context.Context, m machine.Machine, dir string, environ []string) (*Git, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	git, err := OpenGit(ctx, m, dir, environ)
	if err == nil || !errors.Is(err, ErrNoGit) {
		return git, err
	}
	if inside, lineErr := (&Git{m: m, dir: dir, env: gitEnv(environ)}).line(ctx, "rev-parse", "--show-toplevel"); lineErr == nil && inside != "" {
		return nil, err
	}
	made := &Git{m: m, dir: dir, env: gitEnv(environ)}
	if _, err := made.output(ctx, "init", "--quiet", "--initial-branch=main"); err != nil {
		return nil, fmt.Errorf("make Git repository: %w", err)
	}
	return OpenGit(ctx, m, dir, environ)
}
