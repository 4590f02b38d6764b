package agent

import (
	"testing"

	"salvor/internal/delivery"
	"salvor/internal/stack"
)

// Domains can't import each other, so what one binds and the other writes is
// compared here.
func TestSecretsAreBoundWhereTheyAreDelivered(t *testing.T) {
	root := DefaultPaths().secrets()
	for _, target := range []string{"/etc/app/tls.key", "/a b/$x:y", "/etc/../x"} {
		if bound, written := stack.SecretFile("web", "app", target), delivery.SingleFile(root, "web", "app", target); bound != written {
			t.Errorf("bound %s, written %s", bound, written)
		}
	}
	if bound, written := stack.SecretsPath("web", "app"), delivery.ServiceDir(root, "web", "app"); bound != written {
		t.Errorf("bound %s, written %s", bound, written)
	}
	if bound, written := stack.EnvPath("web"), delivery.EnvFile(root, "web"); bound != written {
		t.Errorf("read %s, written %s", bound, written)
	}
}
