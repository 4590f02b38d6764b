package rendering

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"salvor/internal/finding"
	"salvor/internal/fleet"
)

var update = flag.Bool("update", false, "write the golden file")

// odd are files whose bytes are the fault, and those that are only unusual.
var odd = map[string]string{
	"byte order mark":         "\ufeff" + web,
	"line ends of DOS":        strings.ReplaceAll(web, "\n", "\r\n"),
	"UTF-16":                  "\xff\xfes\x00e\x00r\x00v\x00",
	"Latin-1":                 "services:\n  web: # f\xfcr\n    image: nginx\n",
	"a control character":     "services:\n  web:\n    image: \"ng\x01inx\"\n",
	"line ends of DOS, a tab": "services:\r\n  web:\r\n\timage: nginx\r\n",
}

// TestBrokenComposeFiles has every fault that people make in a Compose file reported at
// its file, line and column, in at most 300 characters, with a next step; the golden file
// is for people to read.
func TestBrokenComposeFiles(t *testing.T) {
	t.Parallel()
	archive, err := txtar.ParseFile("testdata/broken.txtar")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]map[string]string{}
	var order []string
	add := func(name, content string) {
		of, file, more := strings.Cut(name, "/")
		if !more {
			file, order = "compose.yaml", append(order, name)
			cases[name] = map[string]string{}
		}
		cases[of][file] = content
	}
	for _, f := range archive.Files {
		add(f.Name, string(f.Data))
	}
	for _, name := range []string{"byte order mark", "line ends of DOS", "line ends of DOS, a tab", "UTF-16", "Latin-1", "a control character"} {
		add(name, odd[name])
	}
	var got strings.Builder
	for _, name := range order {
		fmt.Fprintf(&got, "%s\n", name)
		found := loaded(t, cases[name])
		if fine := name == "byte order mark" || name == "line ends of DOS"; fine != (len(found) == 0) {
			t.Errorf("%s: %d findings", name, len(found))
		}
		for _, f := range found {
			fmt.Fprintf(&got, "  %s: %s\n    %s\n", strings.TrimPrefix(f.Subject, "stacks/app/"), f.Text, f.Fix)
			readable(t, name, cases[name], f)
		}
	}
	const golden = "testdata/broken.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// loaded returns the fatal findings about a stack of these files.
func loaded(t *testing.T, files map[string]string) []finding.Finding {
	t.Helper()
	all := map[string]string{}
	for name, content := range files {
		all[filepath.Join(fleet.StackDir, "app", name)] = content
	}
	_, found, err := Stacks(t.Context(), source(t, all))
	if err != nil {
		t.Fatal(err)
	}
	return of(found, "app")
}

var place = regexp.MustCompile(`^stacks/app/([a-z.]+):(\d+):(\d+)$`)

// readable checks what every message has to be.
func readable(t *testing.T, name string, files map[string]string, f finding.Finding) {
	t.Helper()
	if m := place.FindStringSubmatch(f.Subject); m == nil || files[m[1]] == "" && name != "empty" {
		t.Errorf("%s: %q is not a place in a file", name, f.Subject)
	}
	if n := utf8.RuneCountInString(f.Subject + f.Text); n > 300 {
		t.Errorf("%s: %d characters", name, n)
	}
	if f.Fix == "" || strings.ContainsAny(f.Text, "\n\t") || strings.Contains(f.Text, "go-yaml") || strings.Contains(f.Text, os.TempDir()) {
		t.Errorf("%s: %+v", name, f)
	}
	if first := []string{"a list", "only text", "empty", "only comments", "UTF-16", "service outside", "unknown top key", "template of Helm", "services are a list", "services are empty"}; strings.HasSuffix(f.Subject, ":1:1") && !strings.Contains(strings.Join(first, "|"), name) {
		t.Errorf("%s: %s says 1:1, and the fault is elsewhere", name, f.Text)
	}
}
