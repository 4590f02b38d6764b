package confirmation

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestS16QuestionsShowEveryArgument shows where arguments begin and end.
func TestS16QuestionsShowEveryArgument(t *testing.T) {
	text := run{Argv: []string{"safe", "a b", "\x1b[2K"}, Program: "/usr/bin/safe"}.question("nas")
	if want := `"safe" "a b" "\x1b[2K" ("/usr/bin/safe")`; !strings.Contains(text, want) {
		t.Errorf("%s, want %s", text, want)
	}
}

// TestS16AnApprovalIsOfWhatRuns changes a script that was approved, and what PATH
// leads to.
func TestS16AnApprovalIsOfWhatRuns(t *testing.T) {
	c := newClone(t)
	bin := t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	write := func(path, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script, safe := filepath.Join(c.Dir, "scripts", "get.sh"), filepath.Join(bin, "safe")
	write(safe, "#!/bin/sh\n")
	t.Setenv("HOME", filepath.Dir(c.Dir))
	fleet := filepath.Base(c.Dir)
	write(filepath.Join(c.Dir, "tools", "Makefile"), "")
	if err := os.Symlink("../scripts", filepath.Join(c.Dir, "tools", "lib")); err != nil {
		t.Fatal(err)
	}
	asked := 0
	a := c.open(Options{Approve: func(Approval) error { asked++; return nil }})
	for name, test := range map[string]struct {
		argv   []string
		inRepo bool // it runs in the repository
		other  bool // what it names is there, though it runs at home
	}{
		"from home":            {[]string{"sh", fleet + "/scripts/get.sh"}, false, true},
		"by ~":                 {[]string{"sh", "-c", "~/" + fleet + "/scripts/get.sh"}, false, true},
		"by HOME":              {[]string{"sh", "-c", "${HOME}/" + fleet + "/scripts/get.sh"}, false, true},
		"after a cd":           {[]string{"sh", "-c", "cd ~/" + fleet + "; make"}, false, true},
		"by a linked folder":   {[]string{"safe", "-C", "tools"}, true, false},
		"the script itself":    {[]string{"./scripts/get.sh"}, true, false},
		"by its whole path":    {[]string{script}, true, false},
		"as an argument":       {[]string{"sh", "scripts/get.sh"}, true, false},
		"behind an option":     {[]string{"safe", "--with=scripts/get.sh"}, true, false},
		"in a line for sh":     {[]string{"sh", "-c", "echo; . scripts/get.sh"}, true, false},
		"its folder":           {[]string{"safe", "scripts"}, true, false},
		"by a line with globs": {[]string{"sh", "-c", "cd scripts && ./g*"}, true, false},
		"nothing of it":        {[]string{"safe", "nas"}, false, false},
	} {
		write(script, "#!/bin/sh\necho "+name)
		asked = 0
		for range 2 {
			dir, err := a.AllowProgram("nas", test.argv)
			if err != nil || (dir == a.checkout.Root) != test.inRepo {
				t.Fatalf("%s: runs in %s, %v", name, dir, err)
			}
		}
		if asked != 1 {
			t.Errorf("%s: asked %d times for one thing", name, asked)
		}
		write(script, "#!/bin/sh\ntouch PWNED "+name)
		if _, err := a.AllowProgram("nas", test.argv); err != nil || (asked == 2) != (test.inRepo || test.other) {
			t.Errorf("%s: asked %d times after the script changed: %v", name, asked, err)
		}
		if _, err := c.open(Options{}).AllowProgram("other", append(test.argv, "more")); !errors.Is(err, ErrUnapproved) {
			t.Errorf("%s: where no one can be asked: %v", name, err)
		}
	}
	earlier := t.TempDir()
	write(filepath.Join(earlier, "safe"), "#!/bin/sh\n")
	t.Setenv("PATH", earlier+":"+os.Getenv("PATH"))
	asked = 0
	if _, err := a.AllowProgram("nas", []string{"safe", "nas"}); err != nil || asked != 1 {
		t.Errorf("another program of that name: asked %d times, %v", asked, err)
	}
}
