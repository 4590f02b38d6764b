package controlrepo

import (
	"io/fs"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/yamldoc"
)

// readDeployKeys returns the keys, "TYPE KEY", by the hosts' names.
func readDeployKeys(fsys fs.FS, problems *yamldoc.Report) map[string]string {
	content, err := fs.ReadFile(fsys, fleet.DeployKeysFile)
	if err != nil {
		problems.AddRead(fleet.DeployKeysFile, err)
		return nil
	}
	keys := map[string]string{}
	for i, line := range lines(content) {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if _, err := parseHostKey("host " + line); err != nil || len(fields) != 3 {
			problems.Add(yamldoc.Position{File: fleet.DeployKeysFile, Line: i + 1, Column: 1}, "not a host's deploy key: TYPE KEY HOST")
			continue
		}
		keys[fields[2]] = fields[0] + " " + fields[1]
	}
	return keys
}

// SetDeployKey returns hosts/deploy_keys with a host's key, which replaces the one that
// it had; "" takes it out.
func SetDeployKey(content []byte, host, key string) []byte {
	var kept strings.Builder
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) != 3 || fields[2] != host {
			kept.WriteString(strings.TrimSuffix(line, "\n") + "\n")
		}
	}
	if fields := strings.Fields(key); len(fields) >= 2 {
		kept.WriteString(fields[0] + " " + fields[1] + " " + host + "\n")
	}
	return []byte(kept.String())
}
