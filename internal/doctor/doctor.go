// Package doctor says whether everything is ready for a day's work: this computer, this
// clone, the keys, and the way to hosts and remotes.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"os"

	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/git"
	"salvor/internal/machine/local"
	"salvor/internal/version"
)

// A State is how a check ended.
type State string

// The states: nothing to do; it works, and something is missing; it does not work.
const (
	Ready   State = "ready"
	Missing State = "missing"
	Broken  State = "broken"
)

// A Check is one thing that was looked at.
type Check struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"` // the command that mends it
}

// Worst returns the worst state of all.
func Worst(all []Check) State {
	worst := Ready
	for _, c := range all {
		if c.State == Broken || c.State == Missing && worst == Ready {
			worst = c.State
		}
	}
	return worst
}

// failed is the check that an error ends, with the error's hint; fix is for one that
// has none.
func failed(name string, err error, fix string) Check {
	return Check{name, Broken, err.Error(), cmp.Or(fault.Hint(err), fix)}
}

// Computer checks what any fleet needs of this computer: Salvor in PATH, Git, someone to
// commit as, and SSH.
func Computer(ctx context.Context, dir string) []Check {
	return []Check{inPath(), hasGit(ctx), hasName(ctx, dir), hasSSH()}
}

// inPath checks that the hook, and what salvor prints as the next command, finds this
// very program.
func inPath() Check {
	const name = "salvor"
	own, err := os.Executable()
	if err != nil {
		return failed(name, err, "")
	}
	found, err := local.Resolve("salvor")
	if err != nil {
		return Check{name, Broken, "it is not in PATH, so the pre-commit hook refuses every commit; this one is " + own,
			"make install, or put its folder into PATH; docs/install.md"}
	}
	here, err := os.Stat(own)
	there, thereErr := os.Stat(found)
	if err != nil || thereErr != nil || !os.SameFile(here, there) {
		return Check{name, Missing, "PATH finds another one, " + found + "; this one is " + own, "remove one of them, or change PATH"}
	}
	return Check{name, Ready, found + ", " + version.String(), ""}
}

func hasGit(ctx context.Context) Check {
	v, err := git.Version(ctx, local.Machine{}, os.Environ())
	if err != nil {
		return failed("git", err, "")
	}
	return Check{"git", Ready, v, ""}
}

func hasName(ctx context.Context, dir string) Check {
	who, err := git.Operator(ctx, local.Machine{}, dir, os.Environ())
	if err != nil {
		return failed("name", err, "")
	}
	return Check{"name", Ready, "you commit as " + who, ""}
}

// hasSSH checks for the ssh that Git calls; Salvor itself needs none.
func hasSSH() Check {
	found, err := local.Resolve("ssh")
	if err != nil {
		return Check{"ssh", Missing, "there is no ssh program, so Git can't reach a Git host over SSH", "apt install openssh-client"}
	}
	text := found
	if os.Getenv("SSH_AUTH_SOCK") == "" {
		text += ", without an agent: keys with a passphrase are asked for"
	}
	return Check{"ssh", Ready, text, ""}
}

// about makes the checks of findings with these codes, or one that everything is ready.
func about(name string, found []finding.Finding, ready string, codes ...finding.Code) []Check {
	var all []Check
	for _, f := range found {
		for _, code := range codes {
			if f.Code != code {
				continue
			}
			state := Missing
			if f.Severity == finding.Fatal {
				state = Broken
			}
			all = append(all, Check{name, state, f.Subject + ": " + f.Text, f.Fix})
		}
	}
	if len(all) == 0 && ready != "" {
		all = []Check{{name, Ready, ready, ""}}
	}
	return all
}

// isLocked reports whether something could not be tried because no one opened the key.
func isLocked(err error) bool {
	code, _ := fault.Code(err)
	return code == fault.SecretsShut || code == fault.Usage
}

// tried makes the check of something that was reached for.
func tried(name string, err error, ready, fix string) Check {
	switch {
	case err == nil:
		return Check{name, Ready, ready, ""}
	case isLocked(err):
		return Check{name, Missing, "not tried: " + err.Error(), cmp.Or(fault.Hint(err), fix)}
	case errors.Is(err, context.Canceled):
		return Check{name, Missing, "not tried: interrupted", ""}
	}
	return failed(name, err, fix)
}
