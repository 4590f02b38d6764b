package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	nearest "salvor/internal/suggest"
)

// flagRefusal is what pflag refuses, in salvor's words.
func flagRefusal(cmd *cobra.Command, err error) error {
	if unknown, is := errors.AsType[*pflag.NotExistError](err); is {
		return noFlag(cmd, unknown)
	}
	if bare, is := errors.AsType[*pflag.ValueRequiredError](err); is {
		value, _ := pflag.UnquoteUsage(bare.GetFlag())
		return usage(cmd, "--%s needs %s", bare.GetFlag().Name, value)
	}
	if bad, is := errors.AsType[*pflag.InvalidValueError](err); is {
		return badValue(cmd, bad)
	}
	if bad, is := errors.AsType[*pflag.InvalidSyntaxError](err); is {
		return usage(cmd, "%s is not a flag", bad.GetSpecifiedFlag())
	}
	return usage(cmd, "%w", err)
}

// noFlag refuses a flag that a command does not have.
func noFlag(cmd *cobra.Command, unknown *pflag.NotExistError) error {
	if unknown.GetSpecifiedShortnames() != "" {
		return usage(cmd, "%s has no flag -%.1s", cmd.CommandPath(), unknown.GetSpecifiedName())
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, "--"+f.Name)
		}
	})
	word := "--" + unknown.GetSpecifiedName()
	return usage(cmd, "%s has no flag %s%s", cmd.CommandPath(), word, nearest.DidYouMean(word, known))
}

// badValue refuses the value of a flag. Kinds of values that are salvor's own say
// themselves what they want.
func badValue(cmd *cobra.Command, bad *pflag.InvalidValueError) error {
	const format = "--%s: %q is %s"
	switch f := bad.GetFlag(); f.Value.Type() {
	case "int":
		return usage(cmd, format, f.Name, bad.GetValue(), "not a whole number")
	case "bool":
		return usage(cmd, format, f.Name, bad.GetValue(), "neither true nor false")
	default:
		return usage(cmd, "--%s: %w", f.Name, bad.Unwrap())
	}
}

// contradicting refuses flags of which a command takes one alone.
func contradicting(cmd *cobra.Command, flags ...string) error {
	var given []string
	for _, name := range flags {
		if cmd.Flags().Changed(name) {
			given = append(given, "--"+name)
		}
	}
	if len(given) < 2 {
		return nil
	}
	return usage(cmd, "%s contradict each other", strings.Join(given, " and "))
}
