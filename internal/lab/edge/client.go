package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

const answerLimit = 10 * time.Second

// Client is a browser whose DNS leads every hostname to the edge: secure and plain are the
// addresses that it asks with TLS and without. It trusts ca, in PEM, and follows no redirect.
func Client(secure, plain string, ca []byte) *http.Client {
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(ca)
	var dialer net.Dialer
	to := func(address string) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		}
	}
	return &http.Client{
		Timeout: answerLimit,
		Transport: &http.Transport{
			DialContext: to(plain),
			DialTLSContext: func(ctx context.Context, network, asked string) (net.Conn, error) {
				name, _, err := net.SplitHostPort(asked)
				if err != nil {
					return nil, err
				}
				d := tls.Dialer{NetDialer: &dialer, Config: &tls.Config{ServerName: name, RootCAs: trusted}}
				return d.DialContext(ctx, network, secure)
			},
			MaxIdleConnsPerHost: 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
