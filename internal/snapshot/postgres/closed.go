package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// A database that takes no connections is opened for the time of its dump, for
// superusers only: its connection limit is 0 meanwhile. Its former state is in a
// setting of the database, written in the same transaction, so that the next run
// closes it again; dump and restore keep the setting.
const closedSetting = "salvor.closed"

type closedDatabase struct {
	Name  string `json:"name"`
	Limit int    `json:"limit"` // its own connection limit
}

func (c closedDatabase) opening() string {
	name := quoteName(c.Name)
	return fmt.Sprintf("ALTER DATABASE %s SET %s = '%d'; ALTER DATABASE %s CONNECTION LIMIT 0; ALTER DATABASE %s ALLOW_CONNECTIONS true",
		name, closedSetting, c.Limit, name, name)
}

func (c closedDatabase) closing() string {
	name := quoteName(c.Name)
	return fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS false; ALTER DATABASE %s CONNECTION LIMIT %s; ALTER DATABASE %s RESET %s",
		name, name, strconv.Itoa(c.Limit), name, closedSetting)
}

const (
	listClosed = `SELECT json_agg(json_build_object('name', datname, 'limit', datconnlimit)) FROM pg_catalog.pg_database
WHERE NOT datallowconn AND datname <> 'template0' AND datconnlimit <> -2`
	listOpened = `SELECT json_agg(json_build_object('name', datname, 'limit', split_part(c, '=', 2)::int))
FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) c
WHERE s.setrole = 0 AND c LIKE '` + closedSetting + `=%'`
)

// closeOpened closes the databases that a dump has opened and did not close.
func (s session) closeOpened(ctx context.Context) error {
	var opened []closedDatabase
	if err := s.query(ctx, s.at.Database, listOpened, &opened); err != nil {
		return err
	}
	for _, c := range opened {
		if err := s.sql(ctx, s.at.Database, c.closing()); err != nil {
			return fmt.Errorf("close database %s again: %w", c.Name, err)
		}
	}
	return nil
}

// openClosed opens the closed databases until the returned function is called.
// A program in the container closes them as soon as its standard input ends,
// whichever way this process does.
func (s session) openClosed(ctx context.Context) (done func() error, err error) {
	var closed []closedDatabase
	if err := s.query(ctx, s.at.Database, listClosed, &closed); err != nil || len(closed) == 0 {
		return func() error { return nil }, err
	}
	opening, closing := "", ""
	for _, c := range closed {
		opening, closing = opening+c.opening()+"; ", closing+c.closing()+"; "
	}
	const script = `psql -X -q -w -v ON_ERROR_STOP=1 -c "$1" && echo open && cat >/dev/null; psql -X -q -w -v ON_ERROR_STOP=1 -c "$2"`
	stdin, hold := io.Pipe()
	said := &awaited{seen: make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		err := s.run(context.WithoutCancel(ctx), s.at.Database, stdin, said, shell, "-c", script, "salvor", opening, closing)
		ended <- errors.Join(err, stdin.Close())
	}()
	select {
	case <-said.seen:
		return func() error { return errors.Join(hold.Close(), <-ended) }, nil
	case err := <-ended:
		return nil, fmt.Errorf("open closed databases: %w", errors.Join(err, hold.Close(), s.closeOpened(ctx)))
	}
}

// awaited closes seen once a line has been written.
type awaited struct {
	line bool
	seen chan struct{}
}

// Write implements io.Writer; it is called by one writer.
func (a *awaited) Write(p []byte) (int, error) {
	if !a.line && bytes.ContainsRune(p, '\n') {
		a.line = true
		close(a.seen)
	}
	return len(p), nil
}
