package controlrepo

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/sign"
	"salvor/internal/yamldoc"
)

// Declared returns a copy of what fleet.yaml and hosts/ declare, which stays as it is
// when repo is changed. Stacks and the lock are not in it.
func (repo *Repository) Declared() *Repository {
	d := &Repository{Dir: repo.Dir, Fleet: repo.Fleet, Recipients: maps.Clone(repo.Recipients), HostSigners: maps.Clone(repo.HostSigners), HostKeys: slices.Clone(repo.HostKeys), LetIn: slices.Clone(repo.LetIn)}
	d.Fleet.Stacks, d.Fleet.Hosts = nil, slices.Clone(repo.Fleet.Hosts)
	d.Fleet.Recipients.Operators = maps.Clone(repo.Fleet.Recipients.Operators)
	return d
}

// Amended returns Declared as it is with some files changed: contents by path, nil
// for one that is gone. A file that can't be read declares what it did before.
func (repo *Repository) Amended(files map[string][]byte) *Repository {
	next := repo.Declared()
	if next.Recipients == nil {
		next.Recipients, next.HostSigners = map[string]string{}, map[string]sign.Public{}
	}
	for path, content := range files {
		problems := &yamldoc.Report{}
		host, isRecipient := strings.CutSuffix(strings.TrimPrefix(path, fleet.HostDir+"/"), ".pub")
		switch {
		case path == fleet.File:
			r := yamldoc.NewReader(fleet.File, problems)
			if file, understood := decodeFleet(r, bytes.Clone(content), ""); understood && problems.Err() == nil {
				next.Fleet = file.fleet
			}
		case path == fleet.KnownHostsFile:
			next.HostKeys = decodeKnownHosts(path, content, problems)
		case path == fleet.AuthorizedKeysFile:
			next.LetIn = decodeAuthorizedKeys(path, content, problems)
		case isRecipient && strings.HasPrefix(path, fleet.HostDir+"/"):
			delete(next.Recipients, host)
			delete(next.HostSigners, host)
			if k := decodeHostKeys(path, content, problems); k.Recipient != "" {
				next.Recipients[host], next.HostSigners[host] = k.Recipient, k.Signer
			}
		}
	}
	return next
}
