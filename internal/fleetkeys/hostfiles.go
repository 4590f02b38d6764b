package fleetkeys

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"salvor/internal/fleet"
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

// WithSignatures adds to the files of a commit the signatures of those of hosts/ that
// are among them. Where the commit is an apply's it also has those that hosts/ lacks, of
// files that give no access which this clone's operator did not confirm.
func (k *Keys) WithSignatures(ctx context.Context, files map[string][]byte, missing bool) (map[string][]byte, error) {
	due, all := map[string][]byte{}, maps.Clone(files)
	for path, content := range files {
		if !isHostFile(path) {
			continue
		}
		if _, err := k.checkout.File(hostkey.SignaturePath(path)); content != nil {
			due[path] = content
		} else if err == nil {
			all[hostkey.SignaturePath(path)] = nil
		}
	}
	if missing {
		if err := k.addConfirmed(ctx, all, due); err != nil {
			return nil, err
		}
	}
	if len(due) == 0 {
		return all, nil
	}
	key, err := k.SigningKey(ctx)
	if err != nil {
		return nil, fmt.Errorf("sign what is written to hosts/: %w", err)
	}
	if k.signedHere == nil {
		k.signedHere = map[string]bool{}
	}
	for path, content := range due {
		if all[hostkey.SignaturePath(path)], err = hostkey.Sign(path, content, key); err != nil {
			return nil, err
		}
		k.signedHere[path] = true
	}
	return all, nil
}

// addConfirmed adds to due the files that lack their signature and are confirmed.
func (k *Keys) addConfirmed(ctx context.Context, files, due map[string][]byte) error {
	lacking, err := k.confirmed.Signable(ctx)
	if err != nil {
		return err
	}
	for _, path := range lacking {
		_, written := files[path]
		_, signed := files[hostkey.SignaturePath(path)]
		if written || signed || k.signedHere[path] {
			continue
		}
		if due[path], err = k.checkout.File(path); err != nil {
			return err
		}
	}
	return nil
}

// ResignHosts adds the signatures by another key of the files of hosts/ that the keys
// have signed.
func (k *Keys) ResignHosts(files map[string][]byte, trusted sign.Keys, key sign.Key) error {
	signed, err := k.confirmed.SignedFiles(trusted)
	if err != nil {
		return err
	}
	for path, content := range signed {
		if files[hostkey.SignaturePath(path)], err = hostkey.Sign(path, content, key); err != nil {
			return err
		}
	}
	return nil
}
