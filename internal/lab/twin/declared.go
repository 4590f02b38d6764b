package twin

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/lockfile"
)

// declarationFile stands for fleet.yaml and the stacks' folders in the control
// repository of a world.
const declarationFile = "fleet.json"

// A declaration is what a commit of a world asks for.
type declaration struct {
	Stacks map[string]declaredStack `json:"stacks"`
}

type declaredStack struct {
	Host    string `json:"host"`
	Version int    `json:"version"`
}

// files are the repository's with the declaration alone.
func (d declaration) files() (map[string][]byte, error) {
	content, err := json.MarshalIndent(d, "", "  ")
	return map[string][]byte{declarationFile: content}, err
}

func parseDeclaration(files map[string][]byte) (d declaration, err error) {
	return d, json.Unmarshal(files[declarationFile], &d)
}

// lockOf is salvor.lock of a commit.
func lockOf(files map[string][]byte) (fleet.Lock, error) {
	return lockfile.Decode(files[lockfile.Name])
}

// lockFile is the file that says a lock.
func lockFile(lock fleet.Lock) (map[string][]byte, error) {
	content, err := lockfile.Encode(lock)
	return map[string][]byte{lockfile.Name: content}, err
}

// fleet is what the loader makes of a declaration.
func (w *world) fleet(d declaration) *fleet.Fleet {
	f := &fleet.Fleet{
		Name: fleetName, Remotes: []fleet.Remote{{Name: remoteName, Type: "memory"}}, Record: fleet.Location{Remote: remoteName, Path: recordPath},
		Snapshots: []fleet.Target{{Name: "offsite", Where: fleet.Location{Remote: remoteName, Path: dataPath}, Every: time.Hour, Keep: fleet.Keep{Last: 3}}},
	}
	for _, h := range w.hosts {
		f.Hosts = append(f.Hosts, fleet.Host{Name: h.name, Address: h.name + ".example.net"})
	}
	for _, name := range slices.Sorted(maps.Keys(d.Stacks)) {
		f.Stacks = append(f.Stacks, fleet.Stack{Name: name, Dir: "stacks/" + name, File: "compose.yaml", Host: d.Stacks[name].Host, PauseLimit: time.Minute, PauseEvery: time.Minute})
	}
	return f
}
