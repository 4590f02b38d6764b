package project

// Asks is what a service asks of its host that no deploy can make there.
type Asks struct {
	Platform    string    // of its image, "linux/arm64/v8"; "" for the host's own
	Runtime     string    // "nvidia", "" for the engine's own
	Devices     []string  // paths on the host
	CPUs        float32   // that it may use at most
	Memory      int64     // bytes that are reserved for it
	MemoryLimit int64     // bytes that it may use at most
	Features    []Feature // of its Compose file
}

// A Feature of a Compose file is one that not every engine or kernel has.
type Feature struct {
	Name  string // "healthcheck.start_interval"
	Of    Provider
	Since string // the first version that has it, "25.0"
}

// A Provider is what a feature depends on.
type Provider string

// The providers.
const (
	Engine Provider = "Docker Engine"
	Kernel Provider = "Linux"
)
