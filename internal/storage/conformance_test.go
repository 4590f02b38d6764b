package storage_test

import (
	"fmt"
	"testing"

	"salvor/internal/blob"
	"salvor/internal/blob/blobtest"
	"salvor/internal/storage"
)

func TestLocal(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store {
		return open(t, storage.Remotes{"disk": {Type: "local"}}, "disk", t.TempDir()+"/not/there yet")
	})
}

func TestWebDAV(t *testing.T) {
	t.Parallel()
	remotes, n := storage.Remotes{"dav": webdavRemote(webdavServer(t))}, 0
	blobtest.Run(t, func(t *testing.T) blob.Store {
		n++
		return open(t, remotes, "dav", fmt.Sprintf("some/folder %d", n))
	})
}

func TestSFTP(t *testing.T) {
	t.Parallel()
	key, public := newHostKey(t)
	remotes, n := storage.Remotes{"ssh": sftpRemote(sftpServer(t, key), public)}, 0
	blobtest.Run(t, func(t *testing.T) blob.Store {
		n++
		return open(t, remotes, "ssh", fmt.Sprintf("some/folder %d", n))
	})
}

func TestCryptOverLocal(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store {
		return open(t, storage.Remotes{
			"disk":   {Type: "local"},
			"sealed": {Type: "crypt", Options: options("remote", "disk:"+t.TempDir(), "password", canary, "password2", "salt")},
		}, "sealed", "folder")
	})
}
