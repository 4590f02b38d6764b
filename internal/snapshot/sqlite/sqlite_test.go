package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"salvor/internal/machine/local"
	"salvor/internal/snapshot/nsexec"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "ns-exec" {
		fmt.Fprintln(os.Stderr, nsexec.Main(os.Stdin))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const owner = 4711

// laid is a folder with a database, whose owner is not root, and one for copies.
type laid struct {
	Copier
	Database
	into string
}

func lay(t *testing.T, name, statements string) laid {
	t.Helper()
	program, err := exec.LookPath("sqlite3")
	if err != nil || os.Getuid() != 0 {
		if os.Getenv("SALVOR_LAB") == "require" {
			t.Fatal("sqlite3 and root are required")
		}
		t.Skip("no sqlite3 is installed, or not root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, into := t.TempDir(), t.TempDir()
	l := laid{Copier{local.Machine{}, []string{self, "ns-exec"}, program, 50 * time.Millisecond}, Database{dir, dir, name, fmt.Sprintf("%d:%d", owner, owner)}, into}
	if statements != "" {
		l.sql(t, statements)
	}
	for _, path := range []string{dir, into, filepath.Join(dir, name)} {
		if err := os.Chown(path, owner, owner); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return l
}

// sql runs statements on the database.
func (l laid) sql(t *testing.T, statements string) string {
	t.Helper()
	return query(t, l.Program, filepath.Join(l.Folder, l.Name), statements)
}

func query(t *testing.T, program, path, statements string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, "-batch", "-bail", "-cmd", ".timeout 20000", path, statements).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", statements, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (l laid) take(t *testing.T) error {
	t.Helper()
	return l.Copy(t.Context(), l.Database, l.into, "copy")
}

const transfers = "CREATE TABLE accounts (id INTEGER PRIMARY KEY, amount INT); INSERT INTO accounts VALUES (1, 500), (2, 500); CREATE TABLE log (n INTEGER PRIMARY KEY)"

// TestRowsOfATransactionAreNeverTorn: while a program writes, each copy has the sum that
// every transaction keeps, and stays in the mode of the database.
func TestRowsOfATransactionAreNeverTorn(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"wal", "delete"} {
		t.Run(mode, func(t *testing.T) {
			l := lay(t, "odd 'na?me%20#[.db", "PRAGMA journal_mode="+mode+"; "+transfers)
			l.Wait = 20 * time.Second
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			writer := exec.CommandContext(ctx, l.Program, "-batch", "-cmd", ".timeout 20000", filepath.Join(l.Folder, l.Name))
			writer.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner, Gid: owner}}
			if err := os.Chmod(filepath.Dir(l.Folder), 0o755); err != nil {
				t.Fatal(err)
			}
			stdin, err := writer.StdinPipe()
			if err == nil {
				err = writer.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for ctx.Err() == nil {
					if _, err := fmt.Fprintln(stdin, "BEGIN IMMEDIATE; UPDATE accounts SET amount = amount - 1 WHERE id = 1; UPDATE accounts SET amount = amount + 1 WHERE id = 2; INSERT INTO log DEFAULT VALUES; COMMIT;"); err != nil {
						return
					}
				}
			}()
			for i := range 2 {
				if err := l.Copy(t.Context(), l.Database, l.into, fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
				copied := filepath.Join(l.into, fmt.Sprint(i))
				if got := query(t, l.Program, copied, "SELECT SUM(amount) FROM accounts; PRAGMA journal_mode"); got != "1000\n"+mode {
					t.Errorf("copy %d has %q", i, got)
				}
			}
			cancel()
			<-ended
			_ = writer.Wait() // it was killed
		})
	}
}

// TestWhatCannotBeCopied: each is distinguished, and leaves the database as it was.
func TestWhatCannotBeCopied(t *testing.T) {
	t.Parallel()
	t.Run("locked", func(t *testing.T) {
		l := lay(t, "a.db", transfers)
		holder := exec.CommandContext(t.Context(), l.Program, "-batch", filepath.Join(l.Folder, l.Name))
		stdin, err := holder.StdinPipe()
		stdout, err2 := holder.StdoutPipe()
		if err := errors.Join(err, err2, holder.Start()); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(stdin, "BEGIN EXCLUSIVE; SELECT 1;")
		if _, err := stdout.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := l.take(t); !errors.Is(err, ErrLocked) {
			t.Errorf("got %v", err)
		}
		if err := errors.Join(stdin.Close(), holder.Wait()); err != nil {
			t.Fatal(err)
		}
		if err := l.take(t); err != nil {
			t.Errorf("once it is free: %v", err)
		}
	})
	t.Run("corrupt", func(t *testing.T) {
		l := lay(t, "a.db", "CREATE TABLE t (x); INSERT INTO t SELECT hex(randomblob(3000)) FROM generate_series(1, 20)")
		f, err := os.OpenFile(filepath.Join(l.Folder, l.Name), os.O_RDWR, 0)
		if err == nil {
			_, err = f.WriteAt(make([]byte, 8192), 4096)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if err := l.take(t); err == nil || errors.Is(err, ErrLocked) || errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "malformed") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("deleted", func(t *testing.T) {
		l := lay(t, "a.db", "")
		if err := l.take(t); !errors.Is(err, ErrGone) {
			t.Errorf("got %v", err)
		}
		if left, _ := os.ReadDir(l.Folder); len(left) > 0 {
			t.Errorf("it was made: %v", left)
		}
	})
	t.Run("a link", func(t *testing.T) {
		l := lay(t, "a.db", "")
		other := lay(t, "b.db", transfers)
		if err := os.Symlink(filepath.Join(other.Folder, "b.db"), filepath.Join(l.Folder, "a.db")); err != nil {
			t.Fatal(err)
		}
		if err := l.take(t); err == nil {
			t.Error("a link to another database was followed")
		}
	})
	t.Run("another's", func(t *testing.T) {
		l := lay(t, "a.db", transfers)
		if err := errors.Join(os.Chown(filepath.Join(l.Folder, "a.db"), 0, 0), os.Chmod(filepath.Join(l.Folder, "a.db"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := l.take(t); err == nil {
			t.Error("the user that is asked for did not count")
		}
	})
}
