package hostpath

import (
	"net/url"
	"path/filepath"
)

// Secrets is the folder of what is delivered, in memory.
type Secrets string

// Secrets returns the folder of what is delivered.
func (l Layout) Secrets() Secrets { return Secrets(filepath.Join(l.Run, "secrets")) }

// Stack is the folder of what is delivered for a stack.
func (s Secrets) Stack(stack string) string { return filepath.Join(string(s), stack) }

// Service is the folder that is bound, read-only, at a service's /run/secrets.
func (s Secrets) Service(stack, service string) string {
	return filepath.Join(string(s), stack, service)
}

// Singles is the folder of a service's secrets with an absolute target.
func (s Secrets) Singles(stack, service string) string {
	return filepath.Join(string(s), stack, ".files", service)
}

// Single is the file that is bound at a service's absolute target outside /run/secrets.
// A container keeps the file that it was started with.
func (s Secrets) Single(stack, service, target string) string {
	// Escaped, so that no target can leave the folder or look like a variable or a
	// volume's colon in a Compose file.
	return filepath.Join(s.Singles(stack, service), url.QueryEscape(target))
}

// MountCredentials is the file with the credentials of a mount.
func (s Secrets) MountCredentials(mount string) string {
	return filepath.Join(string(s), ".mounts", mount)
}

// Env is the file with the values of a project's secret variables. The project's .env
// is a link to it.
func (s Secrets) Env(stack string) string { return filepath.Join(string(s), stack, ".env") }
