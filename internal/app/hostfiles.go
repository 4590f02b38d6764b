package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"salvor/internal/controlrepo"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/hostkey"
	"salvor/internal/sign"
)

// The files of hosts/ that say which hosts and which logins there are have the
// signature of the fleet's key. It is made with the commit that Salvor writes them in,
// and with the next one where this clone's operator confirmed what someone else wrote.

func isHostFile(path string) bool {
	dir, name, _ := strings.Cut(path, "/")
	return path == fleet.AuthorizedKeysFile || dir == fleet.HostDir && strings.HasSuffix(name, ".pub")
}

// hostFiles returns such files of what a repository declares, each with what it lets
// others do.
func hostFiles(repo *controlrepo.Repository) map[string][]grant.Grant {
	files := map[string][]grant.Grant{}
	for _, h := range repo.Fleet.Hosts {
		if repo.Recipients[h.Name] != "" {
			files[hostkey.Path(h.Name)] = []grant.Grant{hostGrant(repo, h.Name, h.Name)}
		}
	}
	if all := loginGrants(repo); len(all) > 0 {
		files[fleet.AuthorizedKeysFile] = all
	}
	return files
}

// unsigned returns the files of the commit, of those given, that none of the keys has
// signed, with the reason.
func (c *Confirmed) unsigned(files map[string][]grant.Grant, keys sign.Keys) (map[string]error, error) {
	found := map[string]error{}
	for path := range files {
		content, err := c.checkout.File(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the next commit has it, see renaming
		}
		if err != nil {
			return nil, err
		}
		signature, err := c.checkout.File(hostkey.SignaturePath(path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := hostkey.Check(path, content, signature, keys); err != nil {
			found[path] = err
		}
	}
	return found, nil
}

// unsignedHere is unsigned by the keys that this clone trusts already. One that trusts
// none yet knows nothing of signatures.
func (c *Confirmed) unsignedHere(ctx context.Context) (map[string]error, error) {
	pinned, err := readPin(ctx, c.checkout.Git)
	if err != nil || len(pinned) == 0 {
		return nil, err
	}
	return c.unsigned(hostFiles(c.checkout.Repository), pinned)
}

// unsignedFindings name the files of hosts/ that the fleet's key has not signed.
func (c *Confirmed) unsignedFindings(ctx context.Context) ([]finding.Finding, error) {
	unsigned, err := c.unsignedHere(ctx)
	var found []finding.Finding
	for _, path := range slices.Sorted(maps.Keys(unsigned)) {
		found = append(found, finding.Finding{
			Code: finding.HostsUntrusted, Severity: finding.Warning, Subject: path, Text: "not written by Salvor: " + unsigned[path].Error(),
			Fix: "git log -- " + path + " shows who changed it; salvor apply asks you to confirm the access that it grants, then signs it",
		})
	}
	return found, err
}

// withSignatures adds to the files of a commit the signatures of those of hosts/ that
// are among them. Where the commit is an apply's it also has those that hosts/ lacks, of
// files that give no access which this clone's operator did not confirm.
func (a *FleetKeys) withSignatures(ctx context.Context, files map[string][]byte, missing bool) (map[string][]byte, error) {
	due, all := map[string][]byte{}, maps.Clone(files)
	for path, content := range files {
		if !isHostFile(path) {
			continue
		}
		if _, err := a.checkout.File(hostkey.SignaturePath(path)); content != nil {
			due[path] = content
		} else if err == nil {
			all[hostkey.SignaturePath(path)] = nil
		}
	}
	if missing {
		if err := a.addConfirmed(ctx, all, due); err != nil {
			return nil, err
		}
	}
	if len(due) == 0 {
		return all, nil
	}
	key, err := a.SigningKey(ctx)
	if err != nil {
		return nil, fmt.Errorf("sign what is written to hosts/: %w", err)
	}
	if a.signedHere == nil {
		a.signedHere = map[string]bool{}
	}
	for path, content := range due {
		if all[hostkey.SignaturePath(path)], err = hostkey.Sign(path, content, key); err != nil {
			return nil, err
		}
		a.signedHere[path] = true
	}
	return all, nil
}

// addConfirmed adds to due the files that lack their signature and are confirmed.
func (a *FleetKeys) addConfirmed(ctx context.Context, files, due map[string][]byte) error {
	unsigned, err := a.confirmed.unsignedHere(ctx)
	if err != nil {
		return err
	}
	book, err := a.confirmed.ledger(ctx)
	if err != nil {
		return err
	}
	lets := hostFiles(a.checkout.Repository)
	for path := range unsigned {
		_, written := files[path]
		_, signed := files[hostkey.SignaturePath(path)]
		if written || signed || a.signedHere[path] || len(book.Missing(lets[path])) > 0 {
			continue
		}
		if due[path], err = a.checkout.File(path); err != nil {
			return err
		}
	}
	return nil
}

// resignedHosts adds the signatures by another key of the files of hosts/ that the keys
// have signed.
func (a *FleetKeys) resignedHosts(files map[string][]byte, trusted sign.Keys, key sign.Key) error {
	all := hostFiles(a.checkout.Repository)
	unsigned, err := a.confirmed.unsigned(all, trusted)
	if err != nil {
		return err
	}
	for path := range all {
		content, err := a.checkout.File(path)
		if unsigned[path] != nil || err != nil {
			continue
		}
		if files[hostkey.SignaturePath(path)], err = hostkey.Sign(path, content, key); err != nil {
			return err
		}
	}
	return nil
}

// signedOnly leaves out of grants those of files of hosts/ that the fleet's keys have
// not signed. Where no key is known nothing is.
func (c *Confirmed) signedOnly(all []grant.Grant, keys sign.Keys) ([]grant.Grant, error) {
	if len(keys) == 0 {
		return all, nil
	}
	lets := hostFiles(c.checkout.Repository)
	unsigned, err := c.unsigned(lets, keys)
	return slices.DeleteFunc(all, func(g grant.Grant) bool {
		for path := range unsigned {
			if slices.ContainsFunc(lets[path], g.Is) {
				return true
			}
		}
		return false
	}), err
}
