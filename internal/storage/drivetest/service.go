package drivetest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"time"
)

const (
	tokenURL     = "https://oauth2.googleapis.com/token"
	assertedLife = time.Hour
	clockSkew    = 5 * time.Minute
)

// A ServiceAccount is an account of a program, which signs in with a key of its own.
type ServiceAccount struct {
	Email string
	// Credentials is what rclone's option service_account_credentials takes.
	Credentials string

	key       *rsa.PrivateKey
	keyID     string
	account   *account
	delegated []string // scopes for which it may act for any person
}

type serviceKey struct {
	Type         string `json:"type"`
	ProjectID    string `json:"project_id"`
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key"`
	ClientEmail  string `json:"client_email"`
	ClientID     string `json:"client_id"`
	TokenURI     string `json:"token_uri"`
}

// Service makes a service account. It has no storage of its own. With scopes, the
// domain lets it act for each of its persons within them.
func (s *Server) Service(email string, delegated ...string) (*ServiceAccount, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &ServiceAccount{Email: email, key: key, keyID: s.text(40), delegated: delegated, account: s.account(&account{email: email, service: true})}
	credentials, err := json.Marshal(serviceKey{
		Type: "service_account", ProjectID: "home", PrivateKeyID: a.keyID, ClientEmail: email, ClientID: s.text(21), TokenURI: tokenURL,
		PrivateKey: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	a.Credentials = string(credentials)
	s.services[email] = a
	return a, err
}

type jwtHeader struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
}

type jwtClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Scope    string `json:"scope"`
	Audience string `json:"aud"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

func invalidJWT(why string) error { return refused(400, "invalid_grant", "Invalid JWT"+why) }

// bearer makes an access token for what a service account signed.
func (l *logins) bearer(assertion string) (tokens, error) {
	a, claims, err := l.signed(assertion)
	if err != nil {
		return tokens{}, err
	}
	issued, expires, now := time.Unix(claims.Issued, 0), time.Unix(claims.Expires, 0), l.now()
	scopes := strings.Fields(claims.Scope)
	switch {
	case claims.Audience != tokenURL && claims.Audience != "https://www.googleapis.com/oauth2/v4/token":
		return tokens{}, invalidJWT(": Failed audience check. The right audience is " + tokenURL)
	case issued.After(now.Add(clockSkew)), !expires.After(now), expires.Sub(issued) > assertedLife+clockSkew:
		return tokens{}, invalidJWT(": Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.")
	case len(scopes) == 0:
		return tokens{}, refused(400, "invalid_scope", "Empty or missing scope not allowed.")
	}
	as := a.account
	if claims.Subject != "" {
		for _, scope := range scopes {
			if !slices.Contains(a.delegated, scope) {
				return tokens{}, refused(401, "unauthorized_client", "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.")
			}
		}
		if as = l.accounts[claims.Subject]; as == nil || as.service {
			return tokens{}, refused(400, "invalid_grant", "Invalid email or User ID")
		}
	}
	t := l.open(&session{account: as, client: a.Email, scopes: scopes})
	t.Scope = ""
	return t, nil
}

// signed returns the service account that signed an assertion, and what it claims.
func (l *logins) signed(assertion string) (*ServiceAccount, jwtClaims, error) {
	var header jwtHeader
	var claims jwtClaims
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 || !decoded(parts[0], &header) || !decoded(parts[1], &claims) {
		return nil, claims, invalidJWT(": Failed to parse the assertion.")
	}
	a := l.services[claims.Issuer]
	if a == nil {
		return nil, claims, refused(400, "invalid_grant", "Invalid grant: account not found")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err != nil || header.Algorithm != "RS256" || header.KeyID != "" && header.KeyID != a.keyID ||
		rsa.VerifyPKCS1v15(&a.key.PublicKey, crypto.SHA256, sum[:], signature) != nil {
		return nil, claims, invalidJWT(" Signature.")
	}
	return a, claims, nil
}

func decoded(part string, into any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(raw, into) == nil
}
