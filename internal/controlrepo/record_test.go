package controlrepo

import (
	"strings"
	"testing"
	"testing/fstest"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/lockfile"
)

// loadRecord loads a fleet of these remotes and further lines with a lock.
func loadRecord(t *testing.T, lock fleet.Lock, lines string) *Repository {
	t.Helper()
	encoded, err := lockfile.Encode(lock)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := load(fstest.MapFS{
		fleet.File: {Data: []byte("schema: 1\nfleet: home\n" + lines)}, lockfile.Name: {Data: encoded},
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

const (
	oneRemote  = "remotes: {nas: {type: local}}\n"
	twoRemotes = "remotes: {drive: {type: local}, nas: {type: local}}\n"
)

// TestTheRecordStaysWhereItIs is fault D6: from the first placement on, neither a
// remote above the first nor another record: moves it, and the latter is said.
func TestTheRecordStaysWhereItIs(t *testing.T) {
	at := fleet.Location{Remote: "nas", Path: "salvor/home-1234abcd/record"}
	unplaced, settled := fleet.Lock{Record: fleet.Location{Path: at.Path}}, fleet.Lock{Record: at}
	for _, test := range []struct {
		name   string
		lock   fleet.Lock
		lines  string
		want   fleet.Location
		moved  finding.Severity
		reason string
	}{
		{name: "before the first placement", lock: unplaced, lines: oneRemote, want: at},
		{name: "no remote yet", lock: unplaced, want: fleet.Location{}},
		{name: "declared before the first placement", lock: unplaced, lines: oneRemote + "record: {remote: nas, path: mine}\n", want: fleet.Location{Remote: "nas", Path: "mine"}},
		{name: "a remote above the first", lock: settled, lines: twoRemotes, want: at},
		{name: "declared as it is", lock: settled, lines: twoRemotes + "record: {remote: nas, path: " + at.Path + "}\n", want: at},
		{name: "declared elsewhere", lock: settled, lines: twoRemotes + "record: {remote: drive, path: mine}\n", want: at, moved: finding.Warning, reason: "stays there"},
		{name: "its remote is gone", lock: settled, lines: "remotes: {drive: {type: local}}\n", want: at, moved: finding.Fatal, reason: "no remote nas is declared"},
		{name: "a lock without it", lines: oneRemote, want: fleet.Location{Remote: "nas", Path: "salvor/record"}},
	} {
		repo := loadRecord(t, test.lock, test.lines)
		if repo.Fleet.Record != test.want {
			t.Errorf("%s: the record is at %+v, want %+v", test.name, repo.Fleet.Record, test.want)
		}
		var said string
		var severity finding.Severity
		for _, f := range repo.Findings {
			if f.Code == finding.RecordMoved {
				said, severity = f.Text, f.Severity
			}
		}
		if severity != test.moved || !strings.Contains(said, test.reason) {
			t.Errorf("%s: said %q (%v), want %q", test.name, said, severity, test.reason)
		}
	}
}

// TestTwoFleetsOfOneNameHaveTwoRecords is fault D6: on one remote they never touch.
func TestTwoFleetsOfOneNameHaveTwoRecords(t *testing.T) {
	one, other := newRecord("home"), newRecord("home")
	if one == other || !strings.HasPrefix(one.Path, "salvor/home-") || fleet.ValidRemotePath(one.Path) != nil {
		t.Errorf("%+v and %+v", one, other)
	}
}
