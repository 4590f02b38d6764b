package agentapi

// SealedFile is the content of sealed/<host>/<stack>.age once opened: what that
// host needs for that stack and nothing else. It is encoded to JSON only on its
// way into age encryption and decoded only out of it; values are bytes, so the
// JSON holds base64.
type SealedFile struct {
	Schema       int                     `json:"schema"`
	Host         string                  `json:"host"`
	Stack        string                  `json:"stack"`
	Epoch        int                     `json:"epoch"`
	Inputs       string                  `json:"inputs"`                  // digest of what it was made from
	Remotes      map[string]SealedRemote `json:"remotes,omitempty"`       // targets' and the record's, crypt's inner ones too
	Repositories map[string][]byte       `json:"repositories,omitempty"`  // repository id to password
	Registries   map[string]SealedLogin  `json:"registries,omitempty"`    // registry host to login
	Secrets      map[string][]byte       `json:"secrets,omitempty"`       // by SecretMount.Secret
	Env          map[string][]byte       `json:"env,omitempty"`           // by Project.Env
	ReadToken    []byte                  `json:"read_token,omitempty"`    // with which the host reads the control repository over https
	IngressToken []byte                  `json:"ingress_token,omitempty"` // of Cloudflare's API, of a host that publishes routes
}

// SealedRemote is a remote with its options resolved.
type SealedRemote struct {
	Type    string            `json:"type"`
	Options map[string][]byte `json:"options,omitempty"`
}

// SealedLogin is a registry login.
type SealedLogin struct {
	Username []byte `json:"username"`
	Password []byte `json:"password"`
}
