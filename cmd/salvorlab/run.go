package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"salvor/internal/lab/benches"
	"salvor/internal/lab/scenario"
)

// scenarios is where the scenarios are, as Go tests.
const scenarios = "salvor/internal/lab/scenarios"

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	seed := flags.Uint64("seed", 0, "repeat a run (0: random)")
	length := flags.Duration("for", 0, "how long to run (0: as long as the scenario chooses)")
	short := flags.Bool("short", false, "the form that make test runs")
	if err := flags.Parse(args); err != nil || flags.NArg() > 1 {
		return errUsage
	}
	names, err := list(ctx)
	if err != nil {
		return err
	}
	name := flags.Arg(0)
	if name == "" {
		fmt.Println(strings.Join(names, "\n"))
		return nil
	}
	if !slices.Contains(names, name) {
		return fmt.Errorf("no scenario %q: have %s", name, strings.Join(names, ", "))
	}
	env := []string{"SALVOR_LAB=require"}
	if !*short {
		env = append(env, scenario.EnvFull+"=1")
	}
	if *seed != 0 {
		env = append(env, fmt.Sprintf("%s=%d", scenario.EnvSeed, *seed))
	}
	if *length != 0 {
		env = append(env, fmt.Sprintf("%s=%s", scenario.EnvFor, *length))
	}
	limit := fmt.Sprintf("-timeout=%s", *length+2*time.Hour)
	return attached(ctx, env, "go", "test", "-count=1", "-v", limit, "-run", scenario.Pattern(name), scenarios)
}

func list(ctx context.Context) ([]string, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-list", "^Test", scenarios)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list scenarios: %w", err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		if test := strings.TrimSpace(line); strings.HasPrefix(test, "Test") {
			names = append(names, scenario.Names(test)...)
		}
	}
	return names, nil
}

func bench(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "one JSON object a figure")
	if err := flags.Parse(args); err != nil {
		return errUsage
	}
	name := flags.Arg(0)
	if flags.NArg() > 0 { // flags may follow the name
		if err := flags.Parse(flags.Args()[1:]); err != nil || flags.NArg() > 0 {
			return errUsage
		}
	}
	chosen := slices.DeleteFunc(benches.All(), func(b benches.Bench) bool { return name != "" && b.Name != name })
	if len(chosen) == 0 {
		return fmt.Errorf("no bench %q", name)
	}
	missed := 0
	for _, b := range chosen {
		logLine("%s: %s", b.Name, b.About)
		err := b.Run(ctx, logLine, func(f benches.Figure) {
			if !f.OK {
				missed++
			}
			printFigure(f, *asJSON)
		})
		if err != nil {
			return fmt.Errorf("bench %s: %w", b.Name, err)
		}
	}
	if missed > 0 {
		return fmt.Errorf("%d figures miss their goal", missed)
	}
	return nil
}

func printFigure(f benches.Figure, asJSON bool) {
	if asJSON {
		out := json.NewEncoder(os.Stdout)
		out.SetEscapeHTML(false)              // goals have < and > in them
		if err := out.Encode(f); err != nil { // NaN or Inf: a bench divided by nothing
			logLine("%s: %v", f.Name, err)
		}
		return
	}
	verdict := "ok"
	if !f.OK {
		verdict = "MISSED"
	}
	fmt.Printf("%-32s %10.3f %-6s goal %-10s %s\n", f.Name, f.Value, f.Unit, f.Goal, verdict)
}
