package delivery

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/project"
)

// Service names as the Compose specification has them, but for a leading dot,
// which is ours.
var servicePattern = regexp.MustCompile(`^[a-zA-Z0-9_-][a-zA-Z0-9._-]*$`)

// checkNames refuses names that would leave the directory. They come out of an
// authentic file, but from another machine.
func checkNames(stack string, mounts []project.SecretMount) error {
	if err := fleet.ValidName(stack); err != nil {
		return err
	}
	seen := map[[2]string]bool{}
	for _, m := range mounts {
		if !servicePattern.MatchString(m.Service) {
			return fmt.Errorf("stack %s: %q is not a service name", stack, m.Service)
		}
		if err := checkTarget(m.Target); err != nil {
			return fmt.Errorf("stack %s, service %s: %w", stack, m.Service, err)
		}
		key := [2]string{m.Service, m.Target}
		if seen[key] {
			return fmt.Errorf("stack %s, service %s: two secrets have the path %s", stack, m.Service, m.Target)
		}
		seen[key] = true
	}
	return nil
}

func checkTarget(target string) error {
	if path.IsAbs(target) && target == path.Clean(target) && target != "/" {
		return nil
	}
	// Names with two dots in front are the machinery's.
	if target != "" && target != "." && !strings.HasPrefix(target, "..") && !strings.ContainsAny(target, "/\x00") {
		return nil
	}
	return fmt.Errorf("%q is not a target for a secret: use a file name or an absolute path", target)
}
