// Package stack runs one Compose project on a host: it writes the rendered
// project, has `docker compose` make it so, waits until it is healthy and puts
// the previous version back when it is not. Containers are only ever changed by
// Compose; the engine's API is read for observation. Nothing here parses the
// operator's Compose files: package stack/compose renders them.
package stack

import (
	"net/url"
	"path"
)

// Where a host keeps what belongs to a stack. Everything under /run is tmpfs.
const (
	ProjectsDir = "/var/lib/salvor/stacks"
	VolumesDir  = "/var/lib/salvor/volumes"
	SharedDir   = "/mnt/salvor"
	SecretsDir  = "/run/salvor/secrets"
	GateDir     = "/run/salvor/gate"
	loginDir    = "/run/salvor/docker"
)

// GateTarget is where every container sees its stack's gate.
const GateTarget = "/.salvor-gate"

// SecretsTarget is where a service sees its secrets.
const SecretsTarget = "/run/secrets"

// ComposeFile is the rendered file's name in the project's directory.
const ComposeFile = "compose.yaml"

// BuildSecrets stands in SecretMount.Service for secrets that only image builds
// read; no service has such a name.
const BuildSecrets = ".build"

// FilesLabel holds a digest of the files from Git that a service mounts, so that
// Compose recreates the service when only their content changes.
const FilesLabel = "dev.salvor.files"

// ProjectDir is where a stack's rendered project lies.
func ProjectDir(stack string) string { return path.Join(ProjectsDir, stack) }

// GatePath is the stack's gate: a folder that exists while the stack may run.
func GatePath(stack string) string { return path.Join(GateDir, stack) }

// SecretsPath is the folder with a service's secrets.
func SecretsPath(stack, service string) string { return path.Join(SecretsDir, stack, service) }

// SecretFile is the file that is bound at a service's absolute target outside
// /run/secrets. It is where package delivery puts it (delivery.SingleFile).
func SecretFile(stack, service, target string) string {
	return path.Join(SecretsDir, stack, ".files", service, url.QueryEscape(target))
}

// EnvPath is the generated file with the values of Project.Env. The project's
// `.env` is a link to it, so that `docker compose` finds it by itself.
func EnvPath(stack string) string { return path.Join(SecretsDir, stack, ".env") }

// VolumePath is where the data of a relative bind lives on a host.
func VolumePath(stack, volume string) string { return path.Join(VolumesDir, stack, volume) }

// SharedPath is a shared volume's folder on the stack's mount.
func SharedPath(stack, volume string) string { return path.Join(SharedDir, stack, volume) }
