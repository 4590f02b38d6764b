package controlrepo

import (
	"regexp"
	"slices"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/yamldoc"
)

var (
	wordBreak  = regexp.MustCompile(`[_-]+`)
	remoteType = regexp.MustCompile(`^[a-z0-9][a-z0-9 -]*$`)
)

// remoteShape is an rclone remote: its type, and the backend's own options as
// rclone's documentation names them. Which options a backend has, and what it takes
// for a bandwidth, is checked where rclone is known.
func remoteShape() yamldoc.Shape[fleet.Remote] {
	kind := yamldoc.Matching(remoteType, "a type of remote such as drive, s3 or sftp")
	bandwidth := yamldoc.Text(nil)
	option, own := setting(), yamldoc.Named(names(), credentialShape())
	rule := yamldoc.KeysLike(optionPattern, "an option of a remote")
	s := &yamldoc.Schema{Type: yamldoc.Types{"object"}, Required: []string{"type"}, PropertyNames: &yamldoc.Schema{Pattern: rule.Pattern},
		Properties: map[string]*yamldoc.Schema{
			"type": kind.Schema.Describe("rclone's backend: drive, s3, b2, sftp, webdav, onedrive, dropbox, local, crypt."),
			"bandwidth": bandwidth.Schema.Describe("How much of each computer's line it may use, and when, as rclone's --bwlimit: " +
				`1M, "2M:off" (uploads:downloads), "08:00,512k 23:00,off". All processes of a host share it.`),
			"hosts": own.Schema.Describe("Credentials by host: files sealed for this host get these options instead of " +
				"the secrets above, which then stay with the operators."),
			"stacks": own.Schema.Describe("Credentials by stack, instead of its host's."),
		},
		AdditionalProperties: option.Schema.Describe("An option of the backend; write secrets as secret:NAME.")}
	return yamldoc.Shape[fleet.Remote]{Schema: s, Decode: func(r *yamldoc.Reader, n *yamldoc.Node, at yamldoc.Path) fleet.Remote {
		remote, typed := fleet.Remote{Options: map[string]secret.Setting{}}, false
		for _, p := range r.Mapping(n, at) {
			inside := at.To(p.Key.Value)
			switch err := rule.Check(p.Key.Value); {
			case p.Key.Value == "type":
				typed, remote.Type = true, kind.Read(r, p.Value, inside)
			case p.Key.Value == "bandwidth":
				remote.Bandwidth = bandwidth.Read(r, p.Value, inside)
			case p.Key.Value == "hosts":
				remote.Hosts = asMap(own.Read(r, p.Value, inside))
			case p.Key.Value == "stacks":
				remote.Stacks = asMap(own.Read(r, p.Value, inside))
			case err != nil:
				r.Fail(p.Key, "%v", err)
			default:
				remote.Options[p.Key.Value] = option.Read(r, p.Value, inside)
				r.Follow(p.Value, func(v *yamldoc.Node) { checkSecretOption(r, v, inside) })
			}
		}
		if !typed && (yamldoc.IsMapping(n) || yamldoc.IsNull(n)) {
			r.Fail(n, "%s has no \"type\"", at)
		}
		return remote
	}}
}

// credentialShape is some of a remote's options. Which of them are a credential is
// checked where the backends are known.
func credentialShape() yamldoc.Shape[fleet.Credential] {
	option := setting()
	rule := yamldoc.KeysLike(optionPattern, "an option of a remote")
	s := &yamldoc.Schema{Type: yamldoc.Types{"object"}, PropertyNames: &yamldoc.Schema{Pattern: rule.Pattern}, AdditionalProperties: option.Schema}
	return yamldoc.Shape[fleet.Credential]{Schema: s, Decode: func(r *yamldoc.Reader, n *yamldoc.Node, at yamldoc.Path) fleet.Credential {
		own := fleet.Credential{}
		for _, p := range r.Mapping(n, at) {
			inside := at.To(p.Key.Value)
			if err := rule.Check(p.Key.Value); err != nil {
				r.Fail(p.Key, "%v", err)
				continue
			}
			own[p.Key.Value] = option.Read(r, p.Value, inside)
			r.Follow(p.Value, func(v *yamldoc.Node) { checkSecretOption(r, v, inside) })
		}
		if len(own) == 0 && (yamldoc.IsMapping(n) || yamldoc.IsNull(n)) {
			r.Fail(n, "%s does not set any option", at)
		}
		return own
	}}
}

func checkSecretOption(r *yamldoc.Reader, n *yamldoc.Node, at yamldoc.Path) {
	if !yamldoc.IsScalar(n) || n.ShortTag() == "!!bool" || n.Value == "" || !looksSecret(at[len(at)-1]) {
		return
	}
	if _, ok := secret.ParseSetting(n.Value).Secret(); !ok {
		refusePlainSecret(r, n, at)
	}
}

// looksSecret reports whether a key by its name holds a secret. What counts is
// how it ends: secret_access_key is one, access_key_id, key_file and token_url
// are not; neither is a public key.
func looksSecret(key string) bool {
	words := wordBreak.Split(strings.ToLower(key), -1)
	last := words[len(words)-1]
	if len(words) > 1 && (words[len(words)-2] == "public" || words[len(words)-2] == "pub") {
		return false
	}
	return slices.Contains([]string{"password", "password2", "passwd", "passphrase", "pass", "token", "secret", "key", "pem", "credentials"}, last)
}
