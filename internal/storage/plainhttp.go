package storage

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"salvor/internal/fault"
)

// checkURLs holds the addresses of a remote to https, on which no one in between can
// read its credentials. Plain http is for this computer alone, for what needs no
// credentials, and for who says so with plain_http.
func checkURLs(remote Remote) error {
	for _, option := range []string{"url", "endpoint"} {
		text := string(remote.Options[option].Reveal())
		if text == "" {
			continue
		}
		if option == "endpoint" && !strings.Contains(text, "://") && !strings.HasPrefix(text, "http") {
			text = "https://" + text // as rclone takes an S3 server
		}
		if err := checkURL(remote, text); err != nil {
			return &OptionError{Option: option, Err: err}
		}
	}
	return nil
}

func checkURL(remote Remote, text string) error {
	at, err := url.Parse(text)
	switch {
	case err != nil, at.Scheme != "http" && at.Scheme != "https", at.Hostname() == "":
		return errors.New("it is not the address of a server: https://NAME/PATH") // err would show what may hold a password
	case at.Scheme == "https" || onThisComputer(at.Hostname()) || string(remote.Options[PlainHTTP].Reveal()) == "true":
		return nil
	case at.User == nil && !remote.hasSecrets():
		return nil
	}
	return fault.WithHint(fmt.Errorf("its credentials would go to %s over plain http, where anyone in between can read them", at.Hostname()),
		"use https://, or, in a private network, plain_http: true")
}

func (r Remote) hasSecrets() bool {
	known := allowed(r.Type)
	for option, value := range r.Options {
		if known[option] == secrets && !value.IsZero() {
			return true
		}
	}
	return false
}

func onThisComputer(host string) bool {
	at, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && at.Unmap().IsLoopback()
}
