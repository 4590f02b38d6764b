// Package method is the interface of a database server's own way to be backed up: with
// it, a snapshot has the server's data as a dump instead of its files. Each kind implements Method in a package of its own.
package method

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
)

var (
	// ErrElsewhere means: the volume does not hold the server's data folder.
	ErrElsewhere = errors.New("the server keeps its data elsewhere")
	// ErrSilent means: no server answers in the container, or not yet.
	ErrSilent = errors.New("no server answers in this container")
)

// A Method dumps and loads the data of one kind of server.
type Method interface {
	// Name is the server's, for messages: "Postgres".
	Name() string
	// Probe reports in little time whether a dump of the running server can be taken.
	// An error may wrap ErrElsewhere or ErrSilent. Rows are not counted.
	Probe(ctx context.Context, r Runner, v Volume) (Dumped, error)
	// Dump writes everything that the running server holds into dir, which it makes.
	// An error may wrap ErrElsewhere. After an error the caller removes dir.
	Dump(ctx context.Context, r Runner, v Volume, dir string) (Dumped, error)
	// Files returns what the volume of a dump holds next to the server's own data, as
	// paths in the volume. A snapshot has them in the dump, at FilesIn.
	Files(dump string, v Volume) ([]string, error)
	// FilesIn is where a dump has the files of Files.
	FilesIn(dump string) string
	// Objects is a fingerprint of what a dump has in addition to rows: it changes
	// with a schema or a role.
	Objects(dump string) (string, error)
	// Load makes the server's files of a dump and compares the two. Interrupted, it
	// is called again. The files are durable when it returns.
	Load(ctx context.Context, l Load) error
	// Room is how many bytes a restore writes at most for a volume whose server's files
	// had that many.
	Room(files int64) int64
}

// Dumped is what is known of a dump.
type Dumped struct {
	Rows  int64   // of all tables
	Moved []Moved // what a restore brings back elsewhere
}

// Moved is data outside of the volume, which a restore brings back elsewhere.
type Moved struct {
	Text string // what comes back where
	Fix  string
}

// A Load makes a server's files of a dump.
type Load struct {
	Dump   string // folder of the dump
	Volume Volume // Path is made, and is what Starter's server runs on
	Starter
	Strict bool // compares all objects and roles, too, not only rows
	Proof  bool // the server's files are not wanted afterwards, and those of FilesIn are not there
}

// A Volume is where a server's data is.
type Volume struct {
	Path    string // on this host
	MountAt string // in the container
}

// Inside returns where a path of the container is in the volume.
func (v Volume) Inside(path string) (rel string, ok bool) {
	rel, err := filepath.Rel(v.MountAt, path)
	return rel, err == nil && filepath.IsLocal(rel)
}

// A Runner runs programs in the container of one server. A non-zero exit is an
// error; where it is a machine.ExitError, its stderr is shown in full.
type Runner interface {
	Exec(ctx context.Context, c Command) error
}

// A Command runs in the server's container.
//
// An end of Stdin that comes before the program has written anything may not reach it: containerd loses one that
// comes while it starts the program, and the program waits. So what Stdin holds says where it ends.
type Command struct {
	User   string // "" for the image's, else "uid:gid"
	Argv   []string
	Stdin  io.Reader // nil for none
	Stdout io.Writer
}

// Ended returns a script that ends with \q, for the clients of Postgres and MariaDB, which read until then.
func Ended(script io.Reader) io.Reader { return io.MultiReader(script, strings.NewReader("\n\\q\n")) }

// A Starter starts the server that loads a dump.
type Starter interface {
	// Start returns when the server answers. What it returns with an error, if
	// anything, is stopped too.
	Start(ctx context.Context, s Start) (Running, error)
}

// A Start says how the server that loads a dump is started: as User, with Argv
// in place of the image's entrypoint and command. It answers once Healthy ends
// with 0.
type Start struct {
	User    string // "uid:gid"
	MountAt string // where it has the folder
	Argv    []string
	Healthy []string
	Stop    string // the signal that ends it in an orderly way: "SIGTERM"
	Proof   bool   // nothing waits for it: it may be slow
}

// Running is a server that a Starter started.
type Running interface {
	Runner
	// Stop ends the server in an orderly way and waits for it. It may be
	// called twice.
	Stop(ctx context.Context) error
}
