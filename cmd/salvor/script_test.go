package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"salvor/internal/cloud/ec2/ec2test"
	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/socketdir"
)

// quickWork makes passphrases as cheap as a test may have them: scripts open
// dozens of identities.
const quickWork = 10

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"salvor": func() {
		salvor(quickWork, folderHosts(), sites{scriptSite(), scriptServers(), os.Getenv(cloudflareVariable)})
	}, "age-plugin-" + pluginName: agePlugin})
}

// TestScripts is the specification of the command line: each archive under
// testdata/script types commands and says what comes of them.
func TestScripts(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("SALVOR_LAB") == "require" {
			t.Fatal(err)
		}
		t.Skip("git is not installed")
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			setupAWS(env, ec2test.New(t))
			return setup(env)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"approved":   approved,
			"exits":      exits,
			"errs":       errs,
			"commit":     commit,
			"refused":    refused,
			"shut":       shut,
			"tamper":     tamper,
			"drive":      driveCommands,
			"server":     serverCommands,
			"github":     githubCommands,
			"cloudflare": cloudflareCommands,
			"aws":        awsCommands,
		},
	})
}

func setup(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, "home")
	env.Setenv("HOME", home)
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
	env.Setenv("SSH_AUTH_SOCK", "")
	sockets, err := socketdir.Make("script")
	if err != nil {
		return err
	}
	env.Defer(func() { _ = os.RemoveAll(sockets) })
	env.Setenv("RUN", sockets)
	env.Values[driveKey{}], env.Values[serversKey{}], env.Values[githubKey{}] = new(*scriptDrive), &servers{}, &scriptGitHub{}
	env.Values[cloudflareKey{}] = &cloudflaretest.Server{}
	config := "[user]\n\tname = Ann\n\temail = ann@example.net\n[init]\n\tdefaultBranch = main\n"
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(config), 0o600)
}

// exits CODE PROGRAM ARG… runs a program that must end with the code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := run(ts, args[1:]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func run(ts *testscript.TestScript, args []string) int {
	err := ts.Exec(args[0], args[1:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// approved CODE PROGRAM ARG… is exits for an operator who approves all that the
// command refuses to do unasked.
func approved(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	command := args[1:]
	for range 5 {
		got := run(ts, command)
		flag := regexp.MustCompile(`(--allow-\S+) (\S+) confirms this`).FindStringSubmatch(ts.ReadFile("stderr"))
		if flag != nil {
			command = append(command, flag[1], flag[2])
			continue
		}
		if got != want {
			ts.Fatalf("exit code %d, want %d", got, want)
		}
		return
	}
	ts.Fatalf("%s asks again and again", command)
}

// errs PATTERN: standard error is one line `salvor: PATTERN`, and a hint.
func errs(ts *testscript.TestScript, _ bool, args []string) {
	if err := oneLine(ts.ReadFile("stderr"), args[0]); err != nil {
		ts.Fatalf("%v", err)
	}
}

func oneLine(text, pattern string) error {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) > 2 || len(lines) == 2 && !strings.HasPrefix(lines[1], "hint: ") {
		return fmt.Errorf("want one line and a hint:\n%s", text)
	}
	if !regexp.MustCompile("^salvor: " + pattern).MatchString(lines[0]) {
		return fmt.Errorf("%q does not match %q", lines[0], pattern)
	}
	return nil
}

// commit DIR commits everything in DIR, a Git repository or not yet one. A fleet that
// was written by hand gets a signing key, which the clone trusts, and no hook.
func commit(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("git", "-C", args[0], "init", "--quiet"))
	ts.Check(unhooked(ts.MkAbs(args[0])))
	ts.Check(signer(ts.MkAbs(args[0])))
	ts.Check(ts.Exec("git", "-C", args[0], "add", "--all"))
	ts.Check(ts.Exec("git", "-C", args[0], "commit", "--quiet", "--no-verify", "--message", "test"))
}

// handSigner is the public half of a key that was made for these tests and thrown away.
const handSigner = "home ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKEYK\n"

// unhooked makes a clone one that was given the hook, and whose operator took it away.
func unhooked(dir string) error {
	own := filepath.Join(dir, ".git", "salvor")
	return errors.Join(os.MkdirAll(own, 0o755), os.WriteFile(filepath.Join(own, "hooked"), nil, 0o600))
}

func signer(dir string) error {
	declared, pinned := filepath.Join(dir, "hosts", "fleet_signers"), filepath.Join(dir, ".git", "salvor", "fleet_signers")
	if _, err := os.Lstat(declared); err == nil {
		return nil
	}
	var errs []error
	for _, file := range []string{declared, pinned} {
		errs = append(errs, os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(handSigner), 0o600))
	}
	return errors.Join(errs...)
}

// refused CASE CODE PATTERN lays cases/CASE over base and has check and apply
// refuse the result, with the code and one line, and change nothing.
func refused(ts *testscript.TestScript, _ bool, args []string) {
	name, pattern := args[0], args[2]
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	dir := ts.MkAbs(name)
	ts.Check(os.CopyFS(dir, os.DirFS(ts.MkAbs("base"))))
	overlay(ts, ts.MkAbs(filepath.Join("cases", name)), dir)
	commit(ts, false, []string{dir})
	before := state(ts, dir)
	for _, command := range [][]string{{"check"}, {"apply", "--yes"}} {
		code := run(ts, append([]string{"salvor", "--quiet", "-C", dir}, command...))
		if code != want {
			ts.Fatalf("%s: %s ends with %d, want %d", name, command[0], code, want)
		}
		said := ts.ReadFile("stderr")
		if found := firstFatal(ts.ReadFile("stdout")); found != "" { // check prints each finding once
			said = found
		}
		if err := oneLine(said, pattern); err != nil {
			ts.Fatalf("%s: %s: %v", name, command[0], err)
		}
	}
	if state(ts, dir) != before {
		ts.Fatalf("%s: something changed", name)
	}
}

// firstFatal is the first fatal finding that a command printed, and its fix, as an error
// has them; "" for none.
func firstFatal(stdout string) string {
	m := regexp.MustCompile(`(?m)^fatal: (.*?)(?: \[stack-broken\])?\n(?:  fix: (.*)\n)?`).FindStringSubmatch(stdout)
	if m == nil {
		return ""
	}
	return strings.TrimSuffix("salvor: "+m[1]+"\nhint: "+m[2], "\nhint: ") + "\n"
}

// shut CODE PATTERN ARG… runs `salvor --quiet -C fleet ARG…`, which must end with
// the code, one line and a hint, and change nothing; "value" is its input.
func shut(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	dir := ts.MkAbs("fleet")
	before := state(ts, dir)
	ts.Setenv("SALVOR_ARGS", strings.Join(args[2:], " "))
	code := run(ts, []string{"sh", "-c", "salvor --quiet --yes -C fleet $SALVOR_ARGS <value"})
	said := ts.ReadFile("stderr")
	if found := firstFatal(ts.ReadFile("stdout")); found != "" {
		said = found
	}
	if err := oneLine(said, args[1]); err != nil || code != want || !strings.Contains(said, "\nhint: ") {
		ts.Fatalf("%s: code %d, want %d and a hint: %v\n%s", args[2:], code, want, err, said)
	}
	if strings.Contains(said+ts.ReadFile("stdout"), "hunter2") {
		ts.Fatalf("%s: shows the secret", args[2:])
	}
	if state(ts, dir) != before {
		ts.Fatalf("%s: something changed", args[2:])
	}
}

// tamper FILE REGEXP changes the first byte of each match's group, or of each
// match, to another of its kind, and commits.
func tamper(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(args[0])
	content, err := os.ReadFile(file)
	ts.Check(err)
	found := regexp.MustCompile(args[1]).FindAllSubmatchIndex(content, -1)
	if found == nil {
		ts.Fatalf("%s has no %s", args[0], args[1])
	}
	for _, m := range found {
		at := m[max(0, len(m)-2)]
		switch c := content[at]; c {
		case '9', 'z', 'Z', 'f', 'F':
			content[at] = c - 1
		default:
			content[at] = c + 1
		}
	}
	ts.Check(os.WriteFile(file, content, 0o644))
	commit(ts, false, []string{ts.MkAbs("fleet")})
}

// overlay copies files over those that are there.
func overlay(ts *testscript.TestScript, from, to string) {
	ts.Check(filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644)
	}))
}

// state is a digest of a repository: every file of the work tree, HEAD and the
// branches.
func state(ts *testscript.TestScript, dir string) string {
	sum := sha256.New()
	ts.Check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		inGit := strings.HasPrefix(rel, ".git"+string(filepath.Separator))
		if inGit && rel != ".git/HEAD" && !strings.HasPrefix(rel, ".git/refs/") {
			return nil
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n%s", rel, len(content), content)
		return err
	}))
	return fmt.Sprintf("%x", sum.Sum(nil))
}
