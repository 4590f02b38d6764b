package controlrepo

import (
	"crypto/rand"
	"encoding/hex"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/yamldoc"
)

// newRecord is where a new fleet's record will lie, on a remote that is chosen with
// the first placement: in a folder that no other fleet has, whatever its name.
func newRecord(name string) fleet.Location {
	id := make([]byte, 4)
	rand.Read(id) // never fails: it ends the program instead
	return fleet.Location{Path: "salvor/" + name + "-" + hex.EncodeToString(id) + "/record"}
}

// settleRecord says where the record is: where the lock has it, from the first
// placement on. Until then it is where fleet.yaml declares it, or on the first
// remote.
func (repo *Repository) settleRecord() {
	declared, settled := repo.Fleet.Record, repo.Lock.Record
	switch {
	case settled.Remote != "":
		repo.Fleet.Record = settled
	case declared == fleet.Location{} && len(repo.Fleet.Remotes) > 0:
		repo.Fleet.Record = fleet.Location{Remote: repo.Fleet.Remotes[0].Name, Path: settled.Path}
		if settled.Path == "" {
			repo.Fleet.Record.Path = "salvor/record"
		}
	}
	repo.noticeRecord(declared, settled)
}

// noticeRecord reports that fleet.yaml has the record elsewhere than the lock, or no
// longer has its remote.
func (repo *Repository) noticeRecord(declared, settled fleet.Location) {
	if settled.Remote == "" {
		return
	}
	f := finding.Finding{Code: finding.RecordMoved, Text: "the record is at " + settled.String()}
	_, known := repo.Fleet.Remote(settled.Remote)
	switch {
	case !known:
		f.Severity, f.Subject = finding.Fatal, repo.places.Of("remotes").String()
		f.Text += ", and no remote " + settled.Remote + " is declared any more"
		f.Fix = "declare " + settled.Remote + " under remotes: again; salvor record move REMOTE takes the record to another one first"
	case declared != fleet.Location{} && declared != settled:
		f.Severity, f.Subject = finding.Warning, repo.places.Of("record").String()
		f.Text += " and stays there, whatever record: says"
		f.Fix = "salvor record move " + declared.String() + " takes it there; or take record: out of fleet.yaml"
	default:
		return
	}
	repo.Findings = append(repo.Findings, f)
}

// RemoveRecord returns fleet.yaml without where the record is to be: the lock says it.
func RemoveRecord(content []byte) ([]byte, error) {
	return yamldoc.Remove(content, yamldoc.Path{"record"})
}

// CheckRecord returns why the record can't be at a place, nil when it can.
func CheckRecord(at fleet.Location) error { return fleet.ValidRemotePath(at.Path) }
