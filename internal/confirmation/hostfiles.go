package confirmation

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"

	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/hostkey"
	"salvor/internal/sign"
)

// hostFiles returns such files of what a repository declares, each with what it lets
// others do.
func hostFiles(repo *controlrepo.Repository) map[string][]grant.Grant {
	files := map[string][]grant.Grant{}
	for _, h := range repo.Fleet.Hosts {
		if repo.Recipients[h.Name] != "" {
			files[hostkey.Path(h.Name)] = []grant.Grant{HostGrant(repo, h.Name, h.Name)}
		}
	}
	if all := LoginGrants(repo); len(all) > 0 {
		files[fleet.AuthorizedKeysFile] = all
	}
	return files
}

// unsignedBy returns the files of the commit, of those given, that none of the keys has
// signed, with the reason.
func unsignedBy(c *checkout.Checkout, files map[string][]grant.Grant, keys sign.Keys) (map[string]error, error) {
	found := map[string]error{}
	for path := range files {
		content, err := c.File(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the next commit has it, see renaming
		}
		if err != nil {
			return nil, err
		}
		signature, err := c.File(hostkey.SignaturePath(path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := hostkey.Check(path, content, signature, keys); err != nil {
			found[path] = err
		}
	}
	return found, nil
}

// Unsigned returns the files of hosts/ that none of the keys which this clone trusts
// already has signed, with the reason. A clone that trusts none yet knows nothing of
// signatures.
func (c *Confirmed) Unsigned() (map[string]error, error) {
	pinned, err := Pinned(c.checkout.Git)
	if err != nil || len(pinned) == 0 {
		return nil, err
	}
	return unsignedBy(c.checkout, hostFiles(c.checkout.Repository), pinned)
}

// Findings name the files of hosts/ that the fleet's key has not signed.
func (c *Confirmed) Findings() ([]finding.Finding, error) {
	unsigned, err := c.Unsigned()
	var found []finding.Finding
	for _, path := range slices.Sorted(maps.Keys(unsigned)) {
		found = append(found, finding.Finding{
			Code: finding.HostsUntrusted, Severity: finding.Warning, Subject: path, Text: "not written by Salvor: " + unsigned[path].Error(),
			Fix: "git log -- " + path + " shows who changed it; salvor apply asks you to confirm the access that it grants, then signs it",
		})
	}
	return found, err
}

// signedOnly leaves out of grants those of files of hosts/ that the fleet's keys have
// not signed. Where no key is known nothing is.
func signedOnly(c *checkout.Checkout, all []grant.Grant, keys sign.Keys) ([]grant.Grant, error) {
	if len(keys) == 0 {
		return all, nil
	}
	lets := hostFiles(c.Repository)
	unsigned, err := unsignedBy(c, lets, keys)
	return slices.DeleteFunc(all, func(g grant.Grant) bool {
		for path := range unsigned {
			if slices.ContainsFunc(lets[path], g.Is) {
				return true
			}
		}
		return false
	}), err
}

// Signable returns the files of hosts/ that the fleet's key has not signed and whose
// access the operator of this clone has confirmed.
func (c *Confirmed) Signable(ctx context.Context) ([]string, error) {
	unsigned, err := c.Unsigned()
	if err != nil {
		return nil, err
	}
	book, err := c.ledger(ctx)
	if err != nil {
		return nil, err
	}
	lets := hostFiles(c.checkout.Repository)
	var all []string
	for path := range unsigned {
		if len(book.Missing(lets[path])) == 0 {
			all = append(all, path)
		}
	}
	return all, nil
}

// SignedFiles returns the files of hosts/ that one of the keys has signed.
func (c *Confirmed) SignedFiles(keys sign.Keys) (map[string][]byte, error) {
	all := hostFiles(c.checkout.Repository)
	unsigned, err := unsignedBy(c.checkout, all, keys)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for path := range all {
		content, err := c.checkout.File(path)
		if unsigned[path] == nil && err == nil {
			files[path] = content
		}
	}
	return files, nil
}
