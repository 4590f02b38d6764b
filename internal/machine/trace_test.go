package machine_test

import (
	"slices"
	"testing"

	"salvor/internal/machine"
	"salvor/internal/machine/local"
)

// TestTraceReportsEachProgram that ran, also one that failed; without a trace nothing.
func TestTraceReportsEachProgram(t *testing.T) {
	t.Parallel()
	var ran []machine.Ran
	ctx := machine.WithTrace(t.Context(), func(r machine.Ran) { ran = append(ran, r) })
	for _, program := range []string{"true", "false"} {
		_, _ = local.Machine{}.Run(ctx, machine.Command(program))
		_, _ = local.Machine{}.Run(t.Context(), machine.Command(program))
	}
	if len(ran) != 2 || !slices.Equal(ran[1].Argv, []string{"false"}) || ran[0].Err != nil || ran[1].Err == nil || ran[0].Took <= 0 {
		t.Errorf("%+v", ran)
	}
}

// TestCommand leaves out what says nothing about the call.
func TestCommand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ argv, want []string }{
		{[]string{"git", "--no-replace-objects", "-c", "core.quotePath=false", "-c", "a=b", "rev-parse", "-c"}, []string{"git", "rev-parse", "-c"}},
		{[]string{"git"}, []string{"git"}}, {[]string{"sh", "-c", "x"}, []string{"sh", "-c", "x"}}, {nil, nil},
	} {
		if got := (machine.Ran{Argv: c.argv}).Command(); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q", c.argv, got)
		}
	}
}
