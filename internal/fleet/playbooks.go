package fleet

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// PlaybooksDir is the folder of the operator's Ansible playbooks.
const PlaybooksDir = "playbooks"

// Playbooks are those of Ansible that run around each host's part of an apply, as paths in
// the repository; "" for none.
type Playbooks struct {
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// None reports whether there are none.
func (p Playbooks) None() bool { return p == Playbooks{} }

// ValidPlaybook reports why p can't be a playbook, or nil: a YAML file below PlaybooksDir.
func ValidPlaybook(p string) error {
	if ValidPath(p) != nil || !strings.HasPrefix(p, PlaybooksDir+"/") || !slices.Contains([]string{".yml", ".yaml"}, path.Ext(p)) {
		return fmt.Errorf("%q is not a playbook: write it like %s/before.yml", p, PlaybooksDir)
	}
	return nil
}
