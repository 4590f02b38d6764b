package compose

import (
	"strings"
	"testing"
)

// TestAnotherHostChangesNothingToBuild: the Compose file is part of what a build or a mount
// of the stack's folder reads, and x-salvor in it is not: another host, or another class of a
// mount, is not another image.
func TestAnotherHostChangesNothingToBuild(t *testing.T) {
	for name, services := range map[string]string{
		"a build context":      "services: {app: {build: .}}\n",
		"a context around it":  "services: {app: {build: {context: .., dockerfile: app/Dockerfile}}}\n",
		"additional contexts":  "services: {app: {build: {context: ./sub, additional_contexts: {all: .}}}}\n",
		"a mount of the files": "services: {app: {image: nginx, volumes: ['.:/app:ro']}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			hash := func(salvor string) string {
				t.Helper()
				opts := stackOf(t, map[string]string{"compose.yaml": salvor + services, "Dockerfile": "FROM scratch\nCOPY . /\n", "sub/Dockerfile": "FROM scratch\n"})
				_, _, loaded := running(t, opts)
				for _, f := range loaded.Project.Files {
					if strings.HasSuffix(f.Path, "/compose.yaml") && string(f.Data) != services {
						t.Errorf("%s: %q", f.Path, f.Data)
					}
				}
				return loaded.Project.Hash
			}
			at := hash("x-salvor:\n  host: alpha\n\n")
			if at != hash("x-salvor:\n  host: beta\n  dir: /opt/app\n\n") || at != hash("") {
				t.Error("another host, or none, is another project")
			}
		})
	}
}
