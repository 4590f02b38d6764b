package postgres_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/snapshot/method"
	"salvor/internal/snapshot/postgres"
)

const flags = "SELECT datname, datallowconn, datconnlimit FROM pg_database ORDER BY 1; SELECT * FROM pg_db_role_setting"

// cutShort runs until pg_dump is called for the closed database.
type cutShort struct {
	method.Runner
	cut  func()
	seen func()
}

func (c cutShort) Exec(ctx context.Context, cmd method.Command) error {
	if has(cmd.Argv, "pg_dump") && has(cmd.Argv, "closed") {
		c.seen()
		c.cut()
		return ctx.Err()
	}
	return c.Runner.Exec(ctx, cmd)
}

func has(argv []string, word string) bool {
	for _, a := range argv {
		if a == word {
			return true
		}
	}
	return false
}

// TestClosedDatabasesAreClosedAgain is the kin of fault F16: a dump that is cut
// short leaves no database open, and while one is open it lets superusers in only.
func TestClosedDatabasesAreClosedAgain(t *testing.T) {
	l := lay(t, variety{sql: map[string]string{"postgres": "CREATE DATABASE closed CONNECTION LIMIT 7;\nALTER DATABASE closed ALLOW_CONNECTIONS false"}})
	want := l.server.Script(t, "postgres", flags)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := ""
	r := cutShort{l.server, cancel, func() { open = l.server.Script(t, "postgres", flags) }}
	if _, err := postgres.Dump(ctx, r, l.volume, filepath.Join(short(t), "dump")); err == nil {
		t.Error("a dump that was cut short is good")
	}
	if !strings.Contains(open, "closed|t|0") {
		t.Errorf("while it is dumped the closed database is: %s", open)
	}
	if diff := cmp.Diff(want, l.server.Script(t, "postgres", flags)); diff != "" {
		t.Errorf("cut short (-before +after):\n%s", diff)
	}
	// a power cut takes the program that would have closed it, too
	l.server.Script(t, "postgres", "ALTER DATABASE closed SET salvor.closed = '7';\nALTER DATABASE closed CONNECTION LIMIT 0;\nALTER DATABASE closed ALLOW_CONNECTIONS true")
	if _, err := postgres.Probe(t.Context(), l.server, l.volume); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, l.server.Script(t, "postgres", flags)); diff != "" {
		t.Errorf("after a power cut (-before +after):\n%s", diff)
	}
}
