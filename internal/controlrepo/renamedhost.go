package controlrepo

import (
	"fmt"
	"io/fs"
	"strings"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/lockfile"
	"salvor/internal/placement"
	"salvor/internal/yamldoc"
)

// renameHosts gives hosts that have another name now their placements and keys under
// it. Renaming then has the files that say so in Git, which belong into one commit:
// a placement on a name without a key would be another machine's.
func (repo *Repository) renameHosts(r *yamldoc.Reader, fsys fs.FS) {
	for _, h := range repo.Fleet.Hosts {
		if _, still := repo.Fleet.Host(h.Formerly); h.Formerly == "" || still {
			continue
		}
		was, known := repo.Recipients[h.Formerly]
		now, enrolled := repo.Recipients[h.Name]
		if known && enrolled && was != now && len(repo.Lock.On(h.Formerly)) > 0 {
			r.Advise(r.Places.Of("hosts", h.Name, "formerly"), fmt.Sprintf("declare %s again, then: salvor recover %s --to %s", h.Formerly, h.Formerly, h.Name),
				"%s is not the same machine as %s: it has another key", h.Name, h.Formerly)
			continue
		}
		if known {
			repo.renameKey(fsys, h)
		}
		repo.renamePlacements(h)
	}
}

func (repo *Repository) renameKey(fsys fs.FS, h fleet.Host) {
	before := fleet.HostDir + "/" + h.Formerly + ".pub"
	if content, err := fs.ReadFile(fsys, before); err == nil {
		repo.renaming(before, nil)
		if _, enrolled := repo.Recipients[h.Name]; !enrolled {
			repo.renaming(fleet.HostDir+"/"+h.Name+".pub", content)
			repo.Recipients[h.Name], repo.HostSigners[h.Name] = repo.Recipients[h.Formerly], repo.HostSigners[h.Formerly]
		}
	}
	if key := repo.DeployKeys[h.Formerly]; key != "" {
		content, err := fs.ReadFile(fsys, fleet.DeployKeysFile)
		if err == nil {
			repo.renaming(fleet.DeployKeysFile, SetDeployKey(SetDeployKey(content, h.Formerly, ""), h.Name, key))
		}
		repo.DeployKeys[h.Name] = key
		delete(repo.DeployKeys, h.Formerly)
	}
	delete(repo.Recipients, h.Formerly)
	delete(repo.HostSigners, h.Formerly)
}

func (repo *Repository) renamePlacements(h fleet.Host) {
	if len(repo.Lock.On(h.Formerly)) == 0 {
		return
	}
	repo.Lock = placement.RenameHost(repo.Lock, h.Formerly, h.Name)
	if content, err := lockfile.Encode(repo.Lock); err == nil { // it was read, so it can be written
		repo.renaming(lockfile.Name, content)
	}
}

func (repo *Repository) renaming(file string, content []byte) {
	if repo.Renaming == nil {
		repo.Renaming = map[string][]byte{}
	}
	repo.Renaming[file] = content
}

// noticeRenamedHosts reports each host that has stacks and is no longer declared,
// when a new host may be the same machine.
func (repo *Repository) noticeRenamedHosts() {
	for _, gone := range unknownHosts(repo.Recipients, &repo.Fleet) {
		stacks := repo.Lock.On(gone)
		for _, h := range repo.Fleet.Hosts {
			key, enrolled := repo.Recipients[h.Name]
			if len(stacks) == 0 || h.Formerly != "" || enrolled && key != repo.Recipients[gone] {
				continue
			}
			repo.Findings = append(repo.Findings, finding.Finding{
				Code: finding.HostRenamed, Severity: finding.Fatal, Subject: repo.places.Of("hosts", h.Name).String(),
				Text: fmt.Sprintf("host %s is new, and host %s, which has %s, is no longer declared", h.Name, gone, strings.Join(stacks, ", ")),
				Fix:  fmt.Sprintf("if it was renamed: hosts: {%s: {formerly: %s}}; if not, declare %s again", h.Name, gone, gone),
			})
		}
	}
}
