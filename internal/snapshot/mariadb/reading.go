package mariadb

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"salvor/internal/snapshot/method"
)

// A reading follows what the dump program writes: which tables there are, how many rows
// each has, and what is defined next to rows. It keeps no rows but those of accounts.
// Write is called by one writer; what it gets is cut anywhere.
type reading struct {
	tables   []Table
	objects  []string // what is defined, one line each, with its database
	accounts bool     // of objects only the rows of accounts are kept
	database string
	size     int // of what objects holds
	complete bool

	line  []byte // what is kept of the line or statement so far
	block bool   // between DELIMITER lines: the body of a routine
	rows  *insert
}

// insert is an INSERT statement that is being read.
type insert struct {
	named   bool // its table is known
	table   int  // in tables
	keep    bool // its text is an object
	values  bool // behind VALUES
	depth   int  // of brackets
	quote   byte // within a text or name that ends so
	escaped bool // the byte before was a backslash in a text
}

var insertInto = []byte("INSERT INTO `")

// accountTables are those of the system that say who may do what.
var accountTables = []string{
	"user", "global_priv", "db", "tables_priv", "columns_priv", "procs_priv", "proxies_priv", "roles_mapping",
	"role_edges", "default_roles", "global_grants", "password_history",
}

// Write implements io.Writer.
func (r *reading) Write(p []byte) (int, error) {
	for _, b := range p {
		var err error
		switch {
		case r.rows != nil && r.rows.named:
			err = r.row(b)
		case r.rows != nil:
			err = r.name(b)
		case b == '\n':
			err = r.ended(string(r.line))
			r.line = r.line[:0]
		default:
			if r.line = append(r.line, b); len(r.line) > method.MaxAnswer {
				err = method.TooMuch(method.MaxAnswer)
			} else if !r.block && len(r.line) == len(insertInto) && bytes.Equal(r.line, insertInto) {
				r.rows = &insert{}
				r.line = r.line[:0]
			}
		}
		if err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// name reads the name of a statement's table, to its last quote: a doubled one is
// part of it.
func (r *reading) name(b byte) error {
	quotes := bytes.Count(r.line, []byte("`"))
	if quotes%2 == 0 || b == '`' {
		if r.line = append(r.line, b); len(r.line) > maxName {
			return errors.New("the dump has a table without a name")
		}
		return nil
	}
	name := unquote(string(r.line[:len(r.line)-1]))
	r.rows.named = true
	if r.rows.table = slices.IndexFunc(r.tables, func(t Table) bool { return t.Database == r.database && t.Name == name }); r.rows.table < 0 {
		return fmt.Errorf("the dump has rows of the table %s before the table", name)
	}
	r.line = r.line[:0]
	if r.rows.keep = r.database == system && slices.Contains(accountTables, name); r.rows.keep {
		r.line = append(r.line, name...)
	}
	return r.row(b)
}

// maxName bounds the name of a table, which has 64 characters at most.
const maxName = 1 << 10

func unquote(name string) string { return strings.ReplaceAll(name, "``", "`") }

// row counts the rows of a statement.
func (r *reading) row(b byte) error {
	i := r.rows
	if i.keep {
		if r.line = append(r.line, b); len(r.line) > method.MaxAnswer {
			return method.TooMuch(method.MaxAnswer)
		}
	}
	switch {
	case i.escaped:
		i.escaped = false
	case i.quote != 0 && b == '\\' && i.quote != '`':
		i.escaped = true
	case i.quote != 0:
		if b == i.quote { // a doubled one opens it again
			i.quote = 0
		}
	case b == '\'' || b == '"' || b == '`':
		i.quote = b
	case b == '(':
		if i.depth == 0 && i.values {
			r.tables[i.table].Rows++
		}
		i.depth++
	case b == ')':
		i.depth--
	case b == 'V' && i.depth == 0:
		i.values = true
	case b == ';' && i.depth == 0:
		keep := i.keep
		r.rows = nil
		if text := string(r.line); keep {
			r.line = r.line[:0]
			return r.keep(text)
		}
	}
	return nil
}

var autoIncrement = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// ended looks at a line that is not a row's.
func (r *reading) ended(line string) error {
	if to, ok := strings.CutPrefix(line, "DELIMITER "); ok {
		r.block = to != ";"
	}
	if strings.HasPrefix(line, "-- Dump completed") {
		r.complete = true
	}
	if !r.block {
		if name, ok := quotedAfter(line, "USE `"); ok {
			r.database = name
		}
		for _, create := range []string{"CREATE TABLE `", "CREATE TABLE IF NOT EXISTS `"} {
			if name, ok := quotedAfter(line, create); ok {
				if len(r.tables) >= method.MaxTables {
					return fmt.Errorf("%w: more than %d tables", method.ErrTooMuch, method.MaxTables)
				}
				r.tables = append(r.tables, Table{Database: r.database, Name: name})
			}
		}
	}
	if r.accounts || isNoise(line) {
		return nil
	}
	return r.keep(autoIncrement.ReplaceAllString(line, ""))
}

// quotedAfter returns the quoted name that follows a prefix, which has its first quote.
func quotedAfter(line, prefix string) (string, bool) {
	rest, ok := strings.CutPrefix(line, prefix)
	for at := 0; ok && at < len(rest); at++ {
		if rest[at] != '`' {
			continue
		}
		if at+1 == len(rest) || rest[at+1] != '`' {
			return unquote(rest[:at]), true
		}
		at++
	}
	return "", false
}

// isNoise reports whether a line defines nothing: it is a comment, or goes with rows.
func isNoise(line string) bool {
	upper := strings.ToUpper(line)
	for _, prefix := range []string{"--", "LOCK TABLES", "UNLOCK TABLES", "/*!40000 ALTER TABLE", "/*M!999999", "SET @OLD_AUTOCOMMIT", "SET AUTOCOMMIT", "COMMIT", "DO SETVAL", "SELECT SETVAL"} {
		if strings.HasPrefix(upper, prefix) {
			return true
		}
	}
	return strings.TrimSpace(line) == "" || line == ";" || strings.Contains(line, "system_versioning_insert_history")
}

func (r *reading) keep(object string) error {
	object = r.database + ": " + strings.ReplaceAll(object, "\n", `\n`)
	if r.size += len(object) + 1; r.size > method.MaxAnswer {
		return method.TooMuch(method.MaxAnswer)
	}
	r.objects = append(r.objects, object)
	return nil
}

// text is what is defined, as sorted lines.
func (r *reading) text() string {
	slices.Sort(r.objects)
	return strings.Join(r.objects, "\n")
}
