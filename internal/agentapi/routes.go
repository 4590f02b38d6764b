package agentapi

import (
	"time"

	"salvor/internal/finding"
)

// VerbRoutes asks which public hostnames a host has, and what became of them.
const VerbRoutes = "routes"

// AskRoutes asks a host for its routes as it saw them last. Cloudflare is not asked.
type AskRoutes struct{}

// RouteList is the answer to AskRoutes: what is declared for the host, and what Cloudflare
// had of it at the host's newest look.
type RouteList struct {
	Schema    int        `json:"schema"`
	At        time.Time  `json:"at,omitzero"`         // of the newest look that went well; zero for none since the last boot
	Why       string     `json:"why,omitempty"`       // the newest try was no such look
	Tunnel    string     `json:"tunnel,omitempty"`    // its name, "" before there is one
	Version   int        `json:"version,omitempty"`   // of the tunnel's rules
	Connector int        `json:"connector,omitempty"` // the version that the connector has; 0 for none
	Routes    []RouteRow `json:"routes,omitempty"`    // by hostname, path and owner

	Findings []finding.Finding `json:"findings,omitempty"`
}

// A RouteRow is one declared route.
type RouteRow struct {
	Hostname string    `json:"hostname"`
	Path     string    `json:"path,omitempty"`
	Owner    string    `json:"owner"`             // the stack that declares it, or what its host has of its own: "host.alpha"
	Service  string    `json:"service"`           // where its requests go: "http://app:80"
	Access   string    `json:"access,omitempty"`  // the application that it asks for, by name; "" for everyone
	Wanted   bool      `json:"wanted,omitempty"`  // it is to be published now
	Rule     bool      `json:"rule,omitempty"`    // the tunnel has its rule
	Record   string    `json:"record,omitempty"`  // what the hostname has in DNS: "CNAME 1234.cfargotunnel.com"; "" for nothing
	Guarded  bool      `json:"guarded,omitempty"` // an application is in front of it
	Live     bool      `json:"live,omitempty"`    // requests get to the service, past what it asks for
	Until    time.Time `json:"until,omitzero"`    // it goes then unless a container of its service runs again
	Why      string    `json:"why,omitempty"`     // it is not live, or not this host's
}

// RoutesReceipt says what of a host's public hostnames is published after an apply.
type RoutesReceipt struct {
	Live    []string `json:"live,omitempty"`
	Pending []string `json:"pending,omitempty"` // to be published, and not live yet: the host goes on with them
	Why     string   `json:"why,omitempty"`     // they are pending, or it is not known which are live
}
