package mariadb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/fleet"
	"salvor/internal/snapshot/method"
)

// notDumped are tables of the system that a new server of the same image has, that say
// nothing of the old one's data, or that are dumped as statements.
var notDumped = []string{
	"help_category", "help_keyword", "help_relation", "help_topic", "innodb_index_stats", "innodb_table_stats",
	"gtid_slave_pos", "gtid_executed", "transaction_registry", "proc", "event",
}

// options are those of the dump program for all of the server.
func (s Server) options() []string {
	options := []string{
		"--all-databases", "--routines", "--events", "--triggers", "--single-transaction", "--quick", "--hex-blob", "--no-autocommit",
		"--default-character-set=utf8mb4", "--max-allowed-packet=1G", "--skip-dump-date",
	}
	for _, table := range notDumped {
		options = append(options, "--ignore-table="+system+"."+table)
	}
	if !s.isMariaDB() {
		options = append(options, "--set-gtid-purged=OFF")
	}
	if s.keepsHistory() {
		options = append(options, "--dump-history")
	}
	return options
}

// keepsHistory reports whether the history of versioned tables can be dumped.
func (s Server) keepsHistory() bool { return s.isMariaDB() && s.atLeast(10, 11) }

// Dump dumps the server that a volume belongs to into dir, which it makes. An error means
// that the dump can't bring the server back; ErrElsewhere, that the volume is not its data.
func Dump(ctx context.Context, r method.Runner, v method.Volume, dir string) (Manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, method.DumpWithin)
	defer cancel()
	m := Manifest{Schema: fleet.Schema, MountAt: v.MountAt}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return m, err
	}
	s, err := m.look(ctx, r, v)
	if err != nil {
		return m, err
	}
	var read *reading
	for range dumpTries {
		if read, err = s.dump(ctx, dir); err == nil || !overtaken.MatchString(err.Error()) {
			break
		}
	}
	if err != nil {
		return m, err
	}
	m.Tables = read.tables
	content, err := json.Marshal(m)
	if err != nil {
		return m, err
	}
	return m, errors.Join(
		atomicfile.Write(filepath.Join(dir, objectsFile), strings.NewReader(read.text()), 0o600),
		atomicfile.Write(filepath.Join(dir, manifestFile), bytes.NewReader(content), 0o600))
}

// dumpTries is how often a dump is begun that a change of tables overtakes.
const dumpTries = 3

// overtaken is what the dump program says where a database or a table was dropped or
// altered since its transaction began: its error numbers, as of the server.
var overtaken = regexp.MustCompile(`\b(1049|1051|1109|1146|1305|1412)\b`)

// Probe reports in little time whether a dump of the server can be taken; the manifest
// has no tables.
func Probe(ctx context.Context, r method.Runner, v method.Volume) (Manifest, error) {
	ctx, cancel := context.WithTimeout(ctx, method.AskWithin)
	defer cancel()
	m := Manifest{Schema: fleet.Schema, MountAt: v.MountAt}
	s, err := m.look(ctx, r, v)
	if err != nil {
		return m, err
	}
	return m, s.run(ctx, s.server.Dump, nil, nil, "--single-transaction", "--no-create-info", system, "db")
}

// look finds the server and describes it.
func (m *Manifest) look(ctx context.Context, r method.Runner, v method.Volume) (session, error) {
	ctx, cancel := context.WithTimeout(ctx, method.AskWithin)
	defer cancel()
	s, err := find(ctx, r)
	if err != nil {
		return s, err
	}
	m.Folders, err = s.describe(ctx, v)
	m.Server = s.server
	return s, err
}

// dump has the dump program write everything, and reads along.
func (s session) dump(ctx context.Context, dir string) (*reading, error) {
	path := filepath.Join(dir, dumpFile)
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}
	tables, err := s.tables(ctx)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(tables, func(t kept) bool { return t.Versioned }); i >= 0 && !s.server.keepsHistory() {
		return nil, fmt.Errorf("table %s keeps the history of its rows, which this release can't dump", tables[i])
	}
	before, err := s.checksums(ctx, tables)
	if err != nil {
		return nil, err
	}
	f, err := method.CreateDump(path, method.Unlimited)
	if err != nil {
		return nil, err
	}
	read := &reading{}
	err = s.run(ctx, s.server.Dump, nil, io.MultiWriter(f, read), s.server.options()...)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if !read.complete {
		return nil, errors.New("the dump ends early")
	}
	return read, s.stayed(ctx, before)
}

// stayed compares the tables that no transaction holds still with what they were before
// the dump.
func (s session) stayed(ctx context.Context, before map[Table]string) error {
	tables, err := s.tables(ctx)
	if err != nil {
		return err
	}
	after, err := s.checksums(ctx, tables)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if sum, loose := after[t.Table]; loose && sum != before[t.Table] {
			return fmt.Errorf("table %s was written during the dump, and its engine %s has no transactions: ALTER TABLE %s ENGINE=InnoDB", t, t.Engine, t.quoted())
		}
	}
	return nil
}
