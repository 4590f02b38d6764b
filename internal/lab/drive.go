package lab

import (
	"context"
	"net"
	"os"
	"path/filepath"

	"salvor/internal/storage/drivetest"
)

// A Drive is an emulated Google Drive in this process. Hosts of the lab find it under
// Google's own names.
type Drive struct {
	*drivetest.Server

	front *drivetest.Front
	proxy string
	ca    string // file
}

const httpsPort = "443"

// Drive starts a Google Drive, until ctx ends. Hosts that are made later, or replaced,
// are led to it by their hosts file and trust its certificate; no packet leaves the lab.
func (l *Lab) Drive(ctx context.Context, o drivetest.Options) (*Drive, error) {
	d := &Drive{Server: drivetest.New(o), ca: filepath.Join(l.folder, "drive-ca.pem")}
	var err error
	if d.front, err = drivetest.NewFront(d.Server); err != nil {
		return nil, err
	}
	if err := os.WriteFile(d.ca, d.front.CA, 0o644); err != nil {
		return nil, err
	}
	if d.proxy, err = d.front.Proxy(ctx); err != nil {
		return nil, err
	}
	if _, err := d.front.Listen(ctx, net.JoinHostPort(l.Gateway().String(), httpsPort)); err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.drive = d
	l.mu.Unlock()
	return d, nil
}

// Environ is what leads a program on this machine to the Drive, as an operator's.
func (d *Drive) Environ() []string {
	return []string{"HTTPS_PROXY=" + d.proxy, "SSL_CERT_FILE=" + d.ca}
}

// google returns the lab's Drive, nil if there is none.
func (l *Lab) google() *Drive {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drive
}

// leading are the flags that lead a container to the Drive.
func (l *Lab) leading() (flags []string) {
	if l.google() == nil {
		return nil
	}
	for _, name := range drivetest.Hosts() {
		flags = append(flags, "--add-host", name+":"+l.Gateway().String())
	}
	return flags
}

// trustDrive has a container trust the Drive's certificate.
func (l *Lab) trustDrive(ctx context.Context, container string) error {
	d := l.google()
	if d == nil {
		return nil
	}
	if err := writeIn(ctx, container, "/usr/local/share/ca-certificates/drive.crt", string(d.front.CA)); err != nil {
		return err
	}
	_, err := docker(ctx, "exec", container, "update-ca-certificates")
	return err
}
