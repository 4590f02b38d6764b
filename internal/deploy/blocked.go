package deploy

import (
	"errors"
	"fmt"
	"slices"

	"salvor/internal/fault"
	"salvor/internal/finding"
)

// Blocked is the error of a fleet whose findings are in the way: the first fatal one,
// and how many there are; nil without any.
func Blocked(all []finding.Finding) error {
	fatal := slices.DeleteFunc(slices.Clone(all), func(f finding.Finding) bool { return f.Severity != finding.Fatal })
	if len(fatal) == 0 {
		return nil
	}
	err := errors.New(InFull(fatal[0]))
	if len(fatal) > 1 {
		err = fmt.Errorf("%w, and %d more problems", err, len(fatal)-1)
	}
	return fault.WithHint(err, fatal[0].Fix)
}

// Reported is Blocked for findings that were printed: how many are in the way, and
// nothing of them again.
func Reported(all []finding.Finding) error {
	fatal := 0
	for _, f := range all {
		if f.Severity == finding.Fatal {
			fatal++
		}
	}
	switch fatal {
	case 0:
		return nil
	case 1:
		return errors.New("the problem above is in the way")
	}
	return fmt.Errorf("the %d problems above are in the way", fatal)
}

// InFull is a finding as an error. That a stack is broken says its code alone, so
// the place and the reason are the whole of it.
func InFull(f finding.Finding) string {
	if f.Code == finding.StackBroken {
		return f.Subject + ": " + f.Text
	}
	return f.String()
}
