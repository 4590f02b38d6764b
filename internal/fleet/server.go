package fleet

import (
	"fmt"
	"regexp"
)

// A Server is one that Salvor had a provider make for a host. Its text is
// PROVIDER:REGION/ID, such as aws:eu-central-1/k3v9x2mq. The zero value is a host that
// was there before.
type Server struct {
	Provider string
	Region   string
	ID       string // Salvor's own, part of the name of everything that was made for it
}

// String returns PROVIDER:REGION/ID, "" for the zero value.
func (s Server) String() string {
	if s == (Server{}) {
		return ""
	}
	return s.Place() + "/" + s.ID
}

// Place is where it is, PROVIDER:REGION.
func (s Server) Place() string { return s.Provider + ":" + s.Region }

var serverPattern = regexp.MustCompile(`^([a-z][a-z0-9]*):([a-z0-9-]+)/([a-z0-9]+)$`)

// ParseServer reads PROVIDER:REGION/ID.
func ParseServer(v string) (Server, error) {
	m := serverPattern.FindStringSubmatch(v)
	if m == nil {
		return Server{}, fmt.Errorf("%q is not a server: write it like aws:eu-central-1/k3v9x2mq", v)
	}
	return Server{Provider: m[1], Region: m[2], ID: m[3]}, nil
}

// Leave is the command that takes a host out of the fleet, with the server that Salvor had
// made for it.
func (f *Fleet) Leave(host string) string {
	if h, _ := f.Host(host); h.Server != (Server{}) {
		return "salvor host destroy " + host
	}
	return "salvor host remove " + host
}
