package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mattn/go-shellwords"
)

var (
	fence      = regexp.MustCompile("(?ms)^```(?:sh|console)\n(.*?)^```")
	inline     = regexp.MustCompile("`salvor( [^`]*)?`")
	shellParts = regexp.MustCompile(`\s(?:[<>|].*|&& .*|\\$)`) // what the shell does
)

// TestCommandLinesOfTheDocs: those that stand alone in a block are ones that salvor accepts, flags and arguments included.
// Those in a sentence name commands and flags that there are.
func TestCommandLinesOfTheDocs(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	tried := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, named := range inline.FindAllString(string(text), -1) {
			tried++
			if why := unknown(newRoot(&globals{}), strings.Fields(strings.NewReplacer("`", "", `\|`, " ", "[", " ", "]", " ").Replace(named))[1:]); why != "" {
				t.Errorf("%s: %s: %s", filepath.Base(page), named, why)
			}
		}
		for _, block := range fence.FindAllStringSubmatch(string(text), -1) {
			for line := range strings.Lines(block[1]) {
				line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
				if !strings.HasPrefix(line, "salvor ") {
					continue
				}
				tried++
				if why := refuses(line); why != "" {
					t.Errorf("%s: %q: %s", filepath.Base(page), line, why)
				}
			}
		}
	}
	if tried < 150 {
		t.Errorf("only %d lines were found", tried)
	}
}

// refuses says why salvor would not take a command line, "" where it would.
func refuses(line string) string {
	line, _, _ = strings.Cut(line, " #")
	words, err := shellwords.Parse(shellParts.ReplaceAllString(line, ""))
	if err != nil {
		return err.Error()
	}
	cmd, rest, err := newRoot(&globals{}).Find(words[1:])
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err == nil && cmd.HasSubCommands() && !cmd.Runnable() {
		return cmd.CommandPath() + " needs a command"
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
