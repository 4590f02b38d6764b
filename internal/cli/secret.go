package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
	nearest "salvor/internal/suggest"
)

func newSecret(g *globals) *cobra.Command {
	return newGroup("secret", "Secrets: encrypted in Git, plain only in memory on the host that needs them",
		newSecretSet(g), newSecretGet(g), newSecretEdit(g), newSecretImport(g), newSecretRotate(g), newSecretRm(g), newSecretGrant(g), newSecretRevoke(g), newSecretLs(g), newSecretAudit(g))
}

// isSecret is an error where the fleet has no secret of that name.
func isSecret(a *app.App, name string) error {
	all, err := a.Identity.Secrets()
	if err != nil || slices.ContainsFunc(all, func(s secretstore.Info) bool { return s.Name == name }) {
		return err
	}
	return nearSecret(a, name, fault.WithHint(fmt.Errorf("%s: %w", name, secret.ErrNotFound), "salvor secret ls"))
}

// nearSecret adds to the error about a secret that is not there which one was probably
// meant.
func nearSecret(a *app.App, name string, err error) error {
	if !errors.Is(err, secret.ErrNotFound) {
		return err
	}
	all, _ := a.Identity.Secrets() // what can't be listed is not meant
	var known []string
	for _, s := range all {
		known = append(known, s.Name)
	}
	near := nearest.Within(name, known, 2) // two thirds of a long name may be its stack's
	if near == "" {
		return err
	}
	return fault.WithHint(fmt.Errorf("%w, did you mean %q?", err, near), "salvor secret ls")
}
