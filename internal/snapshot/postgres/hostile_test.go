package postgres

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"salvor/internal/snapshot/method"
)

// hostile is a container whose programs say what its owner likes: what they say
// by the last argument that names one, and how much of it was taken.
type hostile struct {
	says  map[string]string // by verb or program; repeated for ever where it ends in "…"
	taken int64
}

// Exec implements Runner.
func (h *hostile) Exec(_ context.Context, c method.Command) error {
	if c.Stdout == nil {
		return nil
	}
	what := c.Argv[4]
	if what == "with" {
		what = c.Argv[12]
	}
	if what == "psql" && c.Stdin == nil {
		what = "query"
		switch c.Argv[len(c.Argv)-1] {
		case describeServer:
			what = "description"
		case listDatabases:
			what = "databases"
		}
	}
	if what == "psql" { // the transaction
		if _, err := c.Stdin.Read(make([]byte, 1<<10)); err != nil {
			return err
		}
		if _, err := io.WriteString(c.Stdout, h.says["transaction"]); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, c.Stdin); err != nil {
			return err
		}
	}
	text, endless := strings.CutSuffix(h.says[what], "…")
	for {
		n, err := io.WriteString(c.Stdout, text)
		if h.taken += int64(n); err != nil || !endless {
			return err
		}
	}
}

// lay makes a volume with a data folder and a container that serves it.
func lay(t *testing.T) (*hostile, method.Volume) {
	t.Helper()
	v := method.Volume{Path: t.TempDir(), MountAt: "/data"}
	if err := os.WriteFile(filepath.Join(v.Path, "PG_VERSION"), []byte("17\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &hostile{says: map[string]string{
		"owner": "70:70\n", "find": "/data\x00/usr/bin\x00/run\x005432\x00postgres\x00\x00postgres\x00",
		"description": `{"version": 170000}`, "databases": `["app"]`, "transaction": "00000003-1\n",
	}}, v
}

// TestS15WhatAContainerSaysIsBounded: whatever its programs say for ever, little
// of it is kept, and the dump ends.
func TestS15WhatAContainerSaysIsBounded(t *testing.T) {
	t.Parallel()
	line := strings.Repeat("x", 1<<20) + "…"
	for name, c := range map[string]struct {
		program, says string
		most          int64
	}{
		"owner":         {"owner", line, askTries * (method.MaxAnswer + 1<<20)},
		"server":        {"find", line, method.MaxAnswer + 1<<20},
		"description":   {"description", line, method.MaxAnswer + 1<<20},
		"databases":     {"databases", line, method.MaxAnswer + 1<<20},
		"transaction":   {"transaction", line[:maxLine+1], maxLine},
		"one long line": {"psql", line, 2 * maxLine},
		"counts":        {"psql", `["` + strings.Repeat("a", maxLine/2) + `", 1]` + "\n…", maxCounts + 1<<20},
		"list":          {shell, line, method.MaxAnswer + 1<<20},
		"roles":         {"pg_dumpall", line, method.MaxAnswer + 1<<20},
		"many names":    {"databases", "[" + strings.Repeat(`"a",`, maxDatabases) + `"b"]`, 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			h, v := lay(t)
			h.says[c.program] = c.says
			_, err := Dump(t.Context(), h, v, filepath.Join(t.TempDir(), "dump"))
			if err == nil || h.taken > c.most {
				t.Errorf("%d bytes were taken, error %.200v", h.taken, err)
			}
		})
	}
}

// TestS15ADumpLeavesAReserveOfTheDisk: one that would fill the disk is stopped.
func TestS15ADumpLeavesAReserveOfTheDisk(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("a small disk needs root")
	}
	disk := t.TempDir()
	if err := unix.Mount("salvor-test", disk, "tmpfs", 0, "size=40m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
	h, v := lay(t)
	h.says["pg_dump"] = strings.Repeat("\x00", 1<<20) + "…"
	_, err := Dump(t.Context(), h, v, filepath.Join(disk, "dump"))
	var st unix.Statfs_t
	if !errors.Is(err, method.ErrNoRoom) || unix.Statfs(disk, &st) != nil || st.Bavail*20 < st.Blocks {
		t.Errorf("%d of %d blocks are left: %v", st.Bavail, st.Blocks, err)
	}
}

// TestS15ProgramsAreTheImages: what a folder of the container's PATH or the
// folder that it works in holds is not run.
func TestS15ProgramsAreTheImages(t *testing.T) {
	t.Parallel()
	dir, data := t.TempDir(), t.TempDir()
	for name, content := range map[string]string{"PG_VERSION": "17\n", "postmaster.pid": "1\n" + data + "\n0\n1\n" + data + "\n\n"} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"stat", "cat", "id", "readlink", "true", "psql", "pg_isready"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho evil\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"owner"}, {"with", "", "/run", "5432", "postgres", "", "postgres", "", "true"}, {"find", ""},
		{"with", "/usr/bin", "/run", "5432", "postgres", "", "postgres", "", "id"},
	} {
		c := osexec.CommandContext(t.Context(), shell, append([]string{"-c", string(connectScript), "salvor"}, args...)...)
		c.Dir, c.Env = dir, []string{"PATH=" + dir, "PGDATA=" + data}
		if out, _ := c.CombinedOutput(); bytes.Contains(out, []byte("evil")) { // the verbs may fail: no server runs
			t.Errorf("%q: %s", args, out)
		}
	}
}

// TestS31NoLinkOfADatabaseLeadsOutOfItsVolume: neither a server's folders nor the
// files next to them are looked for elsewhere on the host.
func TestS31NoLinkOfADatabaseLeadsOutOfItsVolume(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	for _, name := range []string{"PG_VERSION", "secret"} {
		if err := os.WriteFile(filepath.Join(outside, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h, v := lay(t)
	if err := os.Symlink(outside, filepath.Join(v.Path, "data")); err != nil {
		t.Fatal(err)
	}
	h.says["find"] = strings.Replace(h.says["find"], "/data\x00", "/data/data\x00", 1)
	if m, err := Dump(t.Context(), h, v, filepath.Join(t.TempDir(), "dump")); err == nil {
		t.Errorf("the server was taken to be in %+v", m.Folders)
	}
	m := Manifest{Folders: method.Folders{{Path: "."}, {Path: "data"}}}
	if files, err := m.Files(v); err == nil {
		t.Errorf("beside the server: %q", files)
	}
}

// TestS31ALoadStaysInItsFolders: neither a snapshot's manifest or links nor those
// that the server left have a load change something else on the host.
func TestS31ALoadStaysInItsFolders(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]func(t *testing.T, dump, into, outside string) Manifest{
		"manifest climbs": func(*testing.T, string, string, string) Manifest {
			return Manifest{Folders: method.Folders{{Path: "."}, {Path: "../outside"}}}
		},
		"link in the dump": func(t *testing.T, dump, into, outside string) Manifest {
			return linked(t, filepath.Join(FilesIn(dump), "data"), outside, filepath.Join(into, "data"))
		},
		"link in the volume": func(t *testing.T, dump, into, outside string) Manifest {
			return linked(t, filepath.Join(into, "data"), outside, filepath.Join(FilesIn(dump), "data"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			dump, into, outside := filepath.Join(top, "dump"), filepath.Join(top, "into"), filepath.Join(top, "outside")
			if err := errors.Join(os.MkdirAll(FilesIn(dump), 0o700), os.Mkdir(into, 0o700), os.Mkdir(outside, 0o700)); err != nil {
				t.Fatal(err)
			}
			kept := filepath.Join(outside, "kept")
			if err := os.WriteFile(kept, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			m := c(t, dump, into, outside)
			err := errors.Join(m.check(), m.Folders.PutFiles(FilesIn(dump), into))
			info, gone := os.Stat(outside)
			if _, lost := os.Lstat(kept); err == nil || gone != nil || lost != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("outside is %v, %v, %v; error %v", info, gone, lost, err)
			}
		})
	}
}

// linked makes a link where a manifest's folder is expected, and a folder with a
// file on the other side.
func linked(t *testing.T, link, to, other string) Manifest {
	t.Helper()
	if err := errors.Join(os.Symlink(to, link), os.Mkdir(other, 0o700), os.WriteFile(filepath.Join(other, "kept"), []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return Manifest{Folders: method.Folders{{Path: "."}, {Path: "data", Mode: 0o755, UID: 70, GID: 70}}}
}

// TestS31AFileOfADumpIsAFile: a link in a snapshot's dump does not have a file of
// the host given to the database.
func TestS31AFileOfADumpIsAFile(t *testing.T) {
	t.Parallel()
	dump := t.TempDir()
	for name, to := range map[string]string{globalsFile: "/etc/passwd", "app.dump": "real"} {
		if err := os.Symlink(to, filepath.Join(dump, name)); err != nil {
			t.Fatal(err)
		}
		if content, err := method.ReadFile(dump, name); err == nil {
			t.Errorf("%s: %.40q", name, content)
		}
	}
}
