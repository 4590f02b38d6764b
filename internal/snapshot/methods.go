package snapshot

import (
	"salvor/internal/fleet"
	"salvor/internal/snapshot/mariadb"
	"salvor/internal/snapshot/method"
	"salvor/internal/snapshot/postgres"
)

// The forms.
const (
	Files        Form = "files"         // the volume's own files
	PostgresDump Form = "postgres-dump" // see postgres.Manifest
	MariaDBDump  Form = "mariadb-dump"  // see mariadb.Manifest
)

// A native method takes a volume by asking its server: as a dump in place of its files.
type native struct {
	method.Method
	form Form // what a snapshot then has
}

// natives are the native methods, by the names that x-salvor has for them. To add one:
// its name in fleet.Method.Native, its row here.
func natives() map[fleet.Method]native {
	return map[fleet.Method]native{
		fleet.Postgres: {postgres.Method{}, PostgresDump},
		fleet.MariaDB:  {mariadb.Method{}, MariaDBDump},
	}
}

// native returns the method by which a volume's server is asked.
func (v Volume) native() (native, bool) {
	n, ok := natives()[v.Method]
	return n, ok
}

// native returns the method that loads a dump of this form; files have none.
func (f Form) native() (native, bool) {
	for _, n := range natives() {
		if n.form == f {
			return n, true
		}
	}
	return native{}, false
}

// IsDump reports whether the volume is in the snapshot as its server's dump.
func (f Form) IsDump() bool {
	_, dump := f.native()
	return dump
}

// dumpAt is where a dump is staged, next to the files that a server makes of it.
func dumpAt(staging string) string { return staging + ".dump" }
