package postgres

import (
	"context"
	"fmt"
	"strings"

	"salvor/internal/snapshot/method"
)

// Method is how Postgres gets into a snapshot: by the programs of its own container.
type Method struct{}

var _ method.Method = Method{}

// Name implements method.Method.
func (Method) Name() string { return "Postgres" }

// Probe implements method.Method.
func (Method) Probe(ctx context.Context, r method.Runner, v method.Volume) (method.Dumped, error) {
	m, err := Probe(ctx, r, v)
	return m.dumped(), err
}

// Dump implements method.Method.
func (Method) Dump(ctx context.Context, r method.Runner, v method.Volume, dir string) (method.Dumped, error) {
	m, err := Dump(ctx, r, v, dir)
	return m.dumped(), err
}

// Files implements method.Method.
func (Method) Files(dump string, v method.Volume) ([]string, error) {
	m, err := ReadManifest(dump)
	if err != nil {
		return nil, err
	}
	return m.Files(v)
}

// FilesIn implements method.Method.
func (Method) FilesIn(dump string) string { return FilesIn(dump) }

// Objects implements method.Method.
func (Method) Objects(dump string) (string, error) { return Objects(dump) }

// Load implements method.Method.
func (Method) Load(ctx context.Context, l method.Load) error { return Load(l).Run(ctx) }

// Room implements method.Method: dump and server lie there at the same time.
func (Method) Room(files int64) int64 { return 2 * files }

func (m Manifest) dumped() method.Dumped {
	d := method.Dumped{Moved: m.Server.moved()}
	for _, db := range m.Databases {
		for _, table := range db.Tables {
			d.Rows += max(table.Rows, 0) // not counted where it was rewritten meanwhile
		}
	}
	return d
}

// moved is what lies outside of the volume.
func (s Server) moved() []method.Moved {
	var all []method.Moved
	if s.LeftOut {
		var names []string
		for _, t := range s.Tablespaces {
			names = append(names, t.Name+" at "+t.Location)
		}
		all = append(all, method.Moved{
			Text: fmt.Sprintf("tables come back in the default tablespace: %s lies outside of the volume", strings.Join(names, ", ")),
			Fix:  "keep tablespaces in folders of the volume",
		})
	}
	if s.LogAt != "" {
		all = append(all, method.Moved{
			Text: fmt.Sprintf("the server's log comes back in its data folder: %s lies outside of the volume", s.LogAt),
			Fix:  "nothing to do, unless the log needs a disk of its own",
		})
	}
	return all
}
