package secretchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/controlrepo"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
)

// Due is when a secret is to be rotated.
type Due struct {
	Since time.Time // when it got the value that it has
	At    time.Time // when the period of fleet.yaml ends
}

// Due returns, by name, the secrets to which fleet.yaml gives a period. One that
// is not committed yet is not among them.
func (c *Changes) Due(ctx context.Context) (map[string]Due, error) {
	all := map[string]Due{}
	for _, s := range c.checkout.Fleet.Secrets {
		if s.Rotate == 0 {
			continue
		}
		since, err := c.since(ctx, s)
		if err != nil {
			return nil, err
		}
		if !since.IsZero() {
			all[s.Name] = Due{Since: since, At: since.Add(s.Rotate)}
		}
	}
	return all, nil
}

// Findings are those about secrets that are older than their period.
func (c *Changes) Findings(ctx context.Context, now time.Time) ([]finding.Finding, error) {
	due, err := c.Due(ctx)
	var found []finding.Finding
	for name, d := range due {
		if !d.At.Before(now) {
			continue
		}
		f := finding.Finding{Code: finding.SecretLate, Severity: finding.Warning, Subject: c.checkout.Place("secrets", name, "rotate").String(),
			Text: fmt.Sprintf("%s was last changed on %s and was due on %s", name, d.Since.Format(time.DateOnly), d.At.Format(time.DateOnly)),
			Fix:  c.needs.Renewal(name).String()}
		found = append(found, f)
	}
	return append(found, c.missingValues()...), err
}

// missingValues are the findings about periods of values that their YAML files
// don't have. Files and variables are looked for when fleet.yaml is read.
func (c *Changes) missingValues() []finding.Finding {
	var found []finding.Finding
	for _, s := range c.checkout.Fleet.Secrets {
		if !fleet.SecretInYAML(s.Name) {
			continue
		}
		if _, err := c.identity.Store.Sealed(s.Name); errors.Is(err, secret.ErrNotFound) {
			found = append(found, c.checkout.SecretMissing(s.Name, ""))
		}
	}
	return found
}

// since returns when a secret got the value that it has: zero if that is unknown,
// since it is not committed or damaged, which other commands report.
func (c *Changes) since(ctx context.Context, s fleet.Secret) (time.Time, error) {
	t, err := c.trace(s)
	switch {
	case err != nil || c.checkout.Commit == "":
		return time.Time{}, nil
	case t.Exact:
		return t.Modified, nil
	}
	now, err := c.checkout.File(t.File)
	if err != nil {
		return time.Time{}, err
	}
	part := t.Of(now)
	if part == nil {
		return time.Time{}, nil
	}
	since, err := c.committed(ctx, t, part)
	if t.Modified.IsZero() || since.Before(t.Modified) {
		return since, err
	}
	return t.Modified, err // encrypting again changes lines, but no value
}

// trace is the store's, and for what a program prints the declaration in
// fleet.yaml.
func (c *Changes) trace(s fleet.Secret) (secretstore.Trace, error) {
	if s.Command == nil {
		return c.identity.Store.Trace(s.Name)
	}
	return secretstore.Trace{File: fleet.File, Of: func(content []byte) []byte {
		was, declared := controlrepo.DeclaredSecret(content, s.Name)
		if !declared || was.Command == nil {
			return nil
		}
		return fmt.Appendf(nil, "%d %q", was.Revision, was.Command)
	}}, nil
}

// committed returns the date of the commit that brought what stands for a value in
// Git, looked for among so many commits; what is older has the date of the oldest.
func (c *Changes) committed(ctx context.Context, t secretstore.Trace, part []byte) (since time.Time, err error) {
	logged, err := c.checkout.Git.Log(ctx, loggedLimit, t.File)
	if err != nil {
		return since, err
	}
	names := make([]string, len(logged))
	for i, l := range logged {
		names[i] = string(l.Commit) + ":" + t.File
	}
	objects, err := c.checkout.Git.Objects(ctx, names)
	for i, o := range objects {
		if !bytes.Equal(t.Of(o.Content), part) {
			break
		}
		since = logged[i].At
	}
	return since, err
}

// loggedLimit is how many commits of a secret's file are looked at.
const loggedLimit = 500
