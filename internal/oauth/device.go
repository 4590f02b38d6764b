package oauth

import (
	"context"
	"errors"
	"time"
)

// A Code is what a person enters at URL, on any device, until it ends.
type Code struct {
	URL, Code string
	Until     time.Time
}

// Device has a person allow the app on a device of theirs: show gets the code to enter
// there. It asks Google for the answer at the pace that Google wants, until the code
// expires (RFC 8628). Google has it for clients of the type "TVs and Limited Input
// devices", and for the scope DriveFile.
func (a App) Device(ctx context.Context, show func(Code)) (Grant, error) {
	ctx = withClient(ctx)
	config := a.config("")
	code, err := config.DeviceAuth(ctx)
	switch {
	case ctx.Err() != nil: // oauth2 ends this request by the client's limit alone
		return Grant{}, ctx.Err()
	case err != nil:
		return Grant{}, explained(err)
	}
	show(Code{URL: code.VerificationURI, Code: code.UserCode, Until: code.Expiry})
	token, err := config.DeviceAccessToken(ctx, code)
	switch {
	case ctx.Err() != nil:
		return Grant{}, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return Grant{}, ErrExpired
	case err != nil:
		return Grant{}, explained(err)
	}
	return grantOf(token)
}
