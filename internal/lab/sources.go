package lab

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// codenames are the Debian releases a host can have.
var codenames = map[int]string{12: "bookworm", 13: "trixie"}

// A source is one line of sources.list(5), for one suite.
type source struct{ uri, suite, components string }

func (s source) String() string { return "deb " + s.uri + " " + s.suite + " " + s.components }

// hostSources are this machine's own Debian apt sources, for another release.
// On a machine that isn't Debian there are none, and debootstrap's default is
// used.
func hostSources(release int) ([]source, error) {
	mine, err := machineCodename()
	if err != nil {
		return nil, err
	}
	all, err := readSources("/etc/apt")
	if err != nil {
		return nil, err
	}
	return forRelease(all, mine, codenames[release]), nil
}

func forRelease(all []source, from, to string) []source {
	var mapped []source
	for _, s := range all {
		rest, ok := strings.CutPrefix(s.suite, from)
		if !ok || !slices.Contains([]string{"", "-updates", "-security"}, rest) {
			continue
		}
		s.suite = to + rest
		if !slices.Contains(mapped, s) {
			mapped = append(mapped, s)
		}
	}
	return mapped
}

func machineCodename() (string, error) {
	f, err := os.Open("/etc/os-release")
	if err != nil {
		return "", err
	}
	defer f.Close()
	values := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		values[key] = strings.Trim(value, `"`)
	}
	if values["ID"] != "debian" {
		return "no Debian here", nil
	}
	return values["VERSION_CODENAME"], nil
}

// readSources reads both formats of sources.list(5).
func readSources(apt string) ([]source, error) {
	var all []source
	old, err := filepath.Glob(filepath.Join(apt, "sources.list.d", "*.list"))
	if err != nil {
		return nil, err
	}
	for _, path := range append(old, filepath.Join(apt, "sources.list")) {
		if err := appendSources(&all, path, parseList); err != nil {
			return nil, err
		}
	}
	deb822, err := filepath.Glob(filepath.Join(apt, "sources.list.d", "*.sources"))
	if err != nil {
		return nil, err
	}
	for _, path := range deb822 {
		if err := appendSources(&all, path, parseDeb822); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func appendSources(all *[]source, path string, parse func(string) []source) error {
	content, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	*all = append(*all, parse(string(content))...)
	return nil
}

func parseList(content string) []source {
	var found []source
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "deb" {
			continue
		}
		fields = fields[1:]
		if len(fields) > 0 && strings.HasPrefix(fields[0], "[") {
			end := slices.IndexFunc(fields, func(f string) bool { return strings.HasSuffix(f, "]") })
			fields = fields[end+1:]
		}
		if len(fields) >= 3 {
			found = append(found, source{fields[0], fields[1], strings.Join(fields[2:], " ")})
		}
	}
	return found
}

func parseDeb822(content string) []source {
	var found []source
	for stanza := range strings.SplitSeq(content, "\n\n") {
		fields := map[string]string{}
		for line := range strings.Lines(stanza) {
			if key, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") {
				fields[key] = strings.TrimSpace(value)
			}
		}
		if !slices.Contains(strings.Fields(fields["Types"]), "deb") || fields["Enabled"] == "no" {
			continue
		}
		for _, uri := range strings.Fields(fields["URIs"]) {
			for _, suite := range strings.Fields(fields["Suites"]) {
				found = append(found, source{uri, suite, fields["Components"]})
			}
		}
	}
	return found
}

// aptSettings are this machine's settings about stale and early indices, which
// belong to its mirror as much as the address does.
func aptSettings(ctx context.Context) (string, error) {
	if _, err := os.Stat("/usr/bin/apt-config"); os.IsNotExist(err) {
		return "", nil
	}
	out, err := process{argv: []string{"apt-config", "dump"}}.run(ctx)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "Acquire::Check-Valid-Until ") || strings.HasPrefix(line, "Acquire::Check-Date ") {
			b.WriteString(line)
		}
	}
	return b.String(), nil
}

// aptFiles are what the root of a host's image has under etc/apt, by path.
func aptFiles(ctx context.Context, release int) (map[string]string, error) {
	settings, err := aptSettings(ctx)
	if err != nil {
		return nil, err
	}
	files := map[string]string{"etc/apt/apt.conf.d/80lab": settings + "Acquire::Languages \"none\";\n"}
	sources, err := hostSources(release)
	if err != nil || len(sources) == 0 {
		return files, err
	}
	var b strings.Builder
	for _, s := range sources {
		fmt.Fprintln(&b, s)
	}
	files["etc/apt/sources.list"] = b.String()
	return files, nil
}

// writeTree writes files under root, making the folders they need.
func writeTree(root string, files map[string]string, mode fs.FileMode) error {
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			return err
		}
	}
	return nil
}
