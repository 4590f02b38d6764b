package postgres

import (
	"maps"
	"path"
	"slices"
	"strconv"

	"salvor/internal/snapshot/method"
)

const loadPort = "5432"

// start is a server on a folder that is fresh or that it made. It has the
// locale and the extensions' settings of the one that was dumped, and none of
// its other settings: those may listen, or archive its log.
func (m Manifest) start(proof bool) method.Start {
	s := m.Server

	made := s.initdb()
	server := []string{s.program("postgres"), "-D", s.Data, "-c", "listen_addresses=", "-c", "unix_socket_directories=" + s.Data, "-c", "port=" + loadPort}
	if proof {
		server, made = append(server, "-c", "fsync=off"), append(made, "--no-sync")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Settings)) {
		server = append(server, "-c", name+"="+s.Settings[name])
	}
	script := "set -e\nunset PGDATA\n[ -s " + method.Word(path.Join(s.Data, "PG_VERSION")) + " ] || " + method.Words(made) + " >/dev/null\nexec " + method.Words(server)
	return method.Start{User: s.User, MountAt: m.MountAt, Argv: []string{shell, "-c", script}, Healthy: []string{s.program("pg_isready"), "-q", "-h", s.Data, "-p", loadPort},
		Stop: "SIGINT" /* at once */, Proof: proof}
}

func (s Server) program(name string) string {
	if s.Bin == "" {
		return name
	}
	return path.Join(s.Bin, name)
}

func (s Server) initdb() []string {
	t := s.Template
	argv := []string{s.program("initdb"), "-D", s.Data, "-U", s.Superuser, "-A", "trust", "--encoding=" + t.Encoding, "--locale=C", "--lc-collate=" + t.Collate, "--lc-ctype=" + t.Ctype}
	switch t.Provider {
	case "i":
		argv = append(argv, "--locale-provider=icu", "--icu-locale="+t.ICU+t.Locale)
		if t.Rules != "" {
			argv = append(argv, "--icu-rules="+t.Rules)
		}
	case "b":
		argv = append(argv, "--locale-provider=builtin", "--builtin-locale="+t.Locale)
	case "c":
		argv = append(argv, "--locale-provider=libc")
	}
	switch {
	case s.Checksums == "on":
		argv = append(argv, "--data-checksums")
	case s.Version >= 180000:
		argv = append(argv, "--no-data-checksums")
	}
	if s.Version >= 110000 {
		argv = append(argv, "--wal-segsize="+strconv.FormatInt(max(1, s.Segment), 10))
		if s.GroupRead {
			argv = append(argv, "--allow-group-access")
		}
	}
	return argv
}
