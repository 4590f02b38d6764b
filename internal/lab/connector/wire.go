package connector

import (
	"encoding/json"

	"salvor/internal/cloudflare/cloudflaretest"
)

// Upgrade is the header of the edge's own requests to a connector. Source: cloudflared,
// connection/http2.go.
const Upgrade = "Cf-Cloudflared-Proxy-Connection-Upgrade"

// What Upgrade says.
const (
	// ControlStream is a request that lasts as long as its connection. The connector sends its
	// Registration, the edge an Admission. A connector that ends sends a Registration that is
	// Over, after which the edge leads no new request there. When those under way are done, the
	// edge ends the request's body.
	ControlStream = "control-stream"
	// UpdateConfiguration has a Configuration in its body. The answer is an Applied.
	UpdateConfiguration = "update-configuration"
)

// A Registration is what a connector says of one of its connections.
type Registration struct {
	Token     cloudflaretest.ConnectorToken
	Connector string // ID
	Index     int    // of the connection
	Version   string // of the program
	Over      bool
}

// An Admission is the edge's answer to a Registration.
type Admission struct {
	Error string // why not
}

// A Configuration is one of a tunnel, with its number.
type Configuration struct {
	Version int             `json:"version"`
	Config  json.RawMessage `json:"config"`
}

// Applied is the connector's answer to a Configuration.
type Applied struct {
	Version int     `json:"lastAppliedVersion"`
	Error   *string `json:"err"`
}
