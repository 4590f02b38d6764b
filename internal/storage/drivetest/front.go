package drivetest

import (
	"net/http"

	"salvor/internal/front"
)

// NewFront makes a front that serves a handler under the names of Google's Hosts.
func NewFront(handler http.Handler) (*front.Front, error) {
	f, err := front.New()
	if err != nil {
		return nil, err
	}
	f.Handle(handler, Hosts()...)
	return f, nil
}
