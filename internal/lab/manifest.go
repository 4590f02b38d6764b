package lab

import (
	"context"
	"encoding/json"
	"fmt"

	"salvor/internal/lab/oracle"
)

// toolPath is where a host keeps the manifest program while it is asked: on
// disk, as /run and /tmp allow no programs.
const toolPath = "/root/.lab-writer"

// Manifest describes a tree on the host, for oracle.Differences. It leaves
// nothing on the host.
func (h *Host) Manifest(ctx context.Context, dir string) ([]oracle.Entry, error) {
	image, err := h.lab.Image(ctx, Writer)
	if err != nil {
		return nil, err
	}
	script := `id=$(docker create "$1") && docker cp -q "$id:/writer" - | docker cp -q - "$2:/root/"; code=$?; docker rm "$id" >/dev/null; exit $code`
	if _, err := (process{argv: []string{"sh", "-c", script, "sh", image, h.container}}).run(ctx); err != nil {
		return nil, err
	}
	if _, err := h.Exec(ctx, "mv", "/root/writer", toolPath); err != nil {
		return nil, err
	}
	out, err := h.Exec(ctx, toolPath, "manifest", dir)
	if err != nil {
		return nil, fmt.Errorf("manifest of %s on %s: %w", dir, h.Name, err)
	}
	var entries []oracle.Entry
	if err := json.Unmarshal([]byte(out), &entries); err != nil {
		return nil, fmt.Errorf("manifest of %s on %s: %w", dir, h.Name, err)
	}
	_, err = h.Exec(ctx, "rm", toolPath)
	return entries, err
}
