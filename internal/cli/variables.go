package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"salvor/internal/fault"
)

// withoutVariable are the global flags that no variable of the environment stands for,
// and why: a variable is set once and read by every later command.
var withoutVariable = map[string]string{
	"yes":           "every later command would confirm on its own that data is lost",
	"allow-remote":  "what is approved is the remote as it is now, not as it will be",
	"allow-program": "what is approved is for one command; at a terminal it is remembered",
	"grant":         "what is granted is for one command; at a terminal it is remembered",
}

// variableOf returns the variable of the environment that stands for a global flag, ""
// for none.
func variableOf(flag string) string {
	if withoutVariable[flag] != "" {
		return ""
	}
	return "SALVOR_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// nameVariables has the help of each global flag name its variable.
func nameVariables(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if variable := variableOf(f.Name); variable != "" {
			f.Usage += " [$" + variable + "]"
		}
	})
}

// fromEnvironment sets the global flags to what their variables are; an empty one is
// ignored, and what is typed counts more.
func fromEnvironment(flags *pflag.FlagSet, getenv func(string) string) (err error) {
	if getenv == nil {
		return nil
	}
	flags.VisitAll(func(f *pflag.Flag) {
		variable := variableOf(f.Name)
		if variable == "" || err != nil {
			return
		}
		value := getenv(variable)
		if value == "" {
			return
		}
		if f.Value.Set(value) != nil {
			err = fault.WithCode(fault.WithHint(fmt.Errorf("$%s is %q, and --%s takes true or false", variable, value, f.Name), "unset "+variable), fault.Usage)
		}
	})
	return err
}

// preferTyped has what is typed count more than another flag's variable.
func preferTyped(g *globals, cmd *cobra.Command) error {
	flags := cmd.Flags()
	if flags.Changed("passphrase-command") {
		if err := contradicting(cmd, "passphrase-file", "passphrase-command"); err != nil {
			return err
		}
		g.passphraseFile = ""
	}
	if flags.Changed("staged") && !flags.Changed("dir") {
		g.dir = "." // Git runs it in the repository that is committed to
	}
	return nil
}
