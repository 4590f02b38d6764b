package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/rclone/rclone/fs"
	"google.golang.org/api/googleapi"

	"salvor/internal/blob"
	"salvor/internal/fleet"
)

// What is missing in the declaration of a remote of type drive.
var (
	// ErrClient means that it has no OAuth client of its own.
	ErrClient = errors.New("it has no client_id of its own, and rclone's shared one is switched off during 2026")
	// ErrToken means that no one has allowed the client anything yet.
	ErrToken = errors.New("it has no token")
	// ErrNoStorage means that it logs in as a service account, which has no storage of its
	// own, and does not say whose it uses.
	ErrNoStorage = errors.New("a service account has no storage of its own, and the remote has neither team_drive nor impersonate")
)

// ErrDay means that an account has uploaded as much as Google Drive accepts in a day, 750 GB.
var ErrDay = errors.New("the remote accepts no more uploads today")

// dayIsUsedUp recognises Drive's refusal of uploads beyond the day's limit. It has the reason of
// a short rate limit, and differs from that by its message alone.
func dayIsUsedUp(err error) bool {
	var answer *googleapi.Error
	return errors.As(err, &answer) && slices.ContainsFunc(answer.Errors, func(e googleapi.ErrorItem) bool {
		return e.Reason == "userRateLimitExceeded" && e.Message == "User rate limit exceeded."
	})
}

// checkDrive insists on a login that Google takes for long.
func checkDrive(remote Remote) error {
	has := func(option string) bool { return !remote.Options[option].IsZero() }
	switch {
	case has("service_account_credentials"):
		if !has("team_drive") && !has("impersonate") {
			return ErrNoStorage
		}
		return nil
	case !has("client_id"), !has("client_secret"):
		return ErrClient
	case !has("token"):
		return ErrToken
	}
	return nil
}

// DriveFolder returns the id of a folder at the top of a remote of type drive, which is
// made if it is not there: the remote's root_folder_id from then on.
func DriveFolder(ctx context.Context, remotes Remotes, remote, name string) (id string, err error) {
	f, err := Open(ctx, remotes, fleet.Location{Remote: remote})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close(context.WithoutCancel(ctx))) }()
	err = f.ask(ctx, func(ctx context.Context) error {
		if err := f.fs.Mkdir(ctx, name); err != nil {
			return err
		}
		entries, err := f.fs.List(ctx, "")
		for _, e := range entries {
			if d, is := e.(fs.Directory); is && d.Remote() == name {
				id = d.ID()
			}
		}
		if err == nil && id == "" {
			return fmt.Errorf("the folder that was just made is not listed: %w", blob.ErrNotExist)
		}
		return err
	})
	return id, Explain(f.fail("make the folder", name, err), true)
}
