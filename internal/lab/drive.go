package lab

import (
	"context"

	"salvor/internal/storage/drivetest"
)

// A Drive is an emulated Google Drive in this process. Machines of the lab find it under
// Google's own names.
type Drive struct {
	*drivetest.Server
	*internet
}

// Drive starts a Google Drive, until ctx ends. Hosts that are made later, or replaced,
// are led to it by their hosts file and trust its certificate; no packet leaves the lab.
func (l *Lab) Drive(ctx context.Context, o drivetest.Options) (*Drive, error) {
	i, err := l.online(ctx)
	if err != nil {
		return nil, err
	}
	d := &Drive{Server: drivetest.New(o), internet: i}
	i.front.Handle(d.Server, drivetest.Hosts()...)
	return d, nil
}
