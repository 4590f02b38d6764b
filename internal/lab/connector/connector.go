package connector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"salvor/internal/cloudflare/cloudflaretest"
)

// Version is what the connector says that it is.
const Version = "2026.8.0"

// Options say what a connector does.
type Options struct {
	ID    string // of this run of it
	Token cloudflaretest.ConnectorToken
	Find  func(context.Context) ([]string, error) // addresses of the edge, "host:port"
	Log   *slog.Logger

	Connections int           // 0: as many as cloudflared has
	Grace       time.Duration // for requests under way at the end; 0: cloudflared's
}

const (
	usualConnections = 4
	usualGrace       = 30 * time.Second
	firstPause       = 100 * time.Millisecond // before a connection is tried again
	longestPause     = 5 * time.Second
)

// A Connector serves a tunnel. It is an http.Handler: the server that cloudflared has at the
// address of --metrics.
type Connector struct {
	options Options
	ending  chan struct{} // closed: no new requests
	http.Handler

	mu      sync.Mutex // guards what follows
	ready   int        // connections
	current Configuration
	table   table
}

// New makes a connector, which does nothing before Run.
func New(o Options) *Connector {
	if o.Connections == 0 {
		o.Connections = usualConnections
	}
	if o.Grace == 0 {
		o.Grace = usualGrace
	}
	c := &Connector{options: o, ending: make(chan struct{}), current: Configuration{Version: -1, Config: json.RawMessage("{}")}}
	c.Handler = c.metrics()
	return c
}

// Run connects, and stays connected until ctx ends. Then the edge leads no new request here; Run
// returns when those under way are done, after the grace period at the latest.
func (c *Connector) Run(ctx context.Context) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	context.AfterFunc(ctx, func() {
		close(c.ending)
		time.AfterFunc(c.options.Grace, end)
	})
	var all sync.WaitGroup
	for i := range c.options.Connections {
		all.Go(func() { c.keep(life, i) })
	}
	all.Wait()
}

// keep keeps one connection up.
func (c *Connector) keep(ctx context.Context, index int) {
	pause := firstPause
	for {
		began := time.Now()
		err := c.connect(ctx, index)
		if time.Since(began) > longestPause {
			pause = firstPause
		}
		select {
		case <-c.ending:
			return
		case <-time.After(pause):
		}
		c.options.Log.Warn("a connection is lost", "index", index, "why", err)
		pause = min(2*pause, longestPause)
	}
}

// connect makes one connection, and returns when it is over.
func (c *Connector) connect(ctx context.Context, index int) error {
	addresses, err := c.options.Find(ctx)
	if err != nil {
		return err
	}
	if len(addresses) == 0 {
		return errors.New("the edge has no address")
	}
	conn, err := (&net.Dialer{Timeout: longestPause}).DialContext(ctx, "tcp", addresses[index%len(addresses)])
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	l := &link{connector: c, conn: conn, index: index, err: errors.New("the edge ended it")}
	server := http.Server{Handler: l, Protocols: HTTP2(), BaseContext: func(net.Listener) context.Context { return ctx }}
	only := newOnly(conn)
	server.ConnState = only.state
	_ = server.Serve(only) // it ends with the connection
	return l.err
}

// A link is one connection to the edge.
type link struct {
	connector *Connector
	conn      net.Conn
	index     int
	err       error // why it is over
}

// ServeHTTP implements http.Handler, for the edge.
func (l *link) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Header.Get(Upgrade) {
	case ControlStream:
		l.err = l.control(w, r)
		l.conn.Close()
	case UpdateConfiguration:
		l.connector.update(w, r)
	default:
		l.connector.proxy(w, r)
	}
}

// control keeps the control stream until the connection is over.
func (l *link) control(w http.ResponseWriter, r *http.Request) error {
	c := l.connector
	out, in := json.NewEncoder(w), json.NewDecoder(r.Body)
	me := Registration{Token: c.options.Token, Connector: c.options.ID, Index: l.index, Version: Version}
	say := func() error {
		if err := out.Encode(me); err != nil {
			return err
		}
		return http.NewResponseController(w).Flush()
	}
	if err := say(); err != nil {
		return err
	}
	var admission Admission
	if err := in.Decode(&admission); err != nil {
		return err
	}
	if admission.Error != "" {
		return errors.New(admission.Error)
	}
	c.options.Log.Info("registered tunnel connection", "index", l.index, "edge", l.conn.RemoteAddr())
	c.count(1)
	defer c.count(-1)
	select {
	case <-r.Context().Done():
		return r.Context().Err()
	case <-c.ending:
	}
	me.Over = true
	if err := say(); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, r.Body) // until the edge has what was under way
	return err
}

func (c *Connector) count(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready += by
}

// update takes a configuration from the edge.
func (c *Connector) update(w http.ResponseWriter, r *http.Request) {
	var next Configuration
	if err := json.NewDecoder(r.Body).Decode(&next); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var answer Applied
	var err error
	if answer.Version, err = c.apply(next); err != nil {
		why := err.Error()
		answer.Error = &why
		c.options.Log.Error("a configuration is refused", "version", next.Version, "why", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // an edge that is gone asks again
}

// apply has a configuration replace an older one, and returns the number of the one that
// counts now. What is not valid replaces nothing.
func (c *Connector) apply(next Configuration) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if next.Version <= c.current.Version {
		return c.current.Version, nil
	}
	t, err := newTable(next.Config)
	if err != nil {
		return c.current.Version, fmt.Errorf("version %d: %w", next.Version, err)
	}
	c.current, c.table = next, t
	c.options.Log.Info("updated to new configuration", "version", next.Version)
	return next.Version, nil
}

// proxy leads a visitor's request to its service.
func (c *Connector) proxy(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	t := c.table
	c.mu.Unlock()
	t.ServeHTTP(w, r)
}
