package agent

import (
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/hostpath"
	"salvor/internal/project"
)

func TestSecretsCause(t *testing.T) {
	paths := hostpath.Layout{Run: t.TempDir()}
	now := agentapi.Stack{Name: "notes", Epoch: 2, Sealed: []byte("sealed")}
	withSecret := now
	withSecret.Project.Secrets = []project.SecretMount{{Service: "web", Secret: "token"}}
	withEnv := now
	withEnv.Project.Env = []string{"DB"}
	is := here.Local{Epoch: 2, Sealed: here.SealedDigest(now)}
	for name, c := range map[string]struct {
		stack agentapi.Stack
		local here.Local
		want  string
	}{
		"in force":                         {now, is, ""},
		"in force, with a secret":          {withSecret, is, ""},
		"another one":                      {now, here.Local{Epoch: 2, Sealed: "before"}, "another sealed file"},
		"another one, with a secret":       {withSecret, here.Local{Epoch: 2, Sealed: "before"}, "another sealed file"},
		"a variable, gone since the boot":  {withEnv, is, "not delivered since the boot"},
		"no seal yet":                      {agentapi.Stack{Name: "notes", Epoch: 2}, is, ""},
		"not here yet":                     {now, here.Local{}, ""},
		"here before, at an earlier epoch": {now, here.Local{Epoch: 1, Sealed: "before"}, ""},
	} {
		if got := secretsCause(paths, c.stack, c.local); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
