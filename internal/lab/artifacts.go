package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// collected are the files of a host's artifacts and the programs that print them.
var collected = map[string][]string{
	"journal.log":        {"journalctl", "--no-pager", "-o", "short-precise"},
	"units.txt":          {"systemctl", "list-units", "--all", "--no-pager", "--plain"},
	"failed.txt":         {"systemctl", "--failed", "--no-pager", "--plain"},
	"mounts.txt":         {"findmnt", "--list"},
	"processes.txt":      {"ps", "axfww"},
	"docker-ps.txt":      {"docker", "ps", "-a", "--no-trunc"},
	"docker-inspect.txt": {"sh", "-c", "docker ps -aq | xargs -r docker inspect"},
	"docker-logs.txt":    {"sh", "-c", `docker ps -a --format "{{.Names}}" | while read -r c; do echo "== $c"; docker logs --tail 200 "$c" 2>&1; done`},
	"salvor.txt":         {"sh", "-c", "for d in /etc/salvor /var/lib/salvor /run/salvor; do test ! -d $d || find $d -maxdepth 4 -printf '%M %u:%g %s %t %p\\n'; done"},
}

// Artifacts writes what shows a host's history into dir: its journal, units,
// processes, containers and their logs, and Salvor's journal. A host that is down or
// has no Docker leaves fewer files; that is in the error, the others are written
// anyway.
func (h *Host) Artifacts(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var errs []error
	for name, argv := range collected {
		one, cancel := context.WithTimeout(ctx, 20*time.Second)
		out, err := h.Exec(one, argv...)
		cancel()
		errs = append(errs, err)
		if out != "" {
			errs = append(errs, os.WriteFile(filepath.Join(dir, name), []byte(out), 0o644))
		}
	}
	_, err := docker(ctx, "cp", "-q", h.container+":/var/lib/salvor/journal", filepath.Join(dir, "salvor-journal"))
	if err != nil && !strings.Contains(err.Error(), "Could not find the file") {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Artifacts writes each host's artifacts into dir/<host>, and what the lab's
// services said into dir/<service>.log.
func (l *Lab) Artifacts(ctx context.Context, dir string) error {
	var errs []error
	for name, h := range l.Hosts() {
		errs = append(errs, h.Artifacts(ctx, filepath.Join(dir, name)))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return errors.Join(append(errs, err)...)
	}
	out, err := docker(ctx, "ps", "-a", "--filter", "label="+labelRun+"="+l.ID, "--format", `{{.Names}} {{.Label "`+labelHost+`"}}`)
	errs = append(errs, err)
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) != 1 { // a host: its console says less than its journal
			continue
		}
		said, err := process{argv: []string{"sh", "-c", `docker logs "$1" 2>&1`, "sh", fields[0]}}.run(ctx)
		file := filepath.Join(dir, strings.TrimPrefix(fields[0], l.ID+"-")+".log")
		errs = append(errs, err, os.WriteFile(file, []byte(said), 0o644))
	}
	return errors.Join(errs...)
}

// ArtifactsFolder is where the run's artifacts belong: artifacts/<run>/ of the
// repository that the caller works in.
func ArtifactsFolder(ctx context.Context, run string) (string, error) {
	root, err := moduleRoot(ctx)
	return filepath.Join(root, "artifacts", run), err
}

// moduleRoot is the folder of the repository that the caller works in.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := process{argv: []string{"go", "list", "-m", "-f", "{{.Dir}}", "salvor"}}.run(ctx)
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return strings.TrimSpace(out), nil
}
