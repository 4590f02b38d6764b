package observe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"

	"salvor/internal/machine"
)

const (
	statusPath  = "/var/lib/dpkg/status"
	updatesPath = "/var/lib/dpkg/updates"
)

// A Package is what dpkg knows of one package, see dpkg-query(1).
type Package struct {
	Name     string
	Version  string
	Held     bool     // `apt-mark hold`
	State    string   // "installed", "unpacked", "config-files", …
	Provides []string // names without versions
}

// Installed reports whether the package is there and configured.
func (p Package) Installed() bool { return p.State == "installed" }

// Interrupted reports whether dpkg was stopped before it finished with the
// package: `dpkg --configure -a` continues.
func (p Package) Interrupted() bool {
	switch p.State {
	case "unpacked", "half-configured", "half-installed", "triggers-awaited", "triggers-pending":
		return true
	}
	return false
}

// readPackages reads dpkg's status file and, while dpkg works or after it was killed, what it has
// not moved into that yet: a paragraph in each of updates/0000, 0001 and on, the newest last
// (lib/dpkg/dbmodify.c of dpkg).
func readPackages(ctx context.Context, m machine.Machine) (map[string]Package, error) {
	all, err := parsed(ctx, m, statusPath, ParseStatus)
	for n := 0; err == nil; n++ {
		var update map[string]Package
		update, err = parsed(ctx, m, fmt.Sprintf("%s/%04d", updatesPath, n), ParseStatus)
		if errors.Is(err, fs.ErrNotExist) {
			return all, nil
		}
		maps.Copy(all, update)
	}
	return nil, err
}

// ParseStatus reads /var/lib/dpkg/status, which is deb822: paragraphs of
// `Key: value` lines with continuation lines that begin with a space. Of a
// package installed for several architectures it keeps the installed one.
func ParseStatus(content []byte) (map[string]Package, error) {
	packages := map[string]Package{}
	var p Package
	flush := func() {
		if old, ok := packages[p.Name]; p.Name != "" && (!ok || !old.Installed()) {
			packages[p.Name] = p
		}
		p = Package{}
	}
	for line := range strings.SplitSeq(string(content), "\n") {
		if line == "" {
			flush()
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("%s: unexpected line %q", statusPath, line)
		}
		if err := p.set(key, strings.TrimSpace(value)); err != nil {
			return nil, err
		}
	}
	flush()
	return packages, nil
}

func (p *Package) set(key, value string) error {
	switch key {
	case "Package":
		p.Name = value
	case "Version":
		p.Version = value
	case "Status":
		words := strings.Fields(value)
		if len(words) != 3 {
			return fmt.Errorf("%s: status %q of %s", statusPath, value, p.Name)
		}
		p.Held, p.State = words[0] == "hold", words[2]
	case "Provides":
		for provided := range strings.SplitSeq(value, ",") {
			if words := strings.Fields(provided); len(words) > 0 {
				p.Provides = append(p.Provides, words[0])
			}
		}
	}
	return nil
}
