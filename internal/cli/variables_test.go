package cli

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"salvor/internal/fault"
)

// TestEveryGlobalFlagHasAVariable, which its help names, or a reason to have none.
func TestEveryGlobalFlagHasAVariable(t *testing.T) {
	t.Parallel()
	flags := newRoot(&globals{}).PersistentFlags()
	flags.VisitAll(func(f *pflag.Flag) {
		if variable := variableOf(f.Name); variable != "" && !strings.HasSuffix(f.Usage, " [$"+variable+"]") {
			t.Errorf("--%s: its help does not name %s: %q", f.Name, variable, f.Usage)
		}
	})
	for name, reason := range withoutVariable {
		if flags.Lookup(name) == nil || reason == "" {
			t.Errorf("--%s has no variable for the reason %q, and is a flag: %v", name, reason, flags.Lookup(name) != nil)
		}
	}
}

// TestAVariableStandsForItsFlag unless the flag is typed, too; --yes is always typed.
func TestAVariableStandsForItsFlag(t *testing.T) {
	t.Parallel()
	environment := map[string]string{
		"SALVOR_DIR": "/fleet", "SALVOR_JSON": "1", "SALVOR_QUIET": "", "SALVOR_IDENTITY": "/me", "SALVOR_PASSPHRASE_FILE": "/pass",
		"SALVOR_YES": "1", "SALVOR_GRANT": "x", "SALVOR_ALLOW_REMOTE": "x", "SALVOR_ALLOW_PROGRAM": "x",
	}
	for _, c := range []struct {
		typed []string
		want  globals
	}{
		{nil, globals{dir: "/fleet", identity: "/me", prompts: prompts{passphraseFile: "/pass"}}},
		{[]string{"-C", "here", "--identity", ""}, globals{dir: "here", prompts: prompts{passphraseFile: "/pass"}}},
		{[]string{"--passphrase-command", "pass show salvor"}, globals{dir: "/fleet", identity: "/me", prompts: prompts{passphraseCommand: "pass show salvor"}}},
		{[]string{"--staged"}, globals{dir: ".", identity: "/me", prompts: prompts{passphraseFile: "/pass"}}},
	} {
		g := &globals{}
		root := newRoot(g)
		root.PersistentFlags().Bool("staged", false, "")
		flags := root.PersistentFlags()
		if err := fromEnvironment(flags, func(name string) string { return environment[name] }); err != nil {
			t.Fatal(err)
		}
		if err := root.ParseFlags(c.typed); err != nil {
			t.Fatal(err)
		}
		if err := preferTyped(g, root); err != nil {
			t.Errorf("%q: %v", c.typed, err)
		}
		if g.dir != c.want.dir || g.identity != c.want.identity || g.passphraseFile != c.want.passphraseFile || g.passphraseCommand != c.want.passphraseCommand || !g.json || g.quiet {
			t.Errorf("%q: %+v", c.typed, g)
		}
		if g.yes || len(g.grants)+len(g.allowRemotes)+len(g.allowPrograms) > 0 {
			t.Errorf("%q: the environment confirms: %+v", c.typed, g.prompts)
		}
	}
}

func TestAVariableThatIsNoValue(t *testing.T) {
	t.Parallel()
	err := fromEnvironment(newRoot(&globals{}).PersistentFlags(), func(name string) string {
		return map[string]string{"SALVOR_JSON": "please"}[name]
	})
	code, _ := fault.Code(err)
	if code != fault.Usage || err.Error() != `$SALVOR_JSON is "please", and --json takes true or false` || fault.Hint(err) != "unset SALVOR_JSON" {
		t.Errorf("%v, code %d, hint %q", err, code, fault.Hint(err))
	}
}
