// Package project is a rendered Compose project: what Salvor makes of a stack's
// Compose file, and what a host runs.
package project

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/route"
)

// Consent is what the operator said about volumes whose data does not fit the
// lock: nothing, restore what the repository has, start fresh, use what is on the
// host, take over what runs there as it is, or let new volumes start empty although others are gone.
type Consent string

// The consents.
const (
	ConsentRestore Consent = "restore"
	ConsentFresh   Consent = "fresh"
	ConsentTake    Consent = "take"
	ConsentEmpty   Consent = "empty"
	ConsentAdopt   Consent = "adopt"
)

// Project is a rendered Compose project: it runs by hand from its directory.
type Project struct {
	Name     string        `json:"name,omitempty"` // Compose's, "" where it is the stack's
	Dir      string        `json:"dir"`            // on the host, "/var/lib/salvor/stacks/<stack>"
	Compose  []byte        `json:"compose"`        // compose.yaml, resolved, `${…}` kept where a secret is
	Files    []File        `json:"files,omitempty"`
	Services []Service     `json:"services"`
	Env      []string      `json:"env,omitempty"` // variables that the sealed file must supply, or the host: TailnetIP
	Secrets  []SecretMount `json:"secrets,omitempty"`
	Networks []string      `json:"networks,omitempty"` // external networks that must exist
	Volumes  []string      `json:"volumes,omitempty"`  // Docker's external volumes whose data is the stack's: a host that lacks one makes it
	Hash     string        `json:"hash"`               // of everything above, "sha256:…"
	Routes   []route.Route `json:"routes,omitempty"`   // its public hostnames: they can change while nothing of the project does
}

// TailnetIP is a variable of Compose files whose value is the host's address in the tailnet:
// one of Env that the host supplies, and no sealed file.
const TailnetIP = "SALVOR_TAILNET_IP"

// UsesTailnet reports whether the project needs its host's address in the tailnet.
func (p Project) UsesTailnet() bool { return slices.Contains(p.Env, TailnetIP) }

// SecretEnv returns the variables that are secrets.
func (p Project) SecretEnv() []string {
	return slices.DeleteFunc(slices.Clone(p.Env), func(name string) bool { return name == TailnetIP })
}

// Called returns the name of a stack's Compose project.
func (p Project) Called(stack string) string { return cmp.Or(p.Name, stack) }

// An Adoption is a stack as its user runs it: all that Compose reads of Git. In its values
// `$$` is a dollar, and `${NAME}` the value of one of the stack's secret variables.
type Adoption struct {
	Dir     string            `json:"dir"`           // the user's folder, from x-salvor.dir; of a draft, Salvor's own
	Compose []string          `json:"compose"`       // the Compose files, relative to Dir, in Compose's order
	Files   []File            `json:"files"`         // they and what they read; paths are relative to Dir and may begin with ".."
	Vars    map[string]string `json:"vars"`          // what `${…}` may name
	Env     map[string]string `json:"env,omitempty"` // a `.env` that Git does not have
}

// File is a file of the project that comes from Git.
type File struct {
	Path string `json:"path"` // relative to the project's directory, slashes, no ".."
	Mode uint32 `json:"mode"` // 0644 or 0755, as Git keeps it
	Data []byte `json:"data"`
}

// Service is one service of a project.
type Service struct {
	Name  string `json:"name"`
	Image string `json:"image,omitempty"` // as written, without the pinned digest
	Build bool   `json:"build,omitempty"`
	Ports []Port `json:"ports,omitempty"`

	Mounts []string `json:"mounts,omitempty"` // targets where something declared is mounted, sorted
	Idle   bool     `json:"idle,omitempty"`   // its profile is not active: rendered, not started

	OnChange fleet.OnChange `json:"on_change,omitempty"` // how it is notified that one of its secrets changed
	OnRotate []string       `json:"on_rotate,omitempty"` // run in it before that
}

// Port is a published port.
type Port struct {
	Address   string `json:"address,omitempty"` // of the host, "" for every one
	Published string `json:"published"`
	Target    uint32 `json:"target"`
	Protocol  string `json:"protocol"`
}

// SecretMount is one secret that one service lists, delivered as a file.
type SecretMount struct {
	Service string `json:"service"` // or ".build" for secrets that only image builds read
	Secret  string `json:"secret"`  // key in the sealed file: a key of secrets/<stack>.env, or "secrets/…", the file's path in Git
	Target  string `json:"target"`  // file name under /run/secrets, or an absolute path
	UID     int    `json:"uid"`
	GID     int    `json:"gid"`
	Mode    uint32 `json:"mode"`
}

// secretsDir begins the Secret of a mount that is a file of the repository.
const secretsDir = "secrets/"

// File returns the name below secrets/ of the file that is mounted; ok is false for a
// variable of the stack.
func (m SecretMount) File() (name string, ok bool) { return strings.CutPrefix(m.Secret, secretsDir) }

// Volume is one classified mount of a stack.
type Volume struct {
	Name     string           `json:"name"`             // identity, safe as a file name: the Compose volume's name, or "@" and the bind's source ("@data", "@config@db", "@@srv@media")
	Source   string           `json:"source,omitempty"` // as written in the Compose file, for people: "db", "./data", "/srv/media"
	Docker   string           `json:"docker,omitempty"` // Docker's volume name, "" for a bind
	Path     string           `json:"path,omitempty"`   // host path of a bind, "" for a Docker volume
	Protect  fleet.Protection `json:"protect"`
	Method   fleet.Method     `json:"method,omitempty"`
	Services []string         `json:"services"`           // that mount it, sorted
	Service  string           `json:"service,omitempty"`  // the database's service, for native methods
	MountAt  string           `json:"mount_at,omitempty"` // where Service has it
	Exclude  []string         `json:"exclude,omitempty"`  // patterns of what snapshots leave out, see fleet.Omission
	Caches   fleet.Caches     `json:"caches,omitempty"`
	Born     time.Time        `json:"born,omitzero"`      // from the lock
	Formerly string           `json:"formerly,omitempty"` // Name of the volume that it was before it was renamed
	From     string           `json:"from,omitempty"`     // of a shared volume: the other stack's STACK/VOLUME that it shows
	Writers  fleet.Writers    `json:"writers,omitempty"`  // of a shared volume
}

// Omit is what snapshots leave out of the volume: of a database's nothing.
func (v Volume) Omit() fleet.Omission {
	if v.Method.Native() {
		return fleet.Omission{}
	}
	return fleet.Omission{Patterns: v.Exclude, Caches: v.Caches != fleet.KeepCaches}
}

// ReadOnly reports whether a shared volume is another stack's, which alone writes to it.
func (v Volume) ReadOnly() bool { return v.From != "" && v.Writers != fleet.ManyWriters }

// Rendered is a stack as hosts need it, before it is placed.
type Rendered struct {
	Asked      []Asked // mounts of which nothing says what they are
	Project    Project
	Volumes    []Volume        // sorted by name
	Networks   []Network       // that its services are in, sorted by name
	Awaited    []string        // Docker's volumes that its services need and nothing of it makes, sorted
	Containers []Container     // of services that start under a container_name, sorted by name
	Published  []Published     // ports of services that start
	Hooks      fleet.Hooks     // of x-salvor and of labels
	Stops      []string        // services that are stopped for a snapshot, sorted
	Asks       map[string]Asks // by service that starts
	Adoption   *Adoption       // of a stack with x-salvor.dir, or a draft
	Unused     []route.Note    // labels for routes that have no effect, each with the reason
}

// Container is one whose name the Compose file says.
type Container struct {
	Name     string
	Service  string
	Position string // where the Compose file has it, for messages
}

// Published is a port with the service that publishes it.
type Published struct {
	Port
	Service  string
	Position string // where the Compose file has it, for messages
}

// Asked is a mount of which nothing says what it is, with what it probably is: a folder of the
// host, or a volume that x-salvor.volumes has to name.
type Asked struct {
	Folder   string           // "" for a volume
	Volume   string           // as x-salvor.volumes names it: the Compose file's name, or where an anonymous one is mounted
	Docker   string           // Docker's name of the volume, "" for an anonymous one
	Proposed fleet.Protection // "" where that can't be said
}

// Network is a Docker network of a stack.
type Network struct {
	Name     string // Docker's
	External bool   // it is there before the stack, which does not make it
	Position string // where the Compose file has it, for messages
}

// AsWritten is a volume's Name as a Compose file has it: a bind by its source.
func AsWritten(volume string) string {
	rest, bind := strings.CutPrefix(volume, "@")
	switch rest = strings.ReplaceAll(rest, "@", "/"); {
	case !bind:
		return volume
	case strings.HasPrefix(rest, "/"):
		return rest
	}
	return "./" + rest
}
