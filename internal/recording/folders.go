package recording

import (
	"context"
	"errors"
	"sync"

	"salvor/internal/fleet"
	"salvor/internal/record"
)

// folders are places on remotes that a command has opened: it opens its record several
// times, and each connection costs a handshake. What is there is asked for every time.
type folders struct {
	mu sync.Mutex // guards at
	at map[fleet.Location]record.Folder
}

// get returns the folder at a place, which open opens the first time. One that could not
// be opened is tried again.
func (f *folders) get(where fleet.Location, open func() (record.Folder, error)) (record.Folder, error) {
	f.mu.Lock()
	folder, is := f.at[where]
	f.mu.Unlock()
	if is {
		return kept{folder}, nil
	}
	folder, err := open() // a remote that is silent keeps no other from being opened
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == nil {
		f.at = map[fleet.Location]record.Folder{}
	}
	if _, is := f.at[where]; is {
		return folder, nil // two at once
	}
	f.at[where] = folder
	return kept{folder}, nil
}

func (f *folders) close(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, folder := range f.at {
		errs = append(errs, folder.Close(ctx))
	}
	f.at = nil
	return errors.Join(errs...)
}

// kept is a folder that stays open for the rest of the command.
type kept struct{ record.Folder }

// Close implements record.Folder.
func (kept) Close(context.Context) error { return nil }
