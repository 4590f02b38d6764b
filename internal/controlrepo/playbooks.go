package controlrepo

import (
	"embed"
	"io/fs"

	"salvor/internal/fleet"
	"salvor/internal/yamldoc"
)

//go:embed playbooks
var playbooks embed.FS

// SitePlaybook prepares the fleet's hosts. It is the operator's once it is written; the other
// files of Playbooks are Salvor's.
const SitePlaybook = fleet.PlaybooksDir + "/site.yml"

// Playbooks returns the files with which Ansible prepares hosts, by their paths.
func Playbooks() (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(playbooks, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = playbooks.ReadFile(path)
		return err
	})
	return files, err
}

func playbooksShape() yamldoc.Shape[fleet.Playbooks] {
	playbook := yamldoc.Text(fleet.ValidPlaybook)
	return yamldoc.Object(
		yamldoc.Key("before", "Runs before a host's part of an apply; if it fails, nothing is applied to that host.", playbook, func(p *fleet.Playbooks, v string) { p.Before = v }),
		yamldoc.Key("after", "Runs when a host's part of an apply is done.", playbook, func(p *fleet.Playbooks, v string) { p.After = v }),
	)
}

// checkPlaybooks reports playbooks that the repository does not have.
func checkPlaybooks(r *yamldoc.Reader, fsys fs.FS, p fleet.Playbooks) {
	for key, path := range map[string]string{"before": p.Before, "after": p.After} {
		if path == "" || fleet.ValidPlaybook(path) != nil {
			continue // none, or reported already
		}
		info, err := fs.Stat(fsys, path)
		if err != nil || !info.Mode().IsRegular() {
			r.Add(r.Places.Of("ansible", key), "the repository has no file %s", path)
		}
	}
}
