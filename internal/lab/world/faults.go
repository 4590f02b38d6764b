package world

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"

	"salvor/internal/lab/faultproxy"
)

// faulty puts a proxy before the remote, in this process, until ctx ends.
func (w *World) faulty(ctx context.Context) error {
	target, err := url.Parse(w.webdav)
	if err != nil {
		return err
	}
	w.Faults = faultproxy.New(target)
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(w.Lab.Gateway().String(), "0"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: w.Faults, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { server.Close() })
	go server.Serve(ln) //nolint:errcheck // that it was closed
	w.webdav = "http://" + ln.Addr().String()
	return nil
}
