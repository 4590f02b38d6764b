package restic

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/machine"
	"salvor/internal/secret"
)

// What restic 0.14 and 0.18 print, shortened.
const (
	report014 = `{"message_type":"status","percent_done":0,"total_files":1,"total_bytes":3}
{"message_type":"summary","files_new":2,"files_changed":1,"files_unmodified":4,"dirs_new":0,"dirs_changed":3,"dirs_unmodified":0,"data_blobs":0,"tree_blobs":4,"data_added":1590,"total_files_processed":7,"total_bytes_processed":20,"total_duration":0.27,"snapshot_id":"42de8b9b"}
`
	report018 = `{"message_type":"summary","files_new":2,"files_changed":1,"data_added":1590,"data_added_packed":900,"total_files_processed":7,"total_bytes_processed":20,"backup_start":"2026-11-23T12:00:00Z","snapshot_id":"42de8b9b19f6"}
`
)

func TestBackupReport(t *testing.T) {
	for name, out := range map[string]string{"0.14": report014, "0.18": report018} {
		t.Run(name, func(t *testing.T) {
			var r backupReport
			w := &lineWriter{each: r.line}
			for _, b := range []byte(out) { // lines arrive in any pieces
				if _, err := w.Write([]byte{b}); err != nil {
					t.Fatal(err)
				}
			}
			got, err := r.result()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Summary{Files: 7, Bytes: 20, FilesNew: 2, FilesChanged: 1, BytesAdded: 1590}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestBackupReportCutShort(t *testing.T) {
	for name, out := range map[string]string{"nothing": "", "half a line": report014[:150], "no JSON": "Fatal: oops\n"} {
		t.Run(name, func(t *testing.T) {
			var r backupReport
			w := &lineWriter{each: r.line}
			if _, err := w.Write([]byte(out)); err != nil {
				t.Fatal(err)
			}
			if s, err := r.result(); err == nil {
				t.Errorf("taken for a summary: %+v", s)
			}
		})
	}
}

func TestUnreadFilesAreNamed(t *testing.T) {
	var r unreadReport
	w := &lineWriter{each: r.line}
	_, err := w.Write([]byte("warning: x\n" + `{"message_type":"error","error":{"Op":"open","Path":"a","Err":2},"during":"archival","item":"/salvor/notes/data/a"}` + "\n"))
	if err != nil || len(r.items) != 1 || r.items[0] != "/salvor/notes/data/a" {
		t.Errorf("got %q, %v", r.items, err)
	}
}

func TestVersion(t *testing.T) {
	v, err := ParseVersion([]byte("restic 0.18.0 compiled with go1.24.4 on linux/amd64\n"))
	if err != nil || v.String() != "0.18.0" {
		t.Fatalf("%v, %v", v, err)
	}
	for _, tt := range []struct {
		major, minor int
		want         bool
	}{{0, 14, true}, {0, 18, true}, {0, 19, false}, {1, 0, false}} {
		if got := v.AtLeast(tt.major, tt.minor); got != tt.want {
			t.Errorf("AtLeast(%d, %d) = %v", tt.major, tt.minor, got)
		}
	}
	if v, err := ParseVersion([]byte("rustic 0.18.0")); err == nil {
		t.Errorf("taken for %v", v)
	}
}

func TestExplain(t *testing.T) {
	exit := func(code int, stderr string) error {
		return &machine.ExitError{Argv: []string{"salvord", "namespace"}, Code: code, Stderr: []byte(stderr)}
	}
	for _, tt := range []struct {
		name string
		err  error
		want error
	}{
		{"0.14 wrong password", exit(1, "Fatal: wrong password or no key found\n"), secret.ErrLocked},
		{"0.18 wrong password", exit(12, ""), secret.ErrLocked},
		{"0.14 locked", exit(1, "unable to create lock in backend: repository is already locked exclusively by PID 7\n"), ErrInUse},
		{"0.18 locked", exit(11, ""), ErrInUse},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := explain("backup", tt.err); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if err := explain("backup", exit(1, "Fatal: no\n")); !strings.HasPrefix(err.Error(), "restic backup: exit 1: Fatal: no") {
		t.Errorf("got %v", err)
	}
}

func FuzzBackupReport(f *testing.F) {
	f.Add([]byte(report014))
	f.Add([]byte(report018))
	f.Add([]byte("{}\n[]\nnull\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		var r backupReport
		var u unreadReport
		for _, w := range []*lineWriter{{each: r.line}, {each: u.line}} {
			if n, err := w.Write(out); n != len(out) || err != nil {
				t.Fatalf("%d of %d, %v", n, len(out), err)
			}
		}
		_, _ = r.result() // only must not panic
	})
}

func FuzzVersion(f *testing.F) {
	f.Add([]byte("restic 0.14.0 compiled with go1.19.8 on linux/amd64\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		v, err := ParseVersion(out)
		if err != nil {
			return
		}
		if again, err := ParseVersion([]byte("restic " + v.String())); err != nil || again != v {
			t.Errorf("%v is read again as %v, %v", v, again, err)
		}
	})
}
