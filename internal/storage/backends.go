// Package storage is the remote side of everything that leaves a host: folders
// on rclone remotes as a blob.Store. rclone is linked as a library: there is no
// rclone.conf, no environment variable of rclone is read, and nothing is logged
// by it; all options come from the caller and stay in memory.
package storage

import (
	"log/slog"
	"sync"

	_ "github.com/rclone/rclone/backend/b2"
	_ "github.com/rclone/rclone/backend/crypt"
	_ "github.com/rclone/rclone/backend/drive"
	_ "github.com/rclone/rclone/backend/dropbox"
	_ "github.com/rclone/rclone/backend/local"
	_ "github.com/rclone/rclone/backend/onedrive"
	_ "github.com/rclone/rclone/backend/s3"
	_ "github.com/rclone/rclone/backend/sftp"
	_ "github.com/rclone/rclone/backend/webdav"
	"github.com/rclone/rclone/fs"
)

// silence keeps rclone off stderr: its logger is one global for the process,
// and what matters comes back as errors.
var silence = sync.OnceFunc(func() { fs.SetLogger(slog.DiscardHandler) })
