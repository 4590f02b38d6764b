package hostpath

import (
	"strings"
	"testing"
)

// TestNothingLiesOutsideItsFolder looks at names that a Compose file may choose.
func TestNothingLiesOutsideItsFolder(t *testing.T) {
	l := Default()
	for _, target := range []string{"/etc/app/tls.key", "/a b/$x:y", "/etc/../x", "/../../etc/shadow"} {
		at := l.Secrets().Single("web", "app", target)
		rest, below := strings.CutPrefix(at, l.Secrets().Stack("web")+"/.files/app/")
		if !below || strings.ContainsAny(rest, "/:$ ") || rest == ".." {
			t.Errorf("the secret at %q lies at %s", target, at)
		}
	}
}

// TestSecretsAndGatesAreInMemory says what a boot takes away.
func TestSecretsAndGatesAreInMemory(t *testing.T) {
	l := Default()
	for _, path := range []string{string(l.Secrets()), l.Secrets().Env("web"), l.Gate("web"), l.Login("web"), l.Paused("web"), l.Waiting("web")} {
		if !strings.HasPrefix(path, "/run/") {
			t.Errorf("%s survives a boot", path)
		}
	}
}
