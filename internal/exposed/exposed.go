// Package exposed knows which secrets someone may know who must not know them any more: it
// notes them in the repository until each has a new value.
package exposed

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/checkout"
	"salvor/internal/finding"
	"salvor/internal/identity"
	"salvor/internal/needs"
	"salvor/internal/secretstore"
)

// Secrets are those whose value a removed operator, a removed or stolen host, or
// the holder of a replaced key may know.
type Secrets struct {
	checkout *checkout.Checkout
	identity *identity.Identity
	needs    *needs.Needs
	git      func(context.Context) (agentapi.Git, error)
}

// New returns those of a checkout; git says how hosts read the repository.
func New(c *checkout.Checkout, id *identity.Identity, n *needs.Needs, git func(context.Context) (agentapi.Git, error)) *Secrets {
	return &Secrets{checkout: c, identity: id, needs: n, git: git}
}

// A Secret is one that needs a new value, since someone may know the present
// one who must no longer know it.
type Secret struct {
	Name   string      `json:"secret"`
	UsedBy []needs.Use `json:"used_by,omitempty"`
	needs.Renewal
}

// removals are those that left secrets exposed.
func (s *Secrets) removals() (secretstore.Removals, error) {
	content, err := s.checkout.File(secretstore.RemovalsPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return secretstore.DecodeRemovals(content)
}

// ByKey returns the secrets that the holder of an operator's old key may know; noted
// reports whether such a key was noted.
func (s *Secrets) ByKey(operator string) (exposed []Secret, noted bool, err error) {
	before, err := s.removals()
	if err != nil {
		return nil, false, err
	}
	of := slices.DeleteFunc(before, func(r secretstore.Removal) bool { return r.Key != operator })
	if len(of) == 0 {
		return nil, false, nil
	}
	all, err := s.identity.Store.List()
	for _, info := range all {
		if len(of.Of(info.Name)) > 0 {
			exposed = append(exposed, s.exposed(info))
		}
	}
	return exposed, true, err
}

// NoteRemoval adds to files which secrets a removal exposes: every one, if r has an
// operator or a key. It returns them.
func (s *Secrets) NoteRemoval(r secretstore.Removal, files map[string][]byte) ([]Secret, error) {
	before, err := s.removals()
	if err != nil {
		return nil, err
	}
	all, err := s.identity.Store.List()
	if err != nil {
		return nil, err
	}
	var names []string
	var exposed []Secret
	for _, info := range all {
		if r.Host == "" || slices.Contains(r.Secrets, info.Name) {
			names, exposed = append(names, info.Name), append(exposed, s.exposed(info))
		}
	}
	r.Secrets = names
	content, err := before.With(r).Encode()
	if err != nil {
		return nil, err
	}
	if content != nil {
		files[secretstore.RemovalsPath] = content
	}
	return exposed, nil
}

// exposed is what is to be done about one of them.
func (s *Secrets) exposed(info secretstore.Info) Secret {
	return Secret{Name: info.Name, UsedBy: s.needs.Uses(info.Name), Renewal: s.needs.Renewal(info.Name)}
}

// NoteChanged adds to files that secrets have a new value, and so are not exposed any
// more.
func (s *Secrets) NoteChanged(files map[string][]byte, names ...string) error {
	left, err := s.removals()
	if err != nil {
		return err
	}
	changed := false
	for _, name := range names {
		var one bool
		left, one = left.Without(name)
		changed = changed || one
	}
	if !changed {
		return nil
	}
	files[secretstore.RemovalsPath], err = left.Encode()
	return err
}

// Findings are those about exposed secrets.
func (s *Secrets) Findings() ([]finding.Finding, error) {
	removals, err := s.removals()
	if err != nil || len(removals) == 0 {
		return nil, err
	}
	all, _ := s.identity.Store.List() // invalid ones among them are reported by the code that opens them
	var found []finding.Finding
	for _, info := range all {
		of := removals.Of(info.Name)
		if len(of) == 0 {
			continue
		}
		who := make([]string, len(of))
		for i, r := range of {
			who[i] = r.String()
		}
		found = append(found, finding.Finding{
			Code: finding.SecretSeen, Severity: finding.Warning, Subject: "secret " + info.Name,
			Text: "known to " + strings.Join(who, " and to ") + "; not changed since", Fix: s.needs.Renewal(info.Name).String(),
		})
	}
	return found, nil
}
