// Package stack runs one Compose project on a host: it writes the rendered project,
// applies it with `docker compose`, waits until it is healthy and restores the
// previous version if it is not. Containers are only ever changed by Compose; the
// engine's API is read for observation. Nothing here parses the operator's Compose
// files: package stack/compose renders them.
package stack

// GateTarget is where every container sees its stack's gate.
const GateTarget = "/.salvor-gate"

// SecretsTarget is where a service sees its secrets.
const SecretsTarget = "/run/secrets"

// ComposeFile is the rendered file's name in the project's directory.
const ComposeFile = "compose.yaml"

// BuildSecrets is the SecretMount.Service of secrets that only image builds read; no
// service has such a name.
const BuildSecrets = ".build"

// FilesLabel holds a digest of the files from Git that a service mounts, so that
// Compose recreates the service when only their content changes.
const FilesLabel = "dev.salvor.files"
