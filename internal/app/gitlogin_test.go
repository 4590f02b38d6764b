package app

import (
	"os/exec"
	"strings"
	"testing"

	"salvor/internal/progress"
)

// TestS22TheOperatorsLoginAtGitStaysHere: hosts and the card get the address of the
// operator's remote, not the token in it.
func TestS22TheOperatorsLoginAtGitStaysHere(t *testing.T) {
	k := newKeyed(t)
	for address, want := range map[string]string{
		"https://ann:hunter2@git.example.com/home.git":    "https://git.example.com/home.git",
		"http://hunter2@git.example.com/home.git":         "http://git.example.com/home.git",
		"ssh://git:hunter2@git.example.com:2222/home.git": "ssh://git@git.example.com:2222/home.git",
		"git@git.example.com:home.git":                    "git@git.example.com:home.git",
		"https://git.example.com/home.git":                "https://git.example.com/home.git",
	} {
		_ = exec.Command("git", "-C", k.dir, "remote", "remove", "origin").Run() // the first time there is none
		if out, err := exec.Command("git", "-C", k.dir, "remote", "add", "origin", address).CombinedOutput(); err != nil {
			t.Fatal(string(out))
		}
		s, err := k.open(k.ann).Session(t.Context(), progress.Discard())
		if err != nil || s.Git.URL != want || strings.Contains(s.Git.URL, "hunter2") {
			t.Errorf("%s: hosts get %s, %v", address, s.Git.URL, err)
		}
	}
}
