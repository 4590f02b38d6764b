package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A phrase to avoid, and the better one: the worst of the list in CONTRIBUTING.md.
type phrase struct{ avoid, better string }

var phrases = []phrase{
	{"whoever", "anyone who"},
	{"anew", "again"},
	{"nobody", "no one, or say who"},
	{"somebody", "someone, or say who"},
	{"told of", "notified of"},
	{"is told", "is asked, is notified, gets"},
	{"are told", "are asked, are notified, get"},
	{"be told", "be asked, be notified, get"},
	{"been told", "been asked, been notified, got"},
	{"tells of", "reports"},
	{"lies beside", "is next to"},
	{"beside it", "next to it, with it"},
	{"beside the", "next to the, in addition to the"},
	{"beside them", "next to them, with them"},
	{"of then", "from that time"},
	{"of now", "present"},
	{"of late", "recently"},
	{"for good", "permanently"},
	{"at hand", "available, or say which"},
	{"let go", "release"},
	{"lets go", "releases"},
	{"stands back", "stays passive"},
	{"comes through", "succeeds"},
	{"come through", "succeed"},
	{"in vain", "without success"},
	{"has no say", "does not count"},
	{"counts for nothing", "does not count"},
	{"count for nothing", "do not count"},
	{"rules nothing", "does not count"},
	{"from here on", "from now on"},
	{"in clear", "unencrypted, in plain text"},
	{"by itself", "automatically, on its own"},
	{"passed over", "skipped, ignored"},
	{"all the same", "anyway"},
	{"cut short", "interrupted"},
}

// better returns a phrase of a text that is to be avoided and what to write instead,
// "" for none.
func better(text string) (found, instead string) {
	text = strings.ToLower(text)
	for _, p := range phrases {
		if _, _, ok := cut(text, p.avoid); ok {
			return p.avoid, p.better
		}
	}
	for _, verb := range []string{"is no", "are no", "was no", "were no"} {
		before, after, ok := cut(text, verb)
		existence := strings.HasSuffix(before, "there ") || strings.HasPrefix(after, " longer") || strings.HasPrefix(after, " such")
		if ok && !existence && strings.HasPrefix(after, " ") {
			return verb, "is not a, does not have"
		}
	}
	return "", ""
}

// cut is strings.Cut around a phrase that no letter touches.
func cut(text, phrase string) (before, after string, found bool) {
	for from := 0; ; {
		i := strings.Index(text[from:], phrase)
		if i < 0 {
			return "", "", false
		}
		start, end := from+i, from+i+len(phrase)
		before, after = text[:start], text[end:]
		if !letter(before, len(before)-1) && !letter(after, 0) {
			return before, after, true
		}
		from = end
	}
}

func letter(s string, i int) bool {
	return i >= 0 && i < len(s) && (s[i] >= 'a' && s[i] <= 'z' || s[i] == '_' || s[i] == '%')
}

// TestLanguage keeps the worst words out of literals, comments and documentation.
func TestLanguage(t *testing.T) {
	for _, path := range append(sources(t), pages(t)...) {
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(name) == "language_test.go" || strings.HasPrefix(name, "tools/rooms/") {
			continue // they name the words: one to refuse them, one to count them
		}
		check := func(line int, text string) {
			if found, instead := better(text); found != "" {
				t.Errorf("%s:%d: %q: write %s (CONTRIBUTING.md, How we write)", name, line, found, instead)
			}
		}
		if strings.HasSuffix(path, ".md") {
			checkPage(t, path, check)
		} else {
			checkSource(t, path, check)
		}
	}
}

// pages returns the documentation. What CONTRIBUTING.md lists is there to be avoided.
func pages(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(root + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root+"/docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func checkPage(t *testing.T, path string, check func(line int, text string)) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(content), "\n") {
		title := strings.HasPrefix(line, "# ")                                              // of a decision: links lead to it
		listed := filepath.Base(path) == "CONTRIBUTING.md" && strings.HasPrefix(line, "| ") // the words to avoid
		if !title && !listed {
			check(i+1, line)
		}
	}
}

// checkSource checks the comments and string literals of a file. A literal without a
// blank is a key. Those of tests may say anything: they contain what users and attackers
// write.
func checkSource(t *testing.T, path string, check func(line int, text string)) {
	t.Helper()
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range f.Comments {
		check(files.Position(group.Pos()).Line, strings.Join(strings.Fields(group.Text()), " "))
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && strings.Contains(lit.Value, " ") && !strings.HasSuffix(path, "_test.go") {
			check(files.Position(lit.Pos()).Line, lit.Value)
		}
		return true
	})
}
