package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/snapshot/method"
)

// normalized sorts lines without comments and without the numbers by which
// pg_restore -l calls objects: "215; 1259 16385 TABLE public rows app".
func normalized(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, ";") || strings.HasPrefix(line, "--") || strings.HasPrefix(line, `\restrict`) || strings.HasPrefix(line, `\unrestrict`) {
			continue
		}
		if id, rest, ok := strings.Cut(line, "; "); ok && strings.Trim(id, "0123456789") == "" {
			if fields := strings.SplitN(rest, " ", 3); len(fields) == 3 {
				line = fields[2]
			}
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Objects is a fingerprint of what a dump has in addition to rows: it changes with a
// schema or a role.
func Objects(dump string) (string, error) {
	m, err := ReadManifest(dump)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	names := []string{globalsFile}
	for _, db := range m.Databases {
		names = append(names, db.File+listSuffix)
	}
	for _, name := range names {
		content, err := method.ReadFile(dump, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%q\n%s\n", name, normalized(string(content)))
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// sameRows compares the number of rows in every table with what was dumped.
func (s session) sameRows(ctx context.Context, db Database) error {
	var out method.Answer
	if err := s.run(ctx, db.Name, method.Ended(strings.NewReader(countTables)), &out, psql()...); err != nil {
		return fmt.Errorf("count rows: %w", err)
	}
	tables, err := parseCounts(bytes.NewReader(out.Bytes()))
	if err != nil {
		return err
	}
	if len(tables) != len(db.Tables) {
		return fmt.Errorf("%w: %d tables, want %d", method.ErrDiffers, len(tables), len(db.Tables))
	}
	for i, want := range db.Tables {
		if is := tables[i]; is.Name != want.Name || is.Rows != want.Rows && want.Rows != uncounted {
			return fmt.Errorf("%w: table %s has %d rows, want table %s with %d", method.ErrDiffers, is.Name, is.Rows, want.Name, want.Rows)
		}
	}
	return nil
}

// sameObjects compares the list of a database's objects with what was dumped.
func (s session) sameObjects(ctx context.Context, db Database, dump string, noTablespaces bool) error {
	want, err := method.ReadFile(dump, db.File+listSuffix)
	if err != nil {
		return err
	}
	argv := []string{"pg_dump", "-w", "-Fc", "--create"}
	if noTablespaces {
		argv = append(argv, "--no-tablespaces")
	}
	is, err := s.list(ctx, db.Name, argv...)
	if err != nil {
		return err
	}
	return method.SameLines(is, string(want))
}

// sameRoles compares roles, memberships and their settings.
func (s session) sameRoles(ctx context.Context, dump string) error {
	want, err := method.ReadFile(dump, globalsFile)
	if err != nil {
		return err
	}
	var out method.Answer
	if err := s.run(ctx, s.at.Database, nil, &out, "pg_dumpall", "-w", "-l", connection(s.at.Database), "--globals-only", "--no-tablespaces"); err != nil {
		return err
	}
	return method.SameLines(normalized(out.String()), normalized(string(want)))
}
