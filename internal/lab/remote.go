package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// A Remote is storage reached over the network: the same files by WebDAV and by SFTP,
// both served by Debian's rclone from an address of their own. WebDAV has no
// checksums, SFTP does. SFTP takes the operator's key, too.
type Remote struct {
	Login
	Dir string // the stored files on this machine, for tests to look at and tamper with

	service
}

const (
	webdavPort = 8080
	sftpPort   = 2022
)

// The folder is read afresh on each request, so that what a test changes behind
// the servers' back is seen at once.
const remoteScript = `[ -e /root/host-key ] || ssh-keygen -q -t ed25519 -N '' -f /root/host-key
mkdir -p /root/.ssh && printf '%s\n' "$OPERATOR" >/root/.ssh/authorized_keys
rclone serve webdav /data --addr :8080 --user "$LOGIN" --pass "$PASSWORD" --dir-cache-time 0s &
` + sftpScript + `
wait`

const sftpScript = `rclone serve sftp /data --addr :2022 --user "$LOGIN" --pass "$PASSWORD" --key /root/host-key --dir-cache-time 0s &
echo $! >/run/sftp.pid`

// Remote starts the remote, empty.
func (l *Lab) Remote(ctx context.Context) (*Remote, error) {
	r := &Remote{Login: Login{"salvor", "lab-" + hashOf(l.ID, "remote")}, Dir: filepath.Join(l.folder, "remote")}
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return nil, err
	}
	key, err := l.publicKey()
	if err != nil {
		return nil, err
	}
	flags := []string{"-e", "OPERATOR=" + key, "-e", "LOGIN=" + r.User, "-e", "PASSWORD=" + r.Password, "-v", r.Dir + ":/data"}
	if r.service, err = l.service(ctx, "remote", flags, remoteScript); err != nil {
		return nil, err
	}
	return r, r.wait(ctx, webdavPort, sftpPort)
}

// WebDAV is the remote's URL for WebDAV, plain HTTP with the login.
func (r *Remote) WebDAV() string {
	return fmt.Sprintf("http://%s", netip.AddrPortFrom(r.address, webdavPort))
}

// SFTP is where the remote speaks SFTP with the login.
func (r *Remote) SFTP() netip.AddrPort { return netip.AddrPortFrom(r.address, sftpPort) }

// HostKey is the SFTP server's public key as a line of authorized_keys(5).
func (r *Remote) HostKey(ctx context.Context) (string, error) {
	key, err := docker(ctx, "exec", r.container, "cat", "/root/host-key.pub")
	return strings.TrimSpace(key), err
}

// Up starts the remote again after Down.
func (r *Remote) Up(ctx context.Context) error { return r.start(ctx, webdavPort, sftpPort) }

// StopSFTP ends the server for SFTP alone: the remote is away for those who use it by
// SFTP, and others notice nothing.
func (r *Remote) StopSFTP(ctx context.Context) error {
	_, err := docker(ctx, "exec", r.container, "sh", "-c", "kill $(cat /run/sftp.pid)")
	return err
}

// StartSFTP starts it again.
func (r *Remote) StartSFTP(ctx context.Context) error {
	if _, err := docker(ctx, "exec", "-d", r.container, "sh", "-c", sftpScript+"\nwait"); err != nil {
		return err
	}
	return r.wait(ctx, sftpPort)
}

// Freeze stops the remote in its tracks: connections stay open and silent.
func (r *Remote) Freeze(ctx context.Context) error { return freeze(ctx, r.container) }

// Thaw lets a frozen remote continue.
func (r *Remote) Thaw(ctx context.Context) error { return thaw(ctx, r.container) }
