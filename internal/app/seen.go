package app

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"salvor/internal/checkout"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/identity"
	"salvor/internal/needs"
	"salvor/internal/secret/sops"
	"salvor/internal/secretstore"
)

// SeenSecrets are those that someone has seen who must not know them any more.
type SeenSecrets struct {
	checkout *checkout.Checkout
	identity *identity.Identity
	needs    *needs.Needs
	gitHost  *GitHost
}

// NewSeenSecrets returns those of a checkout.
func NewSeenSecrets(c *checkout.Checkout, id *identity.Identity, n *needs.Needs, g *GitHost) *SeenSecrets {
	return &SeenSecrets{checkout: c, identity: id, needs: n, gitHost: g}
}

// A Rotation is a secret that needs a new value, since someone has seen the present
// one who must no longer know it.
type Rotation struct {
	Secret   string      `json:"secret"`
	UsedBy   []needs.Use `json:"used_by,omitempty"`
	Provider bool        `json:"provider,omitempty"` // a provider issues it: it is changed there first
	Command  string      `json:"command"`
}

func (a *SeenSecrets) removals() (secretstore.Removals, error) {
	content, err := a.checkout.File(secretstore.SeenPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return secretstore.DecodeRemovals(content)
}

// noteRemoval adds to files what a removed person or host has seen: every secret, if
// r does not say which. It returns them.
func (a *SeenSecrets) noteRemoval(r secretstore.Removal, files map[string][]byte) ([]Rotation, error) {
	before, err := a.removals()
	if err != nil {
		return nil, err
	}
	all, err := a.identity.Store.List()
	if err != nil {
		return nil, err
	}
	var seen []secretstore.Info
	for _, info := range all {
		if r.Host == "" || slices.Contains(r.Secrets, info.Name) {
			seen = append(seen, info)
		}
	}
	r.Secrets = nil
	for _, info := range seen {
		r.Secrets = append(r.Secrets, info.Name)
	}
	content, err := before.With(r).Encode()
	if err != nil {
		return nil, err
	}
	if content != nil {
		files[secretstore.SeenPath] = content
	}
	var rotate []Rotation
	for _, info := range seen {
		rotate = append(rotate, a.rotation(info))
	}
	return rotate, nil
}

func (a *SeenSecrets) rotation(info secretstore.Info) Rotation {
	if command, own := ownKeys()[info.Name]; own {
		return Rotation{Secret: info.Name, UsedBy: a.needs.Uses(info.Name), Command: command}
	}
	r := Rotation{Secret: info.Name, UsedBy: a.needs.Uses(info.Name), Command: "salvor secret rotate " + info.Name}
	r.Provider = info.Command != nil || slices.ContainsFunc(r.UsedBy, func(u needs.Use) bool { return u.Fleet != "" && !strings.HasPrefix(u.Fleet, "vault id ") })
	if !r.Provider && a.mayGenerate(info) {
		r.Command += " --generate"
	}
	return r
}

// mayGenerate reports whether random text can take a secret's place: not where a
// file has a format, or a name with a path, as keys and certificates have.
func (a *SeenSecrets) mayGenerate(info secretstore.Info) bool {
	if fleet.SecretInYAML(info.Name) || info.Stack != "" {
		return true
	}
	return sops.FormatOf(info.File) == sops.Binary && !strings.ContainsAny(info.Name, "/.")
}

// forgetSeen adds to files that secrets have another value than those who were
// removed have seen.
func (a *SeenSecrets) forgetSeen(files map[string][]byte, names ...string) error {
	left, err := a.removals()
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
	files[secretstore.SeenPath], err = left.Encode()
	return err
}

// seen are the findings about secrets whose value a removed person or host knows.
func (a *SeenSecrets) seen() ([]finding.Finding, error) {
	removals, err := a.removals()
	if err != nil || len(removals) == 0 {
		return nil, err
	}
	all, _ := a.identity.Store.List() // invalid ones among them are reported by the code that opens them
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
		r, first := a.rotation(info), ""
		if r.Provider {
			first = "change it at its source, then "
		}
		found = append(found, finding.Finding{
			Code: finding.SecretSeen, Severity: finding.Warning, Subject: "secret " + info.Name,
			Text: "known to " + strings.Join(who, " and to ") + "; not changed since", Fix: first + r.Command,
		})
	}
	return found, nil
}
