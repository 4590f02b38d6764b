package agentapi

import (
	"time"

	"salvor/internal/finding"
)

// VerbInventory asks what runs on a host, also what Salvor did not start.
const VerbInventory = "inventory"

// AskInventory asks a host what runs there. Nothing is written.
type AskInventory struct {
	Projects []string `json:"projects,omitempty"` // whose files are wanted, none for all
}

// Inventory is the answer to AskInventory: what the host's engine has, also what
// Salvor did not start. It has secrets in it: no Content is shown, logged or noted down.
type Inventory struct {
	Schema     int              `json:"schema"`
	Projects   []RunningProject `json:"projects"`             // by name, with those of Salvor's stacks
	Containers []LooseContainer `json:"containers,omitempty"` // of no project, by name
	Volumes    []LooseVolume    `json:"volumes,omitempty"`    // Docker's that no container has, by name
	Crontabs   []string         `json:"crontabs,omitempty"`   // files with jobs, not the distribution's own: "/etc/cron.d/backup"
	Managers   []Manager        `json:"managers,omitempty"`   // by name
	Swarm      bool             `json:"swarm,omitempty"`      // the engine is part of a Swarm

	Findings []finding.Finding `json:"findings,omitempty"` // by salvor, about the answer
}

// RunningProject is one Compose project, as the labels of its containers say.
type RunningProject struct {
	Name       string           `json:"name"`
	Own        bool             `json:"own,omitempty"`        // it is one of Salvor's stacks
	Dir        string           `json:"dir,omitempty"`        // its folder on the host, absolute; "" where no label says it
	Compose    []string         `json:"compose,omitempty"`    // its Compose files in their order, absolute
	EnvFiles   []string         `json:"env_files,omitempty"`  // given to Compose by --env-file, absolute
	Files      []FoundFile      `json:"files,omitempty"`      // what it is made of, by path
	Services   []RunningService `json:"services"`             // by name
	Mounts     []FoundMount     `json:"mounts,omitempty"`     // by where the data lies
	Networks   []string         `json:"networks,omitempty"`   // that others made, sorted
	Incomplete string           `json:"incomplete,omitempty"` // why it can't be made a stack: "/opt/x/compose.yaml is not there"
	Draft      bool             `json:"draft,omitempty"`      // since it is Incomplete, Files were made of its containers
	Unknown    []string         `json:"unknown,omitempty"`    // what those do not say: "web: its links"
}

// FoundFile is a file of a project on its host.
type FoundFile struct {
	Path    string   `json:"path"` // absolute
	Kind    FileKind `json:"kind"`
	Mode    uint32   `json:"mode"`
	Content []byte   `json:"content"`
	Left    string   `json:"left,omitempty"` // why Content is missing: "3.1 MiB", "not a plain file of the project's folder"
}

// FileKind is what a file is to its project.
type FileKind string

// The kinds of files.
const (
	FileCompose FileKind = "compose" // a Compose file, or one that it includes or extends
	FileEnv     FileKind = "env"     // variables, secrets among them
	FileSecret  FileKind = "secret"  // a secret of the Compose file
	FilePlain   FileKind = "file"    // mounted, or read by a build
)

// RunningService is one service of a project with its containers.
type RunningService struct {
	Name    string    `json:"name"`
	Image   string    `json:"image"`
	Digest  string    `json:"digest,omitempty"` // reference with the digest of the image that runs, "" for one that was built there
	Running int       `json:"running"`
	Hashes  []string  `json:"hashes"`         // Compose's hashes that its containers carry, sorted, each once
	Since   time.Time `json:"since,omitzero"` // the oldest was made
}

// FoundMount is data that containers of a project have mounted.
type FoundMount struct {
	Volume    string   `json:"volume,omitempty"` // Docker's name, "" for a bind
	Anonymous bool     `json:"anonymous,omitempty"`
	Source    string   `json:"source"` // where the data lies on the host
	Services  []string `json:"services"`
	Targets   []string `json:"targets"` // in their containers
	ReadOnly  bool     `json:"read_only,omitempty"`
	SharedBy  []string `json:"shared_by,omitempty"` // other projects that have it mounted
	Absent    bool     `json:"absent,omitempty"`    // a folder that, as one kept outside of the host, would not be there: its stack would wait
	Unmounted bool     `json:"unmounted,omitempty"` // a folder that fstab or systemd has on a mount which is not made
	Found
}

// Found is what lies at a place.
type Found struct {
	Mounted bool   `json:"mounted,omitempty"` // it is on a file system of its own, not the one of the host\'s root
	Folder  bool   `json:"folder,omitempty"`
	Bytes   int64  `json:"bytes"`           // at least, where More
	Files   int    `json:"files"`           // at least, where More
	More    bool   `json:"more,omitempty"`  // the count ended early
	Owner   string `json:"owner,omitempty"` // "999:999"; "" where nothing is there
}

// LooseContainer is a container of no project.
type LooseContainer struct {
	Name    string   `json:"name"`
	Image   string   `json:"image"`
	Running bool     `json:"running"`
	Mounts  []string `json:"mounts,omitempty"` // where its data lies
}

// LooseVolume is a volume of Docker's that no container has.
type LooseVolume struct {
	Name string `json:"name"`
	Found
}

// Manager is another program that manages Compose projects on the host, with its folder.
type Manager struct {
	Name   string         `json:"name"`   // "komodo", "dockge", "portainer"
	Folder string         `json:"folder"` // on the host
	Stacks []ManagedStack `json:"stacks,omitempty"`
}

// ManagedStack is a stack that a manager's files declare, whether it runs or not.
type ManagedStack struct {
	Name    string `json:"name"`
	Project string `json:"project"` // its Compose project
}
