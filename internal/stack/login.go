package stack

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path"

	"salvor/internal/hostpath"
	"salvor/internal/secret"
)

// A Login opens a registry.
type Login struct{ Username, Password secret.Value }

// login writes Docker's configuration with a stack's registry logins into
// tmpfs and returns the function that removes it. `docker login` would keep
// them in root's home, on disk. Compose plugins are found system-wide.
func (h *Host) login(ctx context.Context, stack string, logins map[string]Login) (func(context.Context) error, error) {
	if len(logins) == 0 {
		return func(context.Context) error { return nil }, nil
	}
	type auth struct {
		Auth string `json:"auth"`
	}
	var config struct {
		Auths map[string]auth `json:"auths"`
	}
	config.Auths = map[string]auth{}
	for registry, l := range logins {
		pair := append(append(bytes.Clone(l.Username.Reveal()), ':'), l.Password.Reveal()...)
		config.Auths[registry] = auth{Auth: base64.StdEncoding.EncodeToString(pair)}
	}
	content, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("registry logins of %s do not encode", stack)
	}
	dir := hostpath.Default().Login(stack)
	if err := h.run(ctx, "mkdir", "-p", "-m", "0700", "--", hostpath.Default().Logins(), dir); err != nil {
		return nil, err
	}
	if err := h.machine.WriteFile(ctx, path.Join(dir, "config.json"), bytes.NewReader(content), 0o600); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return h.run(ctx, "rm", "-rf", "--", dir) }, nil
}
