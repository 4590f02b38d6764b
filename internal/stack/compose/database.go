package compose

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// A database is a kind of server that a live copy of its files breaks.
type database struct {
	kind   string
	images []string // last part of the image's name, or a piece of it
	paths  []string // where images keep its data
	method fleet.Method
}

// A database without a native method is paused.
var databases = []database{
	{"postgres", []string{"postgres", "postgresql", "postgis", "timescaledb", "timescaledb-ha", "pgvector", "pgvecto-rs", "pgautoupgrade", "immich-postgres", "postgresql-repmgr"},
		[]string{"/var/lib/postgresql", "/var/lib/pgsql", "/bitnami/postgresql", "/home/postgres/pgdata"}, fleet.Postgres},
	{"mariadb", []string{"mariadb", "mysql", "percona", "percona-server", "mysql-server", "mariadb-galera"}, []string{"/var/lib/mysql", "/bitnami/mariadb", "/bitnami/mysql"}, fleet.MariaDB},
	{"mongodb", []string{"mongo", "mongodb", "mongodb-community-server", "percona-server-mongodb", "ferretdb"}, []string{"/data/db", "/bitnami/mongodb"}, fleet.Pause},
	{"redis", []string{"redis", "valkey", "keydb", "dragonfly", "redis-stack", "redis-stack-server"}, []string{"/bitnami/redis", "/bitnami/valkey"}, fleet.Pause},
	{"clickhouse", []string{"clickhouse", "clickhouse-server"}, []string{"/var/lib/clickhouse"}, fleet.Pause},
	{"influxdb", []string{"influxdb"}, []string{"/var/lib/influxdb", "/var/lib/influxdb2"}, fleet.Pause},
	{"elasticsearch", []string{"elasticsearch", "opensearch"}, []string{"/usr/share/elasticsearch/data", "/usr/share/opensearch/data"}, fleet.Pause},
	{"couchdb", []string{"couchdb"}, []string{"/opt/couchdb/data"}, fleet.Pause},
	{"cassandra", []string{"cassandra", "scylla"}, []string{"/var/lib/cassandra", "/var/lib/scylla"}, fleet.Pause},
	{"neo4j", []string{"neo4j"}, nil, fleet.Pause},
	{"etcd", []string{"etcd"}, []string{"/etcd-data"}, fleet.Pause},
	{"rabbitmq", []string{"rabbitmq"}, []string{"/var/lib/rabbitmq"}, fleet.Pause},
}

// consistency decides how a snapshot of a volume becomes consistent, and
// refuses a live copy of a database.
func (c classifier) consistency(ms *mounts, v *project.Volume) {
	if v.Protect != fleet.Snapshot && v.Protect != fleet.Shared {
		return
	}
	m, db := c.database(ms, v)
	said := c.policyFor(ms, v)
	switch {
	case db != nil && v.Protect == fleet.Shared:
		c.liveCopy(m, fmt.Sprintf("the %s of %s can't be on the shared mount: it would be corrupt after an interruption", db.kind, m.service), fmt.Sprintf("x-salvor.volumes: {%s: {protect: snapshot}}", v.Source))
		return
	case v.Protect == fleet.Shared:
		return
	case db != nil && said.Consistent == fleet.Live:
		c.liveCopy(m, fmt.Sprintf("the %s of %s would be copied while it runs; such a copy starts and is wrong", db.kind, m.service), fmt.Sprintf("x-salvor.volumes: {%s: {consistent: %s}}", v.Source, db.method))
		return
	}
	v.Method, v.Exclude, v.Caches = fleet.Pause, said.Exclude, said.Caches
	if db != nil {
		v.Method = db.method
	}
	if said.Consistent != "" {
		v.Method = said.Consistent
	}
	if len(said.Exclude) > 0 && (db != nil || v.Method.Native()) {
		c.liveCopy(m, fmt.Sprintf("exclude: would leave out a part of the database of %s; such a copy is wrong", m.service), fmt.Sprintf("remove exclude: at x-salvor.volumes.%s", v.Source))
	}
	if v.Method.Native() {
		v.Service, v.MountAt = m.service, m.entry.Target
	}
}

func (c classifier) liveCopy(m *mount, text, fix string) {
	c.load.found(finding.Finding{Code: finding.DatabaseLiveCopy, Severity: finding.Fatal, Subject: c.load.files.mount(m.service, m.entry.Target), Text: text, Fix: fix})
}

// database returns the database that a volume belongs to and the mount by which
// its server has it. Without one it returns the first mount and nil.
func (c classifier) database(ms *mounts, v *project.Volume) (*mount, *database) {
	var first *mount
	for _, byImage := range []bool{true, false} {
		for _, m := range ms.all {
			if m.volume != v {
				continue
			}
			if first == nil {
				first = m
			}
			for i := range databases {
				if db := &databases[i]; byImage && db.hasImage(c.load.project.Services[m.service].Image) && db.holds(m.entry.Target) || !byImage && db.hasPath(m.entry.Target) {
					return m, db
				}
			}
		}
	}
	return first, nil
}

func (c classifier) policyFor(ms *mounts, v *project.Volume) fleet.VolumePolicy {
	for _, m := range ms.all {
		if m.volume == v && m.policy.Volume != "" {
			return m.policy
		}
	}
	return fleet.VolumePolicy{}
}

func (d *database) hasImage(image string) bool {
	_, repository := project.Home(image)
	return repository != "" && slices.Contains(d.images, path.Base(repository))
}

func (d *database) hasPath(target string) bool {
	return slices.ContainsFunc(d.paths, func(p string) bool { return within(p, path.Clean(target)) })
}

// holds reports whether a mount of the database's own image is its data: not
// configuration, scripts or sockets.
func (d *database) holds(target string) bool {
	t := path.Clean(target)
	return d.hasPath(t) || !strings.HasPrefix(t, "/etc/") && !strings.HasPrefix(t, "/run/") && !strings.HasPrefix(t, "/var/run/") && !strings.HasPrefix(t, "/docker-entrypoint") && !strings.Contains(t, "backup") && !strings.Contains(t, "log")
}
