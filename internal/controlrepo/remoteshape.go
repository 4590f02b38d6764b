package controlrepo

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"salvor/internal/fleet"
	"salvor/internal/secret"
)

var (
	wordBreak  = regexp.MustCompile(`[_-]+`)
	remoteType = regexp.MustCompile(`^[a-z0-9][a-z0-9 -]*$`)
)

// remoteShape is an rclone remote: its type, and the backend's own options as
// rclone's documentation names them. Which options a backend has is checked
// where the backends are known.
func remoteShape() shape[fleet.Remote] {
	kind := matching(remoteType, "a type of remote such as drive, s3 or sftp")
	option, own := setting(), named(names(), credentialShape())
	rule := keysLike(optionPattern, "an option of a remote")
	s := &schema{Type: types{"object"}, Required: []string{"type"}, PropertyNames: &schema{Pattern: rule.pattern},
		Properties: map[string]*schema{
			"type": kind.schema.describe("rclone's backend: drive, s3, b2, sftp, webdav, onedrive, dropbox, local, crypt."),
			"hosts": own.schema.describe("Credentials by host: files sealed for this host get these options instead of " +
				"the secrets above, which then stay with the operators."),
			"stacks": own.schema.describe("Credentials by stack, instead of its host's."),
		},
		AdditionalProperties: option.schema.describe("An option of the backend; write secrets as secret:NAME.")}
	return shape[fleet.Remote]{schema: s, decode: func(r *reader, n *yaml.Node, at path) fleet.Remote {
		remote, typed := fleet.Remote{Options: map[string]secret.Setting{}}, false
		for _, p := range mapping(r, n, at) {
			inside := at.to(p.key.Value)
			switch err := rule.check(p.key.Value); {
			case p.key.Value == "type":
				typed, remote.Type = true, kind.read(r, p.value, inside)
			case p.key.Value == "hosts":
				remote.Hosts = asMap(own.read(r, p.value, inside))
			case p.key.Value == "stacks":
				remote.Stacks = asMap(own.read(r, p.value, inside))
			case err != nil:
				r.fail(p.key, "%v", err)
			default:
				remote.Options[p.key.Value] = option.read(r, p.value, inside)
				r.follow(p.value, func(v *yaml.Node) { checkSecretOption(r, v, inside) })
			}
		}
		if !typed && (n.Kind == yaml.MappingNode || isNull(n)) {
			r.fail(n, "%s has no \"type\"", at)
		}
		return remote
	}}
}

// credentialShape is some of a remote's options. Which of them are a credential is
// checked where the backends are known.
func credentialShape() shape[fleet.Credential] {
	option := setting()
	rule := keysLike(optionPattern, "an option of a remote")
	s := &schema{Type: types{"object"}, PropertyNames: &schema{Pattern: rule.pattern}, AdditionalProperties: option.schema}
	return shape[fleet.Credential]{schema: s, decode: func(r *reader, n *yaml.Node, at path) fleet.Credential {
		own := fleet.Credential{}
		for _, p := range mapping(r, n, at) {
			inside := at.to(p.key.Value)
			if err := rule.check(p.key.Value); err != nil {
				r.fail(p.key, "%v", err)
				continue
			}
			own[p.key.Value] = option.read(r, p.value, inside)
			r.follow(p.value, func(v *yaml.Node) { checkSecretOption(r, v, inside) })
		}
		if len(own) == 0 && (n.Kind == yaml.MappingNode || isNull(n)) {
			r.fail(n, "%s does not set any option", at)
		}
		return own
	}}
}

func checkSecretOption(r *reader, n *yaml.Node, at path) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!bool" || n.Value == "" || !looksSecret(at[len(at)-1]) {
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
	return slices.Contains([]string{"password", "password2", "passwd", "passphrase", "pass", "token", "secret", "key", "pem", "credentials", "oauth"}, last)
}
