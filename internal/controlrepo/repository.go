// Package controlrepo is the files of a control repository, in which the operator
// declares the fleet. It reads and checks them, and edits them so that comments and
// order stay. It alone knows YAML and places in files; what it returns is validated.
package controlrepo

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/lockfile"
	"salvor/internal/sign"
	"salvor/internal/suggest"
	"salvor/internal/yamldoc"
)

// ErrNotFound means that a folder is not in a control repository. It maps to exit
// code 10.
var ErrNotFound = fault.Kind("no control repository", fault.NoRepo)

// A Repository is what the files of a control repository declare.
type Repository struct {
	Dir          string
	Fleet        fleet.Fleet
	Lock         fleet.Lock
	Recipients   map[string]string      // host name to age recipient, from hosts/<name>.pub
	HostSigners  map[string]sign.Public // host name to the key that it signs with, from the same files; "" for none
	HostKeys     []HostKey              // pinned, from hosts/known_hosts
	LetIn        []string               // SSH public keys, from hosts/authorized_keys
	DeployKeys   map[string]string      // by host, "TYPE KEY", from hosts/deploy_keys
	Signers      fleet.Signers          // who may sign commits, as fleet.yaml has it; empty for anyone
	FleetSigners sign.Keys              // the fleet's signing keys, from hosts/fleet_signers; what is there is not trusted by that
	Findings     []finding.Finding      // what is worth knowing and stops nothing, worst first
	// Broken has, by stack, what is wrong in the files of its folder, in the order of
	// the places. The Fleet has such a stack as far as it could be read.
	Broken map[string][]*yamldoc.Problem
	// Renaming are the files of the commit that says the new names of hosts and stacks: the next
	// commit has them. The rest of this Repository has the new names already.
	Renaming map[string][]byte
	Renamed  []fleet.Stack // stacks that are called otherwise than the lock in Git has it

	began  map[string]string // folder of a renamed stack to the name that it began with
	places yamldoc.Places
}

// Find returns the root of the control repository that dir is in: the nearest folder
// upwards with a fleet.yaml. An error wraps ErrNotFound when there is none.
func Find(dir string) (string, error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for at := start; ; at = filepath.Dir(at) {
		switch info, err := os.Stat(filepath.Join(at, fleet.File)); {
		case err == nil && info.Mode().IsRegular():
			return at, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%w: there is no %[3]s in %[2]s or in any folder above it", ErrNotFound, start, fleet.File)
		}
	}
}

// Load reads the control repository at dir, exported from Git, for salvor of the
// given version ("" for any). What is wrong with one stack stops no other: it is in
// Broken. What is wrong outside of the stacks' folders is the error, which joins
// every Problem found, the stacks' too; then nothing else is returned. Symbolic
// links that lead out of dir are not followed.
func Load(dir, version string) (*Repository, error) {
	repo, err := open(dir, version)
	if repo == nil {
		return nil, err
	}
	found := yamldoc.Problems(err)
	repo.Broken = map[string][]*yamldoc.Problem{}
	for _, p := range found {
		stack := stackOf(p)
		if stack == "" {
			return nil, err
		}
		stack = repo.Named(stack)
		repo.Broken[stack] = append(repo.Broken[stack], p)
	}
	if len(found) == 0 && err != nil {
		return nil, err
	}
	return repo, nil
}

// stackOf returns the stack in whose folder a problem is, "" for none.
func stackOf(p *yamldoc.Problem) string {
	below, is := strings.CutPrefix(p.Position.File, fleet.StackDir+"/")
	name, _, _ := strings.Cut(below, "/")
	if !is {
		return ""
	}
	return name
}

// open returns a Repository in addition to the problems, if it got that far.
func open(dir, version string) (*Repository, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open control repository: %w", err)
	}
	defer root.Close() // only read from
	repo, err := load(root.FS(), version)
	if repo != nil {
		repo.Dir = dir
	}
	return repo, err
}

func load(fsys fs.FS, version string) (*Repository, error) {
	content, err := fs.ReadFile(fsys, fleet.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: no %s", ErrNotFound, fleet.File)
	} else if err != nil {
		return nil, fmt.Errorf("read %s: %w", fleet.File, err)
	}
	problems := &yamldoc.Report{}
	r := yamldoc.NewReader(fleet.File, problems)
	file, understood := decodeFleet(r, content, version)
	repo := &Repository{Fleet: file.fleet, places: r.Places}
	repo.Lock = readLock(fsys, problems)
	repo.Recipients, repo.HostSigners = readHostKeys(fsys, problems)
	repo.HostKeys = readKnownHosts(fsys, problems)
	repo.LetIn = readAuthorizedKeys(fsys, problems)
	repo.DeployKeys = readDeployKeys(fsys, problems)
	repo.FleetSigners = readFleetSigners(fsys, problems)
	stacks, shared := readStacks(fsys, repo.Lock, problems)
	for _, s := range stacks {
		if fleet.ValidName(s.Name) == nil {
			repo.Fleet.Stacks = append(repo.Fleet.Stacks, s.Stack)
		}
	}
	if understood {
		checkFleet(r, &repo.Fleet)
		repo.Signers = readSigners(r, fsys, repo.Fleet.Git)
		checkPlaybooks(r, fsys, repo.Fleet.Playbooks)
		repo.renameHosts(r, fsys)
		repo.settleRecord()
		repo.identify(r, fsys)
		checkSecrets(r, &repo.Fleet, fsys)
		checkStacks(stacks, &repo.Fleet)
		repo.noticeShared(fsys, shared, stacks)
		repo.notice(file.unused, stacks)
		repo.noticeSeals(fsys)
		repo.noticeSecrets(fsys)
	}
	return repo, problems.Err()
}

// Place returns where fleet.yaml says something, for messages: the keys lead to
// the value, or to the nearest one around it.
func (repo *Repository) Place(keys ...string) yamldoc.Position { return repo.places.Of(keys...) }

// readLock reads salvor.lock of a repository; a missing one is empty.
func readLock(fsys fs.FS, problems *yamldoc.Report) fleet.Lock {
	content, err := fs.ReadFile(fsys, lockfile.Name)
	if err != nil {
		problems.AddRead(lockfile.Name, err)
	}
	lock, err := lockfile.Decode(content)
	problems.Join(err)
	return lock
}

// noticeSeals reports placements whose seal is not there.
func (repo *Repository) noticeSeals(fsys fs.FS) {
	content, err := fs.ReadFile(fsys, lockfile.Name)
	if err != nil {
		return // a fleet without a lock has no placement
	}
	for _, stack := range slices.Sorted(maps.Keys(repo.Lock.Stacks)) {
		p := repo.Lock.Stacks[stack]
		file := fleet.SealedFile(p.Host, stack)
		if !repo.sealed(fsys, p.Host, stack) {
			repo.Findings = append(repo.Findings, finding.Finding{Code: finding.SealMissing, Severity: finding.Fatal, Stack: stack, Subject: lockfile.KeyPosition(content, stack).String(),
				Text: fmt.Sprintf("stack %s is placed on %s without its sealed file: %s is missing", stack, p.Host, file),
				Fix:  fmt.Sprintf("git log -- %s shows the commit that removed it; git checkout restores it", file)})
		}
	}
}

// sealed reports whether a stack has a seal for a host, under the name that it has or
// the previous one.
func (repo *Repository) sealed(fsys fs.FS, host, stack string) bool {
	h, _ := repo.Fleet.Host(host)
	for _, name := range []string{host, h.Formerly} {
		if _, err := fs.Stat(fsys, fleet.SealedFile(name, stack)); name != "" && err == nil {
			return true
		}
	}
	return false
}

// placing says how a stack gets a host.
func (repo *Repository) placing() string {
	switch names := hostNames(&repo.Fleet); len(names) {
	case 0:
		return "salvor host add NAME USER@ADDRESS, then add x-salvor: {host: NAME}"
	case 1:
		return "add x-salvor: {host: " + names[0] + "}"
	default:
		return "add x-salvor: {host: NAME}, with one of " + strings.Join(names, ", ")
	}
}

// notice collects the findings of what was read.
func (repo *Repository) notice(unused []string, stacks []stackFile) {
	add := func(code finding.Code, severity finding.Severity, place yamldoc.Position, text, fix string) {
		repo.Findings = append(repo.Findings, finding.Finding{Code: code, Severity: severity, Subject: place.String(), Text: text, Fix: fix})
	}
	for _, key := range unused {
		add(finding.SettingUnused, finding.Info, repo.places.Of(key), "this version of Salvor does not support "+key+" yet", "")
	}
	for _, s := range stacks {
		if s.Host != "" || !s.read {
			continue
		}
		if p, placed := repo.Lock.Placement(repo.Named(s.Name)); placed {
			add(finding.StackUnplaced, finding.Warning, s.where, "the stack "+s.Name+" no longer names a host and stays on "+p.Host, "add x-salvor: {host: "+p.Host+"}; salvor down "+s.Name+" stops it")
		} else {
			add(finding.StackUnplaced, finding.Info, s.where, "the stack "+s.Name+" does not name a host and is not deployed", repo.placing())
		}
	}
	repo.noticeRenamedHosts()
	for _, name := range unknownHosts(repo.Recipients, &repo.Fleet) {
		place := yamldoc.Position{File: fleet.HostDir + "/" + name + ".pub"}
		add(finding.HostFileUnused, finding.Warning, place, fleet.File+" does not declare a host "+name+suggest.DidYouMean(name, hostNames(&repo.Fleet)), "declare the host, or remove the file")
	}
	finding.Sort(repo.Findings)
}
