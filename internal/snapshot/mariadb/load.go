package mariadb

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"salvor/internal/snapshot/method"
)

// A Load makes a server's files of a dump.
type Load method.Load

// Run loads the dump and compares it; the volume then holds what the dumped one held.
// Interrupted, it is called again.
func (l Load) Run(ctx context.Context) error {
	m, err := ReadManifest(l.Dump)
	if err != nil {
		return err
	}
	l.Volume.MountAt = m.MountAt
	return method.Load(l).Make(m.Folders, FilesIn(l.Dump), func() error {
		return method.Load(l).Serve(ctx, m.start(l.Proof), func(r method.Running) error { return l.fill(ctx, r, m) })
	})
}

// fill has a new server hold what the dump does. Accounts are loaded as rows: the server
// does not read them before it is started again, so that root, who has no password, stays
// the one who may do everything.
func (l Load) fill(ctx context.Context, running method.Runner, m Manifest) error {
	s := session{runner: running, server: m.Server, at: endpoint{Socket: path.Join(m.Server.Data, loadSocket), User: "root"}}
	f, err := method.OpenFile(l.Dump, dumpFile)
	if err != nil {
		return err
	}
	if err := errors.Join(s.run(ctx, s.server.Client, method.Ended(f), nil, "--batch", "--default-character-set=utf8mb4", "--max-allowed-packet=1G"), f.Close()); err != nil {
		return err
	}
	if err := s.sameRows(ctx, m.Tables); err != nil || !l.Strict {
		return err
	}
	return s.sameObjects(ctx, l.Dump, m.Tables)
}

// serverLogs are tables that a new server has, too, and whose rows are not dumped.
var serverLogs = []string{"general_log", "slow_log"}

// sameRows compares the number of rows in every table with what was dumped.
func (s session) sameRows(ctx context.Context, dumped []Table) error {
	tables, err := s.tables(ctx)
	if err != nil {
		return err
	}
	for _, t := range dumped {
		if t.Database == system && !slices.Contains(serverLogs, t.Name) {
			tables = append(tables, kept{Table: t})
		}
	}
	counts, err := s.count(ctx, tables)
	if err != nil {
		return err
	}
	left := map[string]int64{}
	for i, t := range tables {
		left[t.quoted()] = counts[i]
	}
	for _, t := range dumped {
		is, there := left[t.quoted()]
		delete(left, t.quoted())
		switch {
		case t.Database == system && slices.Contains(serverLogs, t.Name):
		case !there:
			return fmt.Errorf("%w: table %s is missing", method.ErrDiffers, t)
		case is != t.Rows:
			return fmt.Errorf("%w: table %s has %d rows, want %d", method.ErrDiffers, t, is, t.Rows)
		}
	}
	for name := range left {
		return fmt.Errorf("%w: table %s was not in the dump", method.ErrDiffers, name)
	}
	return nil
}

// sameObjects compares what is defined next to rows, and the accounts.
func (s session) sameObjects(ctx context.Context, dump string, dumped []Table) error {
	want, err := method.ReadFile(dump, objectsFile)
	if err != nil {
		return err
	}
	is := &reading{}
	if err := s.run(ctx, s.server.Dump, nil, is, append(s.server.options(), "--no-data")...); err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	options := []string{"--hex-blob", "--default-character-set=utf8mb4", "--max-allowed-packet=1G", "--skip-dump-date", system}
	for _, t := range dumped {
		if t.Database == system && slices.Contains(accountTables, t.Name) {
			options = append(options, t.Name)
		}
	}
	accounts := &reading{database: system, accounts: true}
	if err := s.run(ctx, s.server.Dump, nil, accounts, options...); err != nil {
		return fmt.Errorf("list accounts: %w", err)
	}
	is.objects = append(is.objects, accounts.objects...)
	return method.SameLines(strings.TrimSpace(is.text()), strings.TrimSpace(string(want)))
}
