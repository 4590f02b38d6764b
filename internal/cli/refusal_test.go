package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"salvor/internal/fault"
)

// TestRefusalsAreUsageErrors has every command refuse wrong numbers of arguments in
// salvor's words, with exit code 2 and a hint.
func TestRefusalsAreUsageErrors(t *testing.T) {
	t.Parallel()
	for path, cmd := range runnable(newRoot(&globals{})) {
		for n := range 9 {
			args := make([]string, n)
			for i := range args {
				args[i] = fmt.Sprint("word", i)
			}
			err := cmd.ValidateArgs(args)
			if err == nil {
				continue
			}
			if code, _ := fault.Code(err); code != fault.Usage || fault.Hint(err) == "" {
				t.Errorf("salvor %s with %d arguments: %v, code %d, hint %q", path, n, err, code, fault.Hint(err))
			}
		}
	}
}

// TestNoRefusalOfCobras holds that no command has cobra check which flags go together: it
// would say so in its own words, see contradicting.
func TestNoRefusalOfCobras(t *testing.T) {
	t.Parallel()
	each(newRoot(&globals{}), func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			for name := range f.Annotations {
				if strings.HasPrefix(name, "cobra_annotation_") && name != cobra.BashCompFilenameExt {
					t.Errorf("%s: --%s has %s", cmd.CommandPath(), f.Name, name)
				}
			}
		})
	})
}

// TestFlagsNameTheirValues holds that the help and the error about a flag without a value
// can say what is missing, and that every kind of value is refused in salvor's words.
func TestFlagsNameTheirValues(t *testing.T) {
	t.Parallel()
	ours := map[string]bool{"bool": true, "int": true, "string": true, "stringSlice": true, "stringArray": true, "duration": true, "moment": true, "time": true}
	each(newRoot(&globals{}), func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if kind := f.Value.Type(); !ours[kind] {
				t.Errorf("%s: --%s is a %s, which pflag would refuse in its own words", cmd.CommandPath(), f.Name, kind)
			}
		})
	})
}
