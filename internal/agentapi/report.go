package agentapi

import "salvor/internal/project"

// A Report is what a host has, and what is in use there: it decides which stacks fit. What
// could not be read is left out.
type Report struct {
	Kernel    string     `json:"kernel,omitempty"`    // its version, "6.12.48"
	CPUs      int        `json:"cpus,omitempty"`      // how many
	Memory    int64      `json:"memory,omitempty"`    // bytes
	Free      int64      `json:"free,omitempty"`      // bytes, of the file systems that have volumes, on the one with the most room
	Emulated  []string   `json:"emulated,omitempty"`  // processors that it runs programs of, as the kernel names them: "aarch64"
	Devices   []string   `json:"devices,omitempty"`   // those asked for that are there
	Listeners []Listener `json:"listeners,omitempty"` // ports of programs outside of containers
	Engine    *Engine    `json:"engine,omitempty"`    // nil where it does not answer

	First []FirstUpload `json:"first,omitempty"` // what has no snapshot yet on a target

	Images []ImageOffer `json:"images,omitempty"` // of stacks that come, as far as the host does not have them
}

// A FirstUpload is the first snapshot of a stack's data, or of a host's own, on a target.
type FirstUpload struct {
	Stack  string `json:"stack"`
	Target string `json:"target"`
	Bytes  int64  `json:"bytes"`           // of its files; a snapshot is compressed, and has what is there twice once
	More   bool   `json:"more,omitempty"`  // there is more: they were not counted to the end
	Speed  int64  `json:"speed,omitempty"` // bytes a second of this host's last large upload to the target's remote; 0 where there was none
}

// An ImageOffer is what a registry has of an image.
type ImageOffer struct {
	Image     string   `json:"image"` // as the Compose file names it
	Platforms []string `json:"platforms,omitempty"`
	Unknown   string   `json:"unknown,omitempty"` // why the registry did not say
}

// An Engine is a host's Docker engine. One that is not installed has no version.
type Engine struct {
	Version    string          `json:"version,omitempty"`
	Runtimes   []string        `json:"runtimes,omitempty"`
	Networks   []string        `json:"networks,omitempty"`
	Volumes    []string        `json:"volumes"` // by name; nil where an older salvord does not report them
	Containers []HostContainer `json:"containers,omitempty"`
}

// A Listener is a port that a program outside of containers has.
type Listener struct {
	project.HostPort
	Program string `json:"program,omitempty"` // "sshd", "" where it is not known
}

// A HostContainer is a container on a host, of any project or of none.
type HostContainer struct {
	Name    string             `json:"name"`
	Project string             `json:"project,omitempty"` // "" for a container that no Compose made
	Ports   []project.HostPort `json:"ports,omitempty"`
}
