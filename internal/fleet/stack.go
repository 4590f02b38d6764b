package fleet

import (
	"cmp"
	"regexp"
	"time"
)

// A Stack is one Compose project and what Salvor needs to know about it, from
// x-salvor. Host is the requested one; the placement itself is in the Lock.
type Stack struct {
	Name       string // on hosts and remotes, always: its first name
	Called     string // what it is called since it was renamed, "" while that is Name
	Dir        string // folder in the repository, "stacks/<name>" or "stacks/<called>"
	File       string // Compose file within Dir
	Host       string
	RPO        time.Duration // goal, 0 for none
	ProjectDir string        // x-salvor.dir: an adopted stack's folder on its host, from which relative paths count; "" for Salvor's own
	Project    string        // x-salvor.project: the Compose project's name, "" where it is Name
	Draft      bool          // x-salvor.draft: the Compose file was made of the containers that run, which are recreated to take it over
	Needs      []string      // stacks that must run before this one
	Volumes    []VolumePolicy
	Formerly   string
	PauseLimit time.Duration // how long a snapshot may pause the stack, 5 s by default
	PauseEvery time.Duration // least time between pausing snapshots, 1 h by default
	Hooks      Hooks
	Shared     SharedMount // of its shared volumes; zero for the defaults
	OnChange   []ServiceChange
	OnRotate   []ServiceCommand
	Routes     []ServiceRoute // of x-salvor; labels declare others

	// Publishes says that the stack has routes, of labels or of x-salvor: known once it is rendered.
	Publishes bool
	// Broken says that the stack's files do not say what to deploy: it is left as it
	// runs, where it is, and of the other fields only Name and Dir are sure.
	Broken bool
}

// ProjectName is the name of the stack's Compose project.
func (s Stack) ProjectName() string { return cmp.Or(s.Project, s.Name) }

var projectName = regexp.MustCompile(ProjectPattern)

// ProjectPattern is of the names that Compose takes for a project.
const ProjectPattern = `^[a-z0-9][a-z0-9_-]*$`

// IsProjectName reports whether Compose takes a name for a project.
func IsProjectName(name string) bool { return projectName.MatchString(name) }

// A ServiceCommand is what x-salvor.on_rotate says about one service: it runs in its
// container when a secret of it changed, before the service is notified.
type ServiceCommand struct {
	Service  string
	Argv     []string
	Position string
}

// A ServiceChange is what x-salvor.on_change says about one service.
type ServiceChange struct {
	Service  string
	Policy   OnChange
	Position string // "stacks/notes/compose.yaml:12:5", for messages
}

// Protection says how a volume's data survives its host.
type Protection string

// The protections. See design: every mount is one of these, or a finding.
const (
	Snapshot Protection = "snapshot" // into the stack's snapshot repository
	Shared   Protection = "shared"   // lives on the mounted remote
	External Protection = "external" // lives elsewhere (NFS, a disk) and must be there before start
	HostPath Protection = "host"     // sockets, devices, /proc …: belongs to the host
	Config   Protection = "config"   // comes from Git
	None     Protection = "none"     // may be lost
)

// Method says how a snapshot gets a consistent copy of a volume.
type Method string

// The methods built so far.
const (
	Pause    Method = "pause"    // two passes, the second with the stack paused
	Stop     Method = "stop"     // as pause, with the services that have the volume stopped
	Postgres Method = "postgres" // native dump
	MariaDB  Method = "mariadb"  // native dump, of MySQL too
	SQLite   Method = "sqlite"   // files, of which databases are copied by SQLite, while nothing else changes
	Live     Method = "live"     // copied while it runs: only for data that is never rewritten in place
)

// Native reports whether the method asks the volume's server for its data. The server
// is the service that has the volume.
func (m Method) Native() bool { return m == Postgres || m == MariaDB }

// A VolumePolicy is what x-salvor says about one volume: a named volume by its
// name in the Compose file, or a bind mount by its source path.
type VolumePolicy struct {
	Volume     string
	Protect    Protection
	Consistent Method   // "" means detected
	Exclude    []string // patterns of what snapshots leave out, see CheckPattern
	Caches     Caches
	Formerly   string
	From       string  // of a shared volume: STACK/VOLUME, whose folder it is; "" for the stack's own
	Writers    Writers // of a shared volume's folder
	Position   string  // "stacks/notes/compose.yaml:12:5", for messages
}
