package drivetest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"os"
)

// Browser returns a client that reaches a Front through its proxy, and everything else as
// it is; ca is the file of the Front's CA.
func Browser(proxy, ca string) (*http.Client, error) {
	at, err := url.Parse(proxy)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(content) {
		return nil, errors.New(ca + " has no certificate")
	}
	through := func(r *http.Request) (*url.URL, error) {
		if r.URL.Scheme == "http" {
			return nil, nil //nolint:nilnil // no proxy, see http.Transport
		}
		return at, nil
	}
	return &http.Client{Transport: &http.Transport{Proxy: through, TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}}, nil
}
