package stacktest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/atomicfile"
)

// A composer reads a project as docker compose does: with its library, by its options
// (docker/compose, pkg/compose/loader.go).
type composer struct {
	name, dir, pwd  string
	files, envFiles []string
	profiles        []string
	stdin           []byte // the file "-"
}

// parseComposer takes what `docker compose` is given before its verb.
func parseComposer(args []string, pwd string) composer {
	c := composer{dir: pwd, pwd: pwd}
	for i := 0; i+1 < len(args); i += 2 {
		value := args[i+1]
		switch args[i] {
		case "--project-name":
			c.name = value
		case "--project-directory":
			c.dir = value
		case "--env-file":
			c.envFiles = append(c.envFiles, abs(pwd, value))
		case "--profile":
			c.profiles = append(c.profiles, value)
		case "--file":
			c.files = append(c.files, abs(pwd, value))
		default:
			panic(fmt.Sprintf("this Compose does not know %s", args[i]))
		}
	}
	return c
}

func abs(dir, file string) string {
	if file == "-" || filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(dir, file)
}

func (c composer) load(ctx context.Context) (*types.Project, error) {
	if len(c.files) == 1 && c.files[0] == "-" {
		file := filepath.Join(os.TempDir(), "stdin-"+hashed(c.stdin)+".yaml") // the library reads standard input of the process
		if err := atomicfile.Write(file, bytes.NewReader(c.stdin), 0o600); err != nil {
			return nil, err
		}
		defer os.Remove(file) //nolint:errcheck // in the test's own folder
		c.files = []string{file}
	}
	options, err := cli.NewProjectOptions(c.files, cli.WithInterpolation(true), cli.WithResolvedPaths(true), cli.WithNormalization(true), cli.WithDiscardEnvFile,
		cli.WithWorkingDirectory(c.dir), cli.WithEnv([]string{"PWD=" + c.pwd}),
		cli.WithEnvFiles(c.envFiles...), cli.WithDotEnv, cli.WithConfigFileEnv, cli.WithDefaultConfigPath,
		cli.WithEnvFiles(c.envFiles...), cli.WithDotEnv, cli.WithDefaultProfiles(c.profiles...), cli.WithName(c.name))
	if err != nil {
		return nil, err
	}
	p, err := options.LoadProject(ctx)
	if err != nil {
		return nil, err
	}
	return p.WithServicesEnvironmentResolved(true)
}

// hashOf is the label com.docker.compose.config-hash of a service's containers (docker/compose,
// pkg/compose/hash.go), if what lies below root lay at the root.
func hashOf(s types.ServiceConfig, root string) (string, error) {
	s.Build, s.PullPolicy, s.Scale, s.DependsOn, s.Profiles = nil, "", nil, nil, nil
	if s.Deploy != nil {
		deploy := *s.Deploy
		deploy.Replicas = nil
		s.Deploy = &deploy
	}
	text, err := json.Marshal(s)
	return hashed(bytes.ReplaceAll(text, []byte(root), nil)), err
}

func hashed(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
