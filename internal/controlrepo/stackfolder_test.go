package controlrepo

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/finding"
)

const sharedFleet = "schema: 1\nfleet: home\nhosts: {alpha: {address: 192.0.2.1}}\nrecipients: {operators: {ann: " + testRecipient + "}, recovery: " + testRecipient + "}\n"

// TestFoldersThatStacksShare is issue 13, case 28: a folder of stacks/ without a Compose
// file was a broken stack.
func TestFoldersThatStacksShare(t *testing.T) {
	const placed = `{"schema": 1, "stacks": {"common": {"host": "alpha", "epoch": 1}}}`
	const dns = "stacks/dns/compose.yaml"
	for name, c := range map[string]struct {
		files  map[string]string
		broken string // what is wrong with stacks/common
		found  string // severity and text of the finding about it
	}{
		"shared":                        {files: map[string]string{dns: "include: [../common/watch/compose.yaml]\n", "stacks/common/watch/compose.yaml": "services: {}\n"}},
		"a name that no stack can have": {files: map[string]string{dns: "services: {web: {extends: {file: ../_Base/web.yml}}}\n", "stacks/_Base/web.yml": "services: {}\n"}},
		"unused":                        {files: map[string]string{dns: "services: {}\n", "stacks/common/README.md": ""}, found: "info it has no Compose file (compose.yaml, "},
		"a stack one level too deep":    {files: map[string]string{dns: "services: {}\n", "stacks/common/watch/compose.yaml": "services: {}\n"}, found: "warning stacks/common/watch has a Compose file, but is not a stack"},
		"a misspelt Compose file":       {files: map[string]string{dns: "include: [../common/x]\n", "stacks/common/compsoe.yaml": "services: {}\n"}, broken: `did you mean "compose.yaml"?`},
		"a stack that is placed":        {files: map[string]string{"stacks/common/README.md": "", "salvor.lock": placed}, broken: "the stack has no Compose file"},
	} {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{"fleet.yaml": {Data: []byte(sharedFleet)}}
			for path, content := range c.files {
				files[path] = &fstest.MapFile{Data: []byte(content)}
			}
			repo, err := load(files, "")
			if c.broken != "" {
				if !strings.Contains(report(err), "stacks/common: ") || !strings.Contains(report(err), c.broken) {
					t.Errorf("broken: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var stacks []string
			for _, s := range repo.Fleet.Stacks {
				stacks = append(stacks, s.Name)
			}
			if diff := cmp.Diff([]string{"dns"}, stacks); diff != "" {
				t.Errorf("stacks (-want +got)\n%s", diff)
			}
			said := ""
			for _, f := range repo.Findings {
				if f.Code == finding.FolderUnused {
					said = string(f.Severity) + " " + f.Text
				}
			}
			if !strings.HasPrefix(said, c.found) || c.found == "" && said != "" {
				t.Errorf("found %q", said)
			}
		})
	}
}

// TestNamesOfHostsOwnProjects: no stack has one, by its folder, by name: or by x-salvor.
func TestNamesOfHostsOwnProjects(t *testing.T) {
	for name, c := range map[string]struct{ file, content, at string }{
		"a folder":  {"stacks/salvor-x/compose.yaml", "services: {}\n", "stacks/salvor-x/compose.yaml:1:1: "},
		"name:":     {"stacks/x/compose.yaml", "services: {}\nname: salvor-x\n", "stacks/x/compose.yaml:2:7: "},
		"a project": {"stacks/x/compose.yaml", "services: {}\nx-salvor:\n  project: salvor-x\n", "stacks/x/compose.yaml:3:12: "},
	} {
		_, err := load(fstest.MapFS{"fleet.yaml": {Data: []byte(sharedFleet)}, c.file: {Data: []byte(c.content)}}, "")
		if want := c.at + `"salvor-x" can't be a stack's`; !strings.HasPrefix(report(err), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	files := fstest.MapFS{"fleet.yaml": {Data: []byte(sharedFleet)}, "stacks/salvor/compose.yaml": {Data: []byte("services: {}\n")}}
	if _, err := load(files, ""); err != nil {
		t.Errorf("a stack that is called salvor: %v", err)
	}
}
