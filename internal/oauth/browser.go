package oauth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"
)

// browserLimit is how long a person may take in the browser.
const browserLimit = 10 * time.Minute

// pageLimit is how long the browser may take to load the page that ends the login.
const pageLimit = 2 * time.Second

// Browser has a person allow the app in a browser on this computer: show gets the address
// to open there. Google leads the browser back to a port of loopback, where this waits for
// ten minutes at most (RFC 8252, with PKCE). Google has it for clients of the type
// "Desktop app".
func (a App) Browser(ctx context.Context, show func(url string)) (Grant, error) {
	ctx, cancel := context.WithTimeoutCause(withClient(ctx), browserLimit, ErrExpired)
	defer cancel()
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return Grant{}, fmt.Errorf("wait for the browser: %w", err)
	}
	config, verifier := a.config("http://"+ln.Addr().String()), oauth2.GenerateVerifier()
	back := &redirect{state: rand.Text(), answers: make(chan url.Values, 1)}
	server := &http.Server{Handler: back, ReadHeaderTimeout: answerLimit}
	go server.Serve(ln) //nolint:errcheck // that it was closed
	defer closeWhenShown(ctx, server)
	show(config.AuthCodeURL(back.state, oauth2.AccessTypeOffline, oauth2.ApprovalForce, oauth2.S256ChallengeOption(verifier)))
	select {
	case <-ctx.Done():
		return Grant{}, context.Cause(ctx)
	case answer := <-back.answers:
		return a.redeem(ctx, config, answer, verifier)
	}
}

// closeWhenShown lets the browser have the page that ends the login before its server is gone.
func closeWhenShown(ctx context.Context, server *http.Server) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pageLimit)
	defer cancel()
	_ = server.Shutdown(ctx) // it waits for what is being answered
	_ = server.Close()       // and this doesn't, when the time is up
}

func (a App) redeem(ctx context.Context, config *oauth2.Config, answer url.Values, verifier string) (Grant, error) {
	switch why := answer.Get("error"); {
	case why == "access_denied":
		return Grant{}, ErrDenied
	case why != "":
		return Grant{}, errors.New("the login was refused by Google: " + why)
	}
	token, err := config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return Grant{}, explained(err)
	}
	return grantOf(token)
}

// A redirect is where Google leads the browser back to.
type redirect struct {
	state   string // only what has it is Google's answer to this question
	answers chan url.Values
}

// ServeHTTP implements http.Handler.
func (r *redirect) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(r.state)) != 1 {
		http.NotFound(w, req) // the browser asks for its icon, too
		return
	}
	select {
	case r.answers <- q:
	default: // the page was loaded again
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("Salvor has the answer. You can close this page.\n"))
}
