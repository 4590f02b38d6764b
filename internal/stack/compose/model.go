package compose

import (
	"context"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// loadProject has compose-go load files. Its normalization is left to the Compose on the
// host, since it changes what is written: only what a project can't be checked or
// rendered without is done here.
func loadProject(ctx context.Context, details types.ConfigDetails, option func(*loader.Options)) (*types.Project, error) {
	model, err := loader.LoadModelWithContext(ctx, details, option)
	if err != nil {
		return nil, err
	}
	declareDefaultNetwork(model)
	fillBuildArgs(model, details.Environment)
	return loader.ModelToProject(model, loader.ToOptions(&details, []func(*loader.Options){option}), details)
}

// declareDefaultNetwork adds the network that each project has, where a service names it
// and networks: does not.
func declareDefaultNetwork(model map[string]any) {
	networks, _ := model["networks"].(map[string]any)
	if _, declared := networks[defaultNetwork]; declared {
		return
	}
	services, _ := model["services"].(map[string]any)
	for _, each := range services {
		service, _ := each.(map[string]any)
		joined, _ := service["networks"].(map[string]any)
		if _, named := joined[defaultNetwork]; !named {
			continue
		}
		if networks == nil {
			networks = map[string]any{}
		}
		networks[defaultNetwork] = map[string]any{}
		model["networks"] = networks
		return
	}
}

// fillBuildArgs gives a build argument without a value the one of its variable. Without
// one the build does not get it.
func fillBuildArgs(model map[string]any, env types.Mapping) {
	services, _ := model["services"].(map[string]any)
	for _, each := range services {
		service, _ := each.(map[string]any)
		build, _ := service["build"].(map[string]any)
		switch args := build["args"].(type) {
		case []any:
			build["args"] = filledList(args, env)
		case map[string]any:
			fillMapping(args, env)
		}
	}
}

func fillMapping(args map[string]any, env types.Mapping) {
	for name, value := range args {
		if value != nil {
			continue
		}
		if set, known := env[name]; known {
			args[name] = set
		} else {
			delete(args, name)
		}
	}
}

func filledList(args []any, env types.Mapping) []any {
	filled := []any{}
	for _, each := range args {
		arg, _ := each.(string)
		set, known := env[arg]
		switch {
		case strings.Contains(arg, "="):
			filled = append(filled, arg)
		case known:
			filled = append(filled, arg+"="+set)
		}
	}
	return filled
}
