package secretnames

import (
	"slices"
	"strings"
)

// issuers are words in the names of secrets that someone else issues: a mail server, a cloud, a
// directory. Random text in their place would open nothing.
var issuers = strings.Fields("smtp mail email mailer mailgun sendgrid mailjet imap ses " +
	"ldap bind oauth oauth2 oidc sso saml client azure aws s3 b2 gcs gcp google cloudflare cf hetzner ovh " +
	"dns ddns duckdns github gitlab discord slack telegram matrix twilio stripe paypal openai anthropic " +
	"webhook pushover gotify sentry maxmind geoip license licence tmdb plex spotify steam " +
	"vpn wireguard openvpn tunnel tailscale recaptcha hcaptcha turnstile vapid api")

// Issued reports whether a secret's name says that someone else issues its value.
func Issued(name string) bool {
	_, key, found := strings.Cut(name, "/")
	if !found {
		key = name
	}
	words := strings.FieldsFunc(strings.ToLower(key), func(r rune) bool { return r == '_' || r == '-' || r == '.' || r == '/' })
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(issuers, w) })
}
