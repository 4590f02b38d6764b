package agentapi

import "salvor/internal/project"

// The verbs with which a host is given back to its user.
const (
	VerbHandBackPlan = "hand-back-plan"
	VerbHandBack     = "hand-back"
	VerbLeave        = "leave"
)

// HandBack asks a host to give stacks back to its user: each runs on without Salvor, from
// plain files, and the host forgets it. It may be called again. HandBackPlan takes the same
// request, and changes nothing.
type HandBack struct {
	Stacks  []HandBackStack `json:"stacks"`
	Owner   string          `json:"owner"`
	Message string          `json:"message"`
}

// HandBackStack is a stack that is given back.
type HandBackStack struct {
	Name  string            `json:"name"`
	Epoch int               `json:"epoch"`
	Hash  string            `json:"hash"`            // of the project in Git
	Adopt *project.Adoption `json:"adopt,omitempty"` // of a stack with x-salvor.dir
}

// HandedBack is the answer to HandBack, and to HandBackPlan.
type HandedBack struct {
	Stacks []PlainStack `json:"stacks"`
}

// PlainStack is what a stack is, or will be, without Salvor.
type PlainStack struct {
	Name      string   `json:"name"`
	Gone      bool     `json:"gone,omitempty"`      // the host has forgotten it already, or never had it
	Stopped   bool     `json:"stopped,omitempty"`   // `salvor down` stopped it, and it stays so
	Folder    string   `json:"folder,omitempty"`    // that `docker compose` runs it from
	Up        string   `json:"up,omitempty"`        // the command that finds it up to date there, "" where its Compose files are not on the host by the names that Compose knew
	Recreates []string `json:"recreates,omitempty"` // services whose containers are made again, none for a stack that runs on untouched
	Secrets   []string `json:"secrets,omitempty"`   // files on the host's disk with secrets in plain text
	Replaces  []string `json:"replaces,omitempty"`  // files of the user that are written again
	Data      []string `json:"data,omitempty"`      // folders with its data that Salvor chose; they stay
}

// Leave asks a host that has no stack to remove all that is Salvor's: what its user has
// stays. It may be called again, as long as there is a salvord to answer.
type Leave struct {
	Owner   string `json:"owner"`
	Message string `json:"message"`
}

// Left is the answer to Leave.
type Left struct {
	Removed []string `json:"removed"` // what was removed, for people
}
