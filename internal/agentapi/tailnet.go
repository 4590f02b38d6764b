package agentapi

// Tailnet is how a host is to be in the tailnet. It has no key: see Join.
type Tailnet struct {
	Tags        []string `json:"tags,omitempty"` // sorted
	LoginServer string   `json:"login_server,omitempty"`
	AcceptDNS   bool     `json:"accept_dns,omitempty"`
	URL         string   `json:"url,omitempty"` // of the apt repository, "" for Tailscale's own
	Key         string   `json:"key,omitempty"` // its signing key; "" where the package comes from the host's own sources
}

// A Join lets a host into the tailnet in the run that it is part of. It is kept in memory.
type Join struct {
	Key []byte `json:"key,omitempty"` // good for this host alone, or the operator's auth key; none with Why
	Why string `json:"why,omitempty"` // the operator's computer could not get one
	Fix string `json:"fix,omitempty"` // what mends that
}

// A Node is a host as a member of the tailnet.
type Node struct {
	Address string `json:"address,omitempty"` // IPv4, "" while it has none
	Out     bool   `json:"out,omitempty"`     // it is not logged in, or in another tailnet: it needs a Join to come back
}
