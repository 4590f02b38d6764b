package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
)

// killingGit is a git, first in PATH, that kills the salvor which calls it at one
// of its calls: the pattern in the file kill is of the call before and this one.
const killingGit = `#!/bin/sh
call="$(tail -n 1 %[1]s/calls) / $*"
echo "$*" >>%[1]s/calls
case "$call" in $(cat %[1]s/kill)) echo killed >>%[1]s/calls; kill -KILL $PPID; exit 1 ;; esac
exec %[2]s "$@"
`

// TestAnAdoptionThatIsKilled is issue 14: killed at every step boundary on the operator's
// computer, run again: the same end state, committed and pushed once.
func TestAnAdoptionThatIsKilled(t *testing.T) {
	t.Parallel()
	h := startedByHand(t, "testdata/adopt/dotenv.txtar")
	adopt := []string{"--yes", "--passphrase-file", "../pass", "adopt", "alpha"}
	undisturbed := newOperator(t)
	undisturbed.hasAlpha(h)
	undisturbed.hasRemote()
	undisturbed.must(adopt...)
	want := undisturbed.adopted()
	for name, pattern := range map[string]string{
		"the host is read": "* / *rev-list*", "files are written": "* / *hash-object*", "the tree is there": "* / *write-tree*", "committed, not on the branch": "* / *checkout-index*",
		"in the working tree": "* / *update-ref*", "on the branch": "*update-ref* / *", "before the push": "* / *push --porcelain*", "pushed": "*push --porcelain* / *",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOperator(t)
			o.hasAlpha(h)
			o.hasRemote()
			o.killedAt(pattern, adopt...)
			o.must(adopt...)
			if diff := cmp.Diff(want, o.adopted()); diff != "" {
				t.Errorf("not as without the kill (-want +got):\n%s", diff)
			}
		})
	}
}

// hasRemote gives the fleet a Git remote that has all commits.
func (o *operator) hasRemote() {
	o.git("init", "--quiet", "--bare", o.dir+"/remote.git")
	o.git("remote", "add", "origin", o.dir+"/remote.git")
	o.git("push", "--quiet", "--set-upstream", "origin", "HEAD")
}

// killedAt runs salvor until it makes a call of git that a pattern fits.
func (o *operator) killedAt(pattern string, args ...string) {
	o.t.Helper()
	real, err := exec.LookPath("git")
	if err != nil {
		o.t.Fatal(err)
	}
	o.write("calls", "")
	o.write("kill", pattern)
	put(o.t, filepath.Join(o.dir, "bin/git"), fmt.Appendf(nil, killingGit, o.dir, real))
	if err := os.Chmod(o.dir+"/bin/git", 0o700); err != nil {
		o.t.Fatal(err)
	}
	cmd := o.command(args...)
	cmd.Env = append(cmd.Env, "PATH="+o.dir+"/bin:"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != -1 {
		o.t.Fatalf("salvor %v was not killed at %s: %v\n%s", args, pattern, err, out)
	}
}

// adopted is what an adoption leaves: files, what is not committed and how many commits
// there are, here and on the remote.
func (o *operator) adopted() map[string]string {
	o.t.Helper()
	state := o.history()
	for name, content := range tree(o.t, o.dir+"/fleet") {
		if state[name] = ""; strings.HasPrefix(name, fleet.StackDir+"/") {
			state[name] = content
		}
	}
	for _, secret := range []string{"vault/ADMIN_TOKEN", "vault/DB_PASSWORD"} {
		state[secret] = o.must("--passphrase-file", "../pass", "secret", "get", secret)
	}
	return state
}

// history is what is not committed, and the commits there are, here and on the remote.
func (o *operator) history() map[string]string {
	o.t.Helper()
	state := map[string]string{}
	for what, args := range map[string][]string{
		"status": {"status", "--porcelain"}, "commits": {"log", "--format=%s"}, "not pushed": {"log", "--format=%s", "origin/main..main"},
		"on the remote": {"--git-dir", o.dir + "/remote.git", "log", "--format=%s", "main"},
	} {
		cmd := exec.CommandContext(o.t.Context(), "git", args...)
		cmd.Dir, cmd.Env = o.dir+"/fleet", o.env
		out, err := cmd.CombinedOutput()
		if state[what] = string(out); err != nil {
			o.t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	return state
}
