package storage

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/rclone/rclone/backend/crypt"
	"github.com/rclone/rclone/fs"

	"salvor/internal/fleet"
	"salvor/internal/secret"
)

// Mountable returns rclone's own file system of a folder, for a mount of it. The folder need
// not exist. It lasts as long as ctx.
func (c Computer) Mountable(ctx context.Context, remotes Remotes, where fleet.Location) (fs.Fs, error) {
	silence()
	if err := remotes.Check(); err != nil {
		return nil, err
	}
	if _, ok := remotes[where.Remote]; !ok {
		return nil, fmt.Errorf("no remote %q is declared", where.Remote)
	}
	f := &Folder{remote: where.Remote, secrets: remotes.secretValues(where.Remote)}
	opened, err := c.Tokens.mountable(ctx, remotes, where)
	if errors.Is(err, fs.ErrorIsFile) {
		err = errors.New("is a file, not a folder")
	}
	if err != nil {
		return nil, f.fail("open", where.Path, err)
	}
	return opened, nil
}

func (t Tokens) mountable(ctx context.Context, remotes Remotes, where fleet.Location) (fs.Fs, error) {
	if remotes[where.Remote].Type == typeCrypt {
		var err error
		if remotes, err = remotes.wrappingBelow(where); err != nil {
			return nil, err
		}
		where.Path = "" // see atTop
	}
	opened, _, err := t.newFs(settings(ctx), remotes, where)
	return opened, err
}

// wrappingBelow returns the remotes with a crypt remote wrapping what a folder of it is.
func (r Remotes) wrappingBelow(where fleet.Location) (Remotes, error) {
	backend, err := backendOf(typeCrypt)
	if err != nil {
		return nil, err
	}
	config, err := r[where.Remote].config(backend)
	if err != nil {
		return nil, err
	}
	cipher, err := crypt.NewCipher(config)
	if err != nil {
		return nil, err
	}
	name, dir, _ := r.wrapped(where.Remote)
	inner := secret.NewString(name + ":" + path.Join(dir, cipher.EncryptDirName(cleanRoot(typeCrypt, where.Path))))
	below, options := Remotes{}, map[string]secret.Value{}
	for n, remote := range r {
		below[n] = remote
	}
	for option, value := range r[where.Remote].Options {
		options[option] = value
	}
	options["remote"] = inner
	below[where.Remote] = Remote{Type: typeCrypt, Options: options}
	return below, nil
}
