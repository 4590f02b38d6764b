package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"salvor/internal/github"
	"salvor/internal/github/githubtest"
)

// githubVariable is the address of a script's GitHub.
const githubVariable = "SALVOR_TEST_GITHUB"

// scriptSite is the GitHub of a script that has one.
func scriptSite() github.Site {
	api := os.Getenv(githubVariable)
	if api == "" {
		return github.Site{}
	}
	return github.Site{API: api, Hosts: []string{"127.0.0.1"}}
}

// A scriptGitHub is the emulated GitHub of a script.
type scriptGitHub struct{ *githubtest.Server }

type githubKey struct{}

// githubCommands are what a script does with GitHub:
//
//	github start [FOLDER]                begins one (again: another) where the account "you" has an SSH key, and is an admin of the organization "firm"
//	github token VALUE ACCOUNT WHAT…     makes a token: classic with scopes (repo), or fine-grained with permissions (contents=read)
//	github revoke VALUE                  ends one
//	github make NAME [public]            makes a repository
//	github public NAME                   lets everyone read it
//	github key NAME TITLE FILE [rw]      adds a deploy key
//	github keys NAME [TITLE…]            checks the titles of a repository's deploy keys, all read-only
//	github fails STATUS [METHOD [PATH]]  has the next such request fail
//	github asked TEXT                    fails unless a request had the text, or with ! if one had
//	github reads NAME HOST               checks that a server of the script can read the repository, and not write it
//	github gone                          ends it
func githubCommands(ts *testscript.TestScript, neg bool, args []string) {
	hub := ts.Value(githubKey{}).(*scriptGitHub)
	if args[0] == "start" {
		ts.Check(hub.start(ts, append(args, "github")[1]))
		return
	}
	if hub.Server == nil {
		ts.Fatalf("github start comes first")
	}
	err := hub.do(ts, args[0], args[1:])
	if (err != nil) != neg {
		ts.Fatalf("github %s: %v", args, err)
	}
}

func (h *scriptGitHub) start(ts *testscript.TestScript, folder string) (err error) {
	if h.Server, err = githubtest.Start(context.Background(), ts.MkAbs(folder)); err != nil {
		return err
	}
	ts.Defer(h.Close)
	key, known := ts.MkAbs("you_key"), ts.MkAbs("known_github")
	if _, err := os.Stat(key); err != nil {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
			return fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(h.SSHAddress())
	h.AddOrganization("firm", "you")
	ts.Setenv(githubVariable, h.Site().API)
	ts.Setenv("GITHUB_SSH", h.SSHAddress())
	ts.Setenv("GIT_SSH_COMMAND", fmt.Sprintf("ssh -F none -i %s -o IdentitiesOnly=yes -o UserKnownHostsFile=%s", key, known))
	return errors.Join(err, h.AddSSHKey("you", string(public)), os.WriteFile(known, fmt.Appendf(nil, "[127.0.0.1]:%s %s\n", port, h.HostKey), 0o600))
}

func (h *scriptGitHub) do(ts *testscript.TestScript, what string, args []string) error {
	ctx := context.Background()
	switch what {
	case "token":
		h.AddToken(args[0], tokenOf(args[1], args[2:]))
	case "revoke":
		h.RevokeToken(args[0])
	case "make":
		return h.Make(ctx, args[0], len(args) == 1)
	case "public":
		h.Change(args[0], func(r *githubtest.Repository) { r.Private = false })
	case "key":
		content, err := os.ReadFile(ts.MkAbs(args[2]))
		fields := strings.Fields(string(content))
		h.Change(args[0], func(r *githubtest.Repository) {
			r.Keys = append(r.Keys, githubtest.Key{ID: int64(900 + len(r.Keys)), Title: args[1], Key: strings.Join(fields[:2], " "), ReadOnly: len(args) == 3})
		})
		return err
	case "keys":
		return h.has(args[0], args[1:])
	case "fails":
		status, err := strconv.Atoi(args[0])
		h.Fail(githubtest.Fault{Status: status, On: strings.Join(args[1:], " ")})
		return err
	case "asked":
		if !strings.Contains(strings.Join(h.Calls(), "\n"), args[0]) {
			return fmt.Errorf("requests: %q", h.Calls())
		}
	case "reads":
		return h.reads(ctx, args[0], ts.MkAbs(filepath.Join("servers", args[1], "git_key")))
	case "gone":
		h.Close()
	default:
		ts.Fatalf("no such command: %s", what)
	}
	return nil
}

func tokenOf(account string, may []string) githubtest.Token {
	t := githubtest.Token{Account: account}
	for _, word := range may {
		if name, level, fine := strings.Cut(word, "="); fine {
			if t.Permissions == nil {
				t.Permissions = map[string]string{"metadata": "read"}
			}
			t.Permissions[name] = level
		} else {
			t.Scopes = append(t.Scopes, word)
		}
	}
	return t
}

// has compares the deploy keys of a repository by their titles.
func (h *scriptGitHub) has(name string, want []string) error {
	var got []string
	for _, k := range h.Repository(name).Keys {
		if !k.ReadOnly {
			k.Title += " (writes)"
		}
		got = append(got, k.Title)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("deploy keys %q", got)
	}
	return nil
}

// reads tries Git with a server's own key.
func (h *scriptGitHub) reads(ctx context.Context, name, key string) error {
	git := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_SSH_COMMAND=ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i " + key}
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("git %v: %w: %s", args, err, out)
		}
		return err
	}
	address := "ssh://git@" + h.SSHAddress() + "/" + name + ".git"
	if err := git("ls-remote", "--exit-code", address, "refs/heads/main"); err != nil {
		return err
	}
	if git("--git-dir", h.Folder(name), "push", "--quiet", address, "main:written") == nil {
		return errors.New("it writes")
	}
	return nil
}
