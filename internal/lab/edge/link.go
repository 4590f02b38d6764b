package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"salvor/internal/lab/connector"
)

// A link is one connection of a connector.
type link struct {
	out     *http.ClientConn
	is      connector.Registration
	since   time.Time
	config  atomic.Int64   // number of the configuration that it has
	pending sync.WaitGroup // requests; new ones only while the link is in Edge.links
}

// pick chooses the link for a request of a tunnel, nil without a connector. The request is
// pending on it.
func (e *Edge) pick(tunnel string) *link {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next++
	links := e.links[tunnel]
	for i := range links {
		if l := links[(e.next+i)%len(links)]; l.out.Available() > 0 {
			l.pending.Add(1)
			e.by[l.is.Connector]++
			return l
		}
	}
	return nil
}

// registrationLimit is how long a connector may take to say who it is.
const registrationLimit = 10 * time.Second

// serve has a connector's connection, until it is over.
func (e *Edge) serve(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	out, err := speak(ctx, conn)
	if err != nil {
		return
	}
	late := time.AfterFunc(registrationLimit, cancel)
	body, say := io.Pipe()
	defer say.Close()
	resp, err := out.RoundTrip(own(ctx, connector.ControlStream, body))
	if err != nil {
		return
	}
	defer resp.Body.Close()
	in := json.NewDecoder(resp.Body)
	l := &link{out: out, since: time.Now()}
	if in.Decode(&l.is) != nil {
		return
	}
	if !e.api.Admits(l.is.Token) {
		_ = json.NewEncoder(say).Encode(connector.Admission{Error: "Unauthorized: Invalid tunnel secret"}) // it is over anyway
		_, _ = io.Copy(io.Discard, resp.Body)                                                              // until the connector has read it
		return
	}
	late.Stop()
	if json.NewEncoder(say).Encode(connector.Admission{}) != nil {
		return
	}
	newer, err := e.configure(ctx, l)
	if err != nil {
		return
	}
	go e.keepConfigured(ctx, l, newer)
	e.add(l)
	_ = in.Decode(&connector.Registration{}) // that it is over, or the connection's end
	e.remove(l)
	l.pending.Wait()
}

// speak makes a client of a connection that the other side has opened.
func speak(ctx context.Context, conn net.Conn) (*http.ClientConn, error) {
	t := http.Transport{
		Protocols: connector.HTTP2(), HTTP2: &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: pingAnswer},
		DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	return t.NewClientConn(ctx, "http", "edge.invalid:80")
}

// own makes a request of the edge's own to a connector.
func own(ctx context.Context, kind string, body io.Reader) *http.Request {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://edge.invalid/", body)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	r.Header.Set(connector.Upgrade, kind)
	return r
}

func (e *Edge) add(l *link) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.links[l.is.Token.Tunnel] = append(e.links[l.is.Token.Tunnel], l)
}

func (e *Edge) remove(l *link) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := l.is.Token.Tunnel
	e.links[t] = slices.DeleteFunc(e.links[t], func(other *link) bool { return other == l })
}

// configure sends a connector the newest configuration of its tunnel, and returns what is closed
// when there is a newer one.
func (e *Edge) configure(ctx context.Context, l *link) (newer <-chan struct{}, err error) {
	version, config, newer := e.api.Sent(l.is.Token.Tunnel)
	if version == 0 {
		return newer, nil
	}
	applied, err := l.send(ctx, connector.Configuration{Version: version, Config: config})
	if err == nil {
		l.config.Store(int64(applied.Version))
	}
	return newer, err
}

// keepConfigured sends each later configuration, until the connection is over.
func (e *Edge) keepConfigured(ctx context.Context, l *link, newer <-chan struct{}) {
	for {
		select {
		case <-newer:
		case <-ctx.Done():
			return
		}
		var err error
		if newer, err = e.configure(ctx, l); err != nil {
			return
		}
	}
}

func (l *link) send(ctx context.Context, c connector.Configuration) (connector.Applied, error) {
	var applied connector.Applied
	content, err := json.Marshal(c)
	if err != nil {
		return applied, err
	}
	resp, err := l.out.RoundTrip(own(ctx, connector.UpdateConfiguration, bytes.NewReader(content)))
	if err != nil {
		return applied, err
	}
	if resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	} else {
		err = json.NewDecoder(resp.Body).Decode(&applied)
	}
	return applied, errors.Join(err, resp.Body.Close())
}
