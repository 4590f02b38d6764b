package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"salvor/internal/agentapi"
	"salvor/internal/machine/sshtest"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

// servers are the new servers of a script, by name.
type servers map[string]*sshtest.Fake

type serversKey struct{}

// serverCommands are what a script does with servers that it bought:
//
//	server start NAME USER PASSWORD [WORD…]  begins one, and sets $NAME to its address and $NAME_KEY to its key
//	server is NAME WORD…                     changes what it is like
//	server rekey NAME                        gives it another host key
//	server ran NAME TEXT                     fails where a command line had the text
//
// The words are those of sshtest.FakeOptions; "not-WORD" takes one back.
func serverCommands(ts *testscript.TestScript, neg bool, args []string) {
	all := *ts.Value(serversKey{}).(*servers)
	what, name := args[0], args[1]
	if what == "start" {
		f, err := bought(ts.MkAbs(filepath.Join("servers", name)), name, args[2], args[3])
		ts.Check(err)
		ts.Defer(f.Close)
		all[name] = f
		ts.Setenv(name, fmt.Sprintf("%s@127.0.0.1:%d", args[2], f.Port))
		ts.Setenv(name+"_KEY", f.Fingerprint())
		what, args = "is", args[2:]
	}
	f := all[name]
	if f == nil {
		ts.Fatalf("%s is not a server of this script", name)
	}
	switch what {
	case "is":
		f.Change(func(o *sshtest.FakeOptions) {
			for _, word := range args[2:] {
				become(o, word)
			}
		})
	case "rekey":
		ts.Check(f.Rekey())
	case "ran":
		if strings.Contains(strings.Join(f.Lines(), "\n"), args[2]) == neg {
			ts.Fatalf("command lines: %q", f.Lines())
		}
	default:
		ts.Fatalf("no such command: %s", what)
	}
}

func become(o *sshtest.FakeOptions, word string) {
	word, not := strings.CutPrefix(word, "not-")
	switch word {
	case "expired":
		o.Expired = !not
	case "interactive":
		o.Interactive = !not
	case "keys-only":
		o.KeysOnly = !not
	case "full":
		o.Full = !not
	default:
		o.Sudo = sshtest.Sudo(word)
	}
}

// bought begins a server that enrols with keys of its own.
func bought(dir, name, user, password string) (*sshtest.Fake, error) {
	key, err := agekey.Generate()
	if err != nil {
		return nil, err
	}
	private, err := sign.NewKey("host")
	if err != nil {
		return nil, err
	}
	signer, err := sign.ParseKey(private)
	if err != nil {
		return nil, err
	}
	enrolment, err := json.Marshal(agentapi.Enrolment{Recipient: key.Recipient, Signer: signer.Public(), GitKey: string(signer.Public()) + " " + name})
	if err = errors.Join(err, os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, agentapi.VerbEnrol+".json"), enrolment, 0o600), os.WriteFile(filepath.Join(dir, "git_key"), private.Reveal(), 0o600), os.WriteFile(filepath.Join(dir, "git_key.pub"), []byte(signer.Public()+"\n"), 0o600)); err != nil {
		return nil, err
	}
	return sshtest.StartFake(context.Background(), dir, sshtest.FakeOptions{User: user, Password: password, Sudo: sshtest.SudoFree, Root: folderHost{name, dir}})
}

// TestFirstLoginAtATerminal: what is typed is not shown, a wrong password is asked for
// again, and sudo gets the same one only if the person says so.
func TestFirstLoginAtATerminal(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	f, err := bought(t.TempDir(), "delta", "ops", "hunter2-right")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	f.Change(func(o *sshtest.FakeOptions) { o.Sudo, o.Expired = sshtest.SudoAsks, true })
	s := o.types("host", "add", "delta", fmt.Sprintf("ops@127.0.0.1:%d", f.Port), "--host-key", f.Fingerprint())
	for _, step := range [][2]string{
		{`Password of ops@127\.0\.0\.1: `, "hunter2-wrong"},
		{`That is not it \(try 2 of 3\)\. Password of ops@127\.0\.0\.1: `, "hunter2-right"},
		{`The password of ops@127\.0\.0\.1 must be changed\. New password: `, "hunter2-new-one"},
		{`The same again: `, "hunter2-new-one"},
		{`Password of ops@127\.0\.0\.1 for sudo \(Enter: the same\): `, ""},
	} {
		s.await(step[0])
		if s.echoes() {
			t.Errorf("%s: the terminal shows what is typed", step[0])
		}
		s.send(step[1] + "\n")
	}
	s.await(`Let ops use sudo on delta without a password from now on \(/etc/sudoers\.d/salvor\)\? ` + asksYes)
	s.send("y\n")
	s.await(asksPassphrase)
	s.send(phrase + "\n")
	if code := s.code(); code != 0 {
		t.Fatalf("code %d: %s", code, s.screen())
	}
	if strings.Contains(s.screen(), "hunter2") {
		t.Errorf("the screen shows a password: %s", s.screen())
	}
}
