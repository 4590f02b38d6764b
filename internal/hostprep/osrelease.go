// Package hostprep says what a host needs before stacks can run there: packages,
// Docker with Compose, time, Salvor's directories and its service. It only
// describes; package converge makes it so.
package hostprep

import (
	"bytes"
	"fmt"
	"strings"
)

const osReleaseFile = "/etc/os-release"

// OS is a distribution as os-release(5) names it.
type OS struct {
	ID       string // "debian"
	Version  string // "13", "24.04"
	Codename string // "trixie"
}

// String returns "debian 13".
func (o OS) String() string { return strings.TrimSpace(o.ID + " " + o.Version) }

// ParseOSRelease reads os-release(5): lines of KEY=value, the value perhaps in
// quotes as in a shell.
func ParseOSRelease(content []byte) (OS, error) {
	values := map[string]string{}
	for line := range bytes.Lines(content) {
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return OS{}, fmt.Errorf("os-release: unexpected line %q", text)
		}
		values[key] = unquote(value)
	}
	os := OS{ID: values["ID"], Version: values["VERSION_ID"], Codename: values["VERSION_CODENAME"]}
	if os.ID == "" {
		return OS{}, fmt.Errorf("os-release: no ID")
	}
	return os, nil
}

// unquote takes a pair of quotes away and the backslashes that shield a
// character within double ones.
func unquote(value string) string {
	if len(value) < 2 || value[0] != value[len(value)-1] || value[0] != '"' && value[0] != '\'' {
		return value
	}
	inner := value[1 : len(value)-1]
	if value[0] == '\'' {
		return inner
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`, "\\`", "`").Replace(inner)
}
