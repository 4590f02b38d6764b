package observe_test

import (
	"io/fs"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/machine/debiantest"
	"salvor/internal/machine/observe"
)

func TestCompareVersions(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"1.0", "1.0", 0},
		{"1.0", "1.0-0", 0},
		{"0:1.0", "1.0", 0},
		{"0.12.1-2", "0.14", -1},
		{"0.18.0-1+b4", "0.14", 1},
		{"0.14.0~rc1", "0.14.0", -1},
		{"0.14", "0.14~", 1},
		{"1:0.1", "9.9", 1},
		{"10:1", "9:1", 1},
		{"26.1.5+dfsg1-9", "26.1.5", 1},
		{"1.10", "1.9", 1},
		{"1.009", "1.9", 0},
		{"1.a", "1.+", -1},
		{"20.10.24+dfsg1-1+deb12u1", "20.10.24+dfsg1-1", 1},
	}
	for _, tc := range tests {
		if got := observe.CompareVersions(tc.a, tc.b); got != tc.want {
			t.Errorf("%s against %s: %d, want %d", tc.a, tc.b, got, tc.want)
		}
		if got := observe.CompareVersions(tc.b, tc.a); got != -tc.want {
			t.Errorf("%s against %s: %d, want %d", tc.b, tc.a, got, -tc.want)
		}
	}
}

func TestParseStatus(t *testing.T) {
	content := `Package: adduser
Status: install ok installed
Version: 3.152
Description: add and remove users
 Package: not a field, a continuation

Package: systemd-timesyncd
Status: install ok installed
Version: 257.13-1~deb13u1
Provides: time-daemon (= 1), ntp

Package: restic
Status: hold ok unpacked
Version: 0.12.1-2

Package: gone
Status: deinstall ok config-files
Version: 1
`
	got, err := observe.ParseStatus([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]observe.Package{
		"adduser":           {Name: "adduser", Version: "3.152", State: "installed"},
		"systemd-timesyncd": {Name: "systemd-timesyncd", Version: "257.13-1~deb13u1", State: "installed", Provides: []string{"time-daemon", "ntp"}},
		"restic":            {Name: "restic", Version: "0.12.1-2", State: "unpacked", Held: true},
		"gone":              {Name: "gone", Version: "1", State: "config-files"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	if got["gone"].Installed() || !got["restic"].Interrupted() {
		t.Error("states misread")
	}
}

// What a Debian 13 host printed: a unit that is not there, a running one, one
// whose condition did not hold.
const shown = `LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
ActiveEnterTimestamp=
NeedDaemonReload=no
ConditionResult=no
ConditionTimestamp=

LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
ActiveEnterTimestamp=Mon 2026-11-23 11:50:17.973781 UTC
NeedDaemonReload=yes
ConditionResult=yes
ConditionTimestamp=Mon 2026-11-23 11:50:17.856254 UTC

LoadState=loaded
ActiveState=inactive
SubState=dead
UnitFileState=enabled
ActiveEnterTimestamp=
NeedDaemonReload=no
ConditionResult=no
ConditionTimestamp=Mon 2026-11-23 11:50:17.856254 UTC
`

func TestParseUnits(t *testing.T) {
	got, err := observe.ParseUnits([]byte(shown))
	if err != nil {
		t.Fatal(err)
	}
	want := []observe.Unit{
		{Load: "not-found", Active: "inactive", Sub: "dead"},
		{Load: "loaded", Active: "active", Sub: "running", FileState: "enabled", NeedReload: true, Since: time.Date(2026, 11, 23, 11, 50, 17, 973781000, time.UTC)},
		{Load: "loaded", Active: "inactive", Sub: "dead", FileState: "enabled", SkippedStart: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("units (-want +got):\n%s", diff)
	}
	if got[0].Exists() || !got[1].Exists() {
		t.Error("existence misread")
	}
}

func TestParseStat(t *testing.T) {
	got, err := observe.ParseStat([]byte("41ed\t0\t0\t4096\t1795434617.852890043\t/etc\n8980\t7\t8\t3\t1795433839.000000000\t/a file\nc1ff\t0\t0\t0\t1\t/sock\na1ff\t0\t0\t0\t1\t/link\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]observe.File{
		"/etc":    {Exists: true, Mode: fs.ModeDir | 0o755, Size: 4096, Modified: time.Unix(1795434617, 852890043).UTC()},
		"/a file": {Exists: true, Mode: fs.ModeSetuid | 0o600, UID: 7, GID: 8, Size: 3, Modified: time.Unix(1795433839, 0).UTC()},
		"/sock":   {Exists: true, Mode: fs.ModeIrregular | 0o777, Modified: time.Unix(1, 0).UTC()},
		"/link":   {Exists: true, Mode: fs.ModeSymlink | 0o777, Modified: time.Unix(1, 0).UTC()},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if mode := observe.OctalMode(got["/a file"].Mode); mode != "4600" {
		t.Errorf("mode %s, want 4600", mode)
	}
}

func TestHostReadsOnce(t *testing.T) {
	h := debiantest.New()
	o := observe.New(h, observe.Query{Paths: []string{"/etc", "/nothing"}})
	for range 2 {
		if f, err := o.File(t.Context(), "/nothing"); err != nil || f.Exists {
			t.Fatalf("%v, %v", f, err)
		}
		if f, err := o.File(t.Context(), "/etc"); err != nil || !f.Mode.IsDir() {
			t.Fatalf("%v, %v", f, err)
		}
	}
	if calls := h.Calls(); len(calls) != 1 {
		t.Errorf("calls %q, want one", calls)
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte("Package: a\nStatus: install ok installed\nVersion: 1\n\n"))
	if content, err := os.ReadFile("/var/lib/dpkg/status"); err == nil {
		f.Add(content[:min(len(content), 4096)])
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		packages, err := observe.ParseStatus(content)
		if err == nil && packages == nil {
			t.Error("neither packages nor an error")
		}
		for name, p := range packages {
			if name == "" || p.Name != name {
				t.Errorf("package %+v under %q", p, name)
			}
		}
	})
}

func FuzzParseUnits(f *testing.F) {
	f.Add([]byte(shown))
	f.Fuzz(func(t *testing.T, out []byte) {
		units, err := observe.ParseUnits(out)
		for _, u := range units {
			if err == nil && u.Load == "" {
				t.Errorf("unit without load state: %+v", u)
			}
		}
	})
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("41ed\t0\t0\t4096\t1795434617.852890043\t/etc\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		files, err := observe.ParseStat(out)
		for path, file := range files {
			if err == nil && !file.Exists {
				t.Errorf("%s: printed by stat and not there", path)
			}
		}
	})
}

func FuzzParseAccounts(f *testing.F) {
	f.Add([]byte("root:x:0:0:root:/root:/bin/bash\n+@nis::::::\n"))
	f.Add([]byte("root:x:0:\nadm:x:4:syslog,ubuntu\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		users, err := observe.ParsePasswd(content)
		for name, u := range users {
			if err == nil && u.Name != name {
				t.Errorf("user %+v under %q", u, name)
			}
		}
		groups, err := observe.ParseGroup(content)
		for name, g := range groups {
			if err == nil && (g.Name != name || slices.Contains(g.Members, "")) {
				t.Errorf("group %+v under %q", g, name)
			}
		}
	})
}

func FuzzCompareVersions(f *testing.F) {
	f.Add("1:2.3-4", "1:2.3~rc1-4")
	f.Fuzz(func(t *testing.T, a, b string) {
		if observe.CompareVersions(a, b) != -observe.CompareVersions(b, a) {
			t.Errorf("%q against %q is not symmetric", a, b)
		}
		if observe.CompareVersions(a, a) != 0 {
			t.Errorf("%q differs from itself", a)
		}
	})
}
