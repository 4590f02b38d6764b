package controlrepo

import (
	"bytes"
	"embed"
	"fmt"
	"maps"
	"text/template"

	"salvor/internal/fleet"
	"salvor/internal/lockfile"
	"salvor/internal/yamldoc"
)

//go:embed template
var templates embed.FS

// A Beginning is what a new control repository begins with.
type Beginning struct {
	Name       string            // the fleet's
	Recipients fleet.Recipients  // who may open its secrets
	Files      map[string][]byte // more files for the first commit: encrypted keys, .sops.yaml
	Signer     string            // the only public SSH key that signs commits, "" to take them unsigned
}

// Signers are those whose signature the first commit needs.
func (b Beginning) Signers() fleet.Signers { return fleet.Signers{SSH: b.signers()} }

// initialSigners is where the list of keys that sign commits is at first.
const initialSigners = "hosts/allowed_signers"

func (b Beginning) signers() []byte {
	if b.Signer == "" {
		return nil
	}
	return fmt.Appendf(nil, "# The keys whose signed commits this fleet accepts: see ssh-keygen(1), ALLOWED SIGNERS.\n%s namespaces=\"git\" %s\n", b.Name, b.Signer)
}

// Commit returns the files of the first commit, by path, and its message: fleet.yaml,
// an example stack, playbooks, ignore rules, a README, an empty lock, and Files.
func (b Beginning) Commit() (files map[string][]byte, message string, err error) {
	if err := fleet.ValidName(b.Name); err != nil {
		return nil, "", err
	}
	if files, err = b.rendered(); err != nil {
		return nil, "", err
	}
	if list := b.signers(); list != nil {
		files[initialSigners] = list
	}
	for path := range b.Files {
		if _, twice := files[path]; twice {
			return nil, "", fmt.Errorf("salvor: internal error: %s is written by init itself", path)
		}
	}
	maps.Copy(files, b.Files)
	lock, err := lockfile.Encode(fleet.Lock{Record: newRecord(b.Name)})
	if err != nil {
		return nil, "", err
	}
	files[lockfile.Name] = lock
	problems := &yamldoc.Report{}
	decodeAndCheck(files[fleet.File], problems)
	return files, "init: fleet " + b.Name + "\n\nWritten by salvor init.\n", problems.Err()
}

func (b Beginning) rendered() (map[string][]byte, error) {
	files, err := Playbooks()
	if err != nil {
		return nil, err
	}
	for path, source := range map[string]string{
		fleet.File: "fleet.yaml", ".gitignore": "gitignore", "README.md": "README.md", "stacks/hello/compose.yaml": "compose.yaml",
	} {
		content, err := b.render(source)
		if err != nil {
			return nil, err
		}
		files[path] = content
	}
	return files, nil
}

// decodeAndCheck proves that what init writes is what Load accepts.
func decodeAndCheck(content []byte, problems *yamldoc.Report) {
	r := yamldoc.NewReader(fleet.File, problems)
	if file, ok := decodeFleet(r, content, ""); ok {
		checkFleet(r, &file.fleet)
	}
}

func (b Beginning) render(source string) ([]byte, error) {
	content, err := templates.ReadFile("template/" + source)
	if err != nil {
		return nil, err
	}
	t, err := template.New(source).Parse(string(content))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, b)
	return out.Bytes(), err
}
