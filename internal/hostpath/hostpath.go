// Package hostpath has the paths of all of Salvor's files on a host: one table for
// all code that writes, binds, reads or removes them.
package hostpath

import (
	"path/filepath"
)

// A Layout is the folders that everything else is in. Tests have others.
type Layout struct {
	Config  string // identity, keys, what the host should be; only root reads it
	State   string // notes, projects, data of relative binds
	Run     string // in memory: secrets, gates, locks; gone after a boot
	Shared  string // mounts of shared volumes
	Volumes string // Docker's volumes
	Units   string // systemd's units, those that an administrator adds
}

// Default is a real host's.
func Default() Layout {
	return Layout{Config: "/etc/salvor", State: "/var/lib/salvor", Run: "/run/salvor", Shared: "/mnt/salvor", Volumes: "/var/lib/docker/volumes", Units: "/etc/systemd/system"}
}

// Salvord is the host's program.
const Salvord = "/usr/local/bin/salvord"

// Identity is the host's own age identity.
func (l Layout) Identity() string { return filepath.Join(l.Config, "host.age") }

// SigningKey is the key that the host signs facts with.
func (l Layout) SigningKey() string { return filepath.Join(l.Config, "host.sign") }

// GitKey is the SSH key that the host reads the control repository with.
func (l Layout) GitKey() string { return filepath.Join(l.Config, "git_ed25519") }

// Signers has the fleet's signing keys that the host trusts, in the format of
// ssh-keygen's allowed_signers.
func (l Layout) Signers() string { return filepath.Join(l.Config, "fleet_signers") }

// Spec is the host's part of the fleet, as it was applied last.
func (l Layout) Spec() string { return filepath.Join(l.Config, "fleet.json") }

// SpecCopy is a second copy of Spec.
func (l Layout) SpecCopy() string { return filepath.Join(l.State, "fleet.json") }

// GitCopy is the host's copy of the control repository.
func (l Layout) GitCopy() string { return filepath.Join(l.State, "git") }

// GitNote is what the host remembers of its last look at Git.
func (l Layout) GitNote() string { return filepath.Join(l.State, "git.json") }

// Journal is the folder of the host's journal.
func (l Layout) Journal() string { return filepath.Join(l.State, "journal") }

// Brought is the note of the packages that Salvor installed for its own work.
func (l Layout) Brought() string { return filepath.Join(l.State, "brought.json") }

// Placement is what the host remembers of a stack that it ran or runs.
func (l Layout) Placement(stack string) string {
	return filepath.Join(l.State, "placements", stack+".json")
}

// Attempt is the note of an upgrade that is under way or failed.
func (l Layout) Attempt(stack string) string {
	return filepath.Join(l.State, "attempts", stack+".json")
}

// Wish is the note of a restore that was asked for.
func (l Layout) Wish(stack string) string { return filepath.Join(l.State, "wishes", stack+".json") }

// Unfinished is the note of a run that may stop a stack, until it has ended.
func (l Layout) Unfinished(stack string) string { return filepath.Join(l.State, "runs", stack+".json") }

// ByHand is the note of a stack's services that were stopped by hand.
func (l Layout) ByHand(stack string) string { return filepath.Join(l.State, "byhand", stack+".json") }

// Isolated is the folder of a container that works next to a stack, by its name.
func (l Layout) Isolated(name string) string { return filepath.Join(l.State, "beside", name) }

// Waiting is the note that a stack must not start yet.
func (l Layout) Waiting(stack string) string { return filepath.Join(l.Run, "waiting", stack) }

// Projects is the folder of the rendered projects.
func (l Layout) Projects() string { return filepath.Join(l.State, "stacks") }

// Project is a stack's rendered project, with the files from Git.
func (l Layout) Project(stack string) string { return filepath.Join(l.Projects(), stack) }

// VolumesFolder has the data of relative binds and the markers of all volumes.
func (l Layout) VolumesFolder() string { return filepath.Join(l.State, "volumes") }

// Volume is the data of a relative bind.
func (l Layout) Volume(stack, volume string) string {
	return filepath.Join(l.VolumesFolder(), stack, volume)
}

// Marker is the note that says whether a volume may be used; name is safe as a file's.
func (l Layout) Marker(stack, name string) string {
	return filepath.Join(l.VolumesFolder(), stack, name+".json")
}

// SharedVolume is a shared volume's folder on the stack's mount.
func (l Layout) SharedVolume(stack, volume string) string {
	return filepath.Join(l.Shared, stack, volume)
}

// Cache is what a stack's shared volumes have on the host's disk, uploaded or not. Its folder
// copies has what waited for its upload when the mounter was killed.
func (l Layout) Cache(stack string) string { return filepath.Join(l.State, "cache", stack) }

// Quarantine has what was written to a stack's shared volumes and must not be uploaded.
func (l Layout) Quarantine(stack string) string { return filepath.Join(l.State, "quarantine", stack) }

// Owner is the stamp of when a stack was last confirmed to be this host's.
func (l Layout) Owner(stack string) string { return filepath.Join(l.Run, "owner", stack) }

// Mounted is the note of what a stack's mounter serves.
func (l Layout) Mounted(stack string) string { return filepath.Join(l.Run, "mount", stack+".json") }

// MountFailure is why a stack's mounter ended.
func (l Layout) MountFailure(stack string) string {
	return filepath.Join(l.Run, "mount", stack+".failure")
}

// Gates is the folder of all gates.
func (l Layout) Gates() string { return filepath.Join(l.Run, "gate") }

// Gate is a folder that exists while its stack may run.
func (l Layout) Gate(stack string) string { return filepath.Join(l.Gates(), stack) }

// Logins is the folder of Docker's configurations with logins.
func (l Layout) Logins() string { return filepath.Join(l.Run, "docker") }

// Login is the folder of Docker's configuration with a stack's logins.
func (l Layout) Login(stack string) string { return filepath.Join(l.Logins(), stack) }

// Hold is where tests stop a host's work at a named step.
func (l Layout) Hold() string { return filepath.Join(l.Run, "hold") }

// Paused is the note of a stack that is paused for a snapshot.
func (l Layout) Paused(stack string) string { return filepath.Join(l.Run, "paused", stack+".json") }

// SnapshotState is what the host remembers of a stack's repository.
func (l Layout) SnapshotState(stack, repository string) string {
	return filepath.Join(l.State, "snapshots", stack, repository+".json")
}

// Objects are the copies of a repository's small objects.
func (l Layout) Objects(repository string) string {
	return filepath.Join(l.State, Cache, repository+".objects")
}

// Loads is the note of when a stack's dumps were last loaded for a try.
func (l Layout) Loads(stack string) string {
	return filepath.Join(l.State, "snapshots", stack, "loads.json")
}

// Fetched is the note of a restore that is being fetched.
func (l Layout) Fetched(stack string) string {
	return filepath.Join(l.State, "staging", stack, "fetch.json")
}

// StagingNextToVolumes is where a restore of Docker's volumes is fetched to, so that a
// rename puts it into place.
func (l Layout) StagingNextToVolumes(stack string) string {
	return filepath.Join(filepath.Dir(l.Volumes), "salvor-staging", stack)
}

// Below State, made when they are needed.
const (
	Staging = "staging" // restores while they are fetched
	Spool   = "spool"   // snapshots while they are uploaded
	Cache   = "cache"   // of repositories
	Hooks   = "hooks"   // what runs after snapshots that were killed
	Proof   = "proof"   // databases while a dump is loaded for a try

	BroughtBack = "brought-back" // restored of the host's own data

	Tunnel = "tunnel.age" // the file with what the host keeps of its tunnel, encrypted to its identity
)
