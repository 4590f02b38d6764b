package mariadb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"salvor/internal/snapshot/method"
)

// Method is how MariaDB and MySQL get into a snapshot: by the programs of their container.
type Method struct{}

var _ method.Method = Method{}

// Name implements method.Method.
func (Method) Name() string { return "MariaDB" }

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
func (Method) Objects(dump string) (string, error) {
	content, err := method.ReadFile(dump, objectsFile)
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), err
}

// Load implements method.Method.
func (Method) Load(ctx context.Context, l method.Load) error { return Load(l).Run(ctx) }

// Room implements method.Method: dump and server are there at the same time, and a new
// server makes its log at once.
func (Method) Room(files int64) int64 { return 2*files + 256<<20 }

// dumped counts the rows of everything but the system.
func (m Manifest) dumped() method.Dumped {
	var d method.Dumped
	for _, t := range m.Tables {
		if t.Database != system {
			d.Rows += t.Rows
		}
	}
	return d
}

// FilesIn is where a dump has the files of Files.
func FilesIn(dump string) string { return filepath.Join(dump, filesDir) }

// ownFiles are the server's in its data folder: data, logs, its number and what it makes
// when it starts.
var ownFiles = regexp.MustCompile(`^(ibdata.*|ibtmp.*|ib_.*|undo.*|#.*|aria_log.*|auto\.cnf|(multi-|relay-log|master).*\.info|(grastate|gvwstate)\.dat|galera\.cache|.*\.(ibd|pid|err|log|index|sock|lock)|.*\.[0-9]{6,})$`)

// databaseFiles are what the folder of a database holds.
var databaseFiles = regexp.MustCompile(`\.(opt|frm|ibd|isl|cfg|MYD|MYI|MAD|MAI|CSV|CSM|ARZ|MRG|TRG|TRN|par|sdi|SDI)$`)

// Files returns what a volume has in addition to the server's own data, as paths in the
// volume: entries of the data folder and of the folders on the way to it.
func (m Manifest) Files(v method.Volume) ([]string, error) {
	root, err := os.OpenRoot(v.Path) // no link of the container's leads out of its volume
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var found []string
	for i, f := range m.Folders {
		entries, err := method.EntriesOf(root, f.Path)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			rel := path.Join(f.Path, e.Name())
			own, err := m.isOwn(root, i, rel, e)
			if err != nil {
				return nil, err
			}
			if !own && (e.IsDir() || e.Type().IsRegular()) {
				found = append(found, rel)
			}
		}
	}
	return found, nil
}

// isOwn reports whether an entry of the i-th folder belongs to the server, or is on the way to
// its data.
func (m Manifest) isOwn(root *os.Root, i int, rel string, e fs.DirEntry) (bool, error) {
	switch {
	case e.Name() == "lost+found":
		return true, nil
	case i+1 == len(m.Folders):
		return isServersOwn(root, rel, e)
	}
	return rel == m.Folders[i+1].Path, nil
}

// isServersOwn reports whether an entry of a data folder is the server's. A folder is,
// unless it has files and none of them is of a database.
func isServersOwn(root *os.Root, rel string, e fs.DirEntry) (bool, error) {
	if ownFiles.MatchString(e.Name()) || !e.IsDir() {
		return ownFiles.MatchString(e.Name()), nil
	}
	entries, err := method.EntriesOf(root, rel)
	if err != nil {
		return false, err
	}
	ofDatabase := func(e fs.DirEntry) bool { return databaseFiles.MatchString(e.Name()) }
	return len(entries) == 0 || strings.HasPrefix(e.Name(), "#") || slices.ContainsFunc(entries, ofDatabase), nil
}
