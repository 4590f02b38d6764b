package adopt

import (
	"path"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/envimport"
	"salvor/internal/scan"
)

// A Score says what of a project is on its host alone: what is lost today if the host
// dies.
type Score struct {
	Bytes     int64    // of data, at least where More
	More      bool     // not all was counted
	Places    []string // where the data lies, by size, the largest first
	Databases []string // services whose data is a database
	Secrets   int      // files with secrets: also Compose files, and others, that write one out
}

// ScoreOf counts the data of a project that nothing copies.
func ScoreOf(scanner *scan.Scanner, p agentapi.RunningProject) Score {
	var s Score
	mounts := slices.Clone(p.Mounts)
	slices.SortStableFunc(mounts, func(a, b agentapi.FoundMount) int { return int(b.Bytes/1024 - a.Bytes/1024) })
	for _, m := range mounts {
		if m.ReadOnly || systems(m.Source) {
			continue
		}
		if m.Folder || m.Bytes > 0 {
			s.Bytes += m.Bytes
			s.More = s.More || m.More
			s.Places = append(s.Places, m.Source)
		}
	}
	for _, svc := range p.Services {
		if database(svc.Image) {
			s.Databases = append(s.Databases, svc.Name)
		}
	}
	for _, f := range p.Files {
		if f.Kind == agentapi.FileSecret || f.Kind == agentapi.FileEnv && envimport.HasSecret(scanner, f.Content) || f.Kind != agentapi.FileEnv && writesOut(scanner, f) {
			s.Secrets++
		}
	}
	return s
}

// writesOut reports whether a file has a secret in plain text, and is not a sample.
func writesOut(scanner *scan.Scanner, f agentapi.FoundFile) bool {
	return slices.ContainsFunc(scanner.Scan(f.Path, f.Content), func(l scan.Leak) bool { return !l.Sample })
}

// systems reports whether a place is the host's and not a project's.
func systems(source string) bool {
	return slices.ContainsFunc([]string{"/dev", "/etc", "/lib", "/proc", "/run", "/sys", "/usr", "/var/run", "/var/log"}, func(dir string) bool {
		return source == dir || strings.HasPrefix(source, dir+"/")
	}) || source == "/"
}

// database reports whether an image is known to hold a database.
func database(image string) bool {
	base, _, _ := strings.Cut(path.Base(image), ":")
	return slices.ContainsFunc([]string{"postgres", "postgis", "pgvecto", "timescaledb", "mysql", "mariadb", "mongo", "redis", "valkey", "influxdb", "clickhouse", "elasticsearch"},
		func(name string) bool { return strings.Contains(base, name) })
}
