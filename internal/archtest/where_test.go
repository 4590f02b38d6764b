package archtest

import (
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"salvor/internal/finding"
)

var update = flag.Bool("update", false, "write the lists of CONTRIBUTING.md")

const (
	contributing = root + "/CONTRIBUTING.md"
	listBegins   = "<!-- where is what: go test ./internal/archtest -update -->\n"
	listEnds     = "<!-- end of where is what -->\n"
)

// TestWhereIsWhat holds the list by which a newcomer finds a file: of each command the
// file that bears its name and the workflows that it calls, of each finding the file
// that makes it.
func TestWhereIsWhat(t *testing.T) {
	content, err := os.ReadFile(contributing)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(content), listBegins)
	had, after, ends := strings.Cut(rest, listEnds)
	if !begins || !ends {
		t.Fatalf("CONTRIBUTING.md has no list between %q and %q", listBegins, listEnds)
	}
	want := "\n" + commandList(t) + "\n" + findingList(t) + "\n"
	if had == want {
		return
	}
	if !*update {
		t.Fatalf("the list in CONTRIBUTING.md is not what the code is: go test ./internal/archtest -update")
	}
	if err := os.WriteFile(contributing, []byte(before+listBegins+want+listEnds+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// commandList is a row for each command of the reference.
func commandList(t *testing.T) string {
	t.Helper()
	reference, err := os.ReadFile(root + "/docs/reference/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := "| command | file | calls |\n|---|---|---|\n"
	for _, m := range regexp.MustCompile(`(?m)^## salvor (.+)$`).FindAllStringSubmatch(string(reference), -1) {
		words := strings.Fields(m[1])
		file := "internal/cli/" + strings.Join(words, "_") + ".go"
		if words[len(words)-1] == "test" { // Go takes a file that is called so for one of tests
			file = strings.TrimSuffix(file, "test.go") + "testing.go"
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		defines := regexp.MustCompile(`(Use:\s+"|newGroup\("|group\("|plain\(g, ")` + words[len(words)-1] + `\b`)
		if err != nil || !defines.Match(text) {
			t.Errorf("salvor %s: %s does not define it", m[1], file)
			continue
		}
		rows += fmt.Sprintf("| `%s` | `%s` | %s |\n", m[1], strings.TrimPrefix(file, "internal/"), strings.Join(calls(t, file), ", "))
	}
	return rows
}

// calls are the packages between the domains and the surfaces that a file imports, or
// reaches by a field of the opened fleet.
func calls(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range f.Imports {
		if name, ours := top(strings.Trim(i.Path.Value, `"`)); ours {
			names = append(names, name)
		}
	}
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	fields := opened(t)
	for _, m := range regexp.MustCompile(`\ba\.([A-Z]\w+)\.`).FindAllStringSubmatch(string(text), -1) {
		names = append(names, fields[m[1]])
	}
	var all []string
	for _, name := range names {
		if at := layerOf(name); at > layerOf("controlrepo") && at < layerOf("cli") {
			all = append(all, "`"+name+"`")
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// opened are the packages of the opened fleet's fields, by their names.
func opened(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(root + "/internal/app/app.go")
	if err != nil {
		t.Fatal(err)
	}
	_, fields, _ := strings.Cut(string(text), "\ntype App struct {\n")
	fields, _, _ = strings.Cut(fields, "\n}\n")
	packages := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\t([A-Z]\w+) +\*(\w+)\.\w+$`).FindAllStringSubmatch(fields, -1) {
		packages[m[1]] = m[2]
	}
	if len(packages) < 10 {
		t.Fatalf("internal/app/app.go has the fields %v", packages)
	}
	return packages
}

// findingList is a row for each file that makes findings.
func findingList(t *testing.T) string {
	t.Helper()
	names := findingNames(t)
	byFile := map[string][]string{}
	made := map[string]bool{}
	use := regexp.MustCompile(`\bfinding\.([A-Z]\w+)\b`)
	for _, path := range sources(t) {
		file := filepath.ToSlash(strings.TrimPrefix(path, root+"/"))
		forTests := strings.HasSuffix(file, "_test.go") || strings.HasSuffix(filepath.Dir(file), "test")
		if forTests || !strings.HasPrefix(file, "internal/") || strings.HasPrefix(file, "internal/finding/") || strings.HasPrefix(file, "internal/lab/") {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range use.FindAllStringSubmatch(string(content), -1) {
			if code, is := names[m[1]]; is && !slices.Contains(byFile[file], code) {
				byFile[file], made[code] = append(byFile[file], code), true
			}
		}
	}
	for _, code := range names {
		if !made[code] {
			t.Errorf("nothing makes the finding %s", code)
		}
	}
	rows := "| file | findings that it makes or asks for |\n|---|---|\n"
	for _, file := range slices.Sorted(maps.Keys(byFile)) {
		codes := byFile[file]
		slices.Sort(codes)
		rows += fmt.Sprintf("| `%s` | `%s` |\n", strings.TrimPrefix(file, "internal/"), strings.Join(codes, "`, `"))
	}
	return rows
}

// findingNames are the codes by the names of their constants.
func findingNames(t *testing.T) map[string]string {
	t.Helper()
	content, err := os.ReadFile(root + "/internal/finding/codes.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\t(\w+)\s+Code = "([a-z-]+)"$`).FindAllStringSubmatch(string(content), -1) {
		names[m[1]] = m[2]
	}
	if len(names) != len(finding.Table()) {
		t.Errorf("%d constants, %d rows", len(names), len(finding.Table()))
	}
	return names
}
