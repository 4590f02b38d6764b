package publishing

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/hostpath"
	"salvor/internal/loop"
)

// A call is what an apply says to the daemon at its socket. One that asks gets the routes once
// a pass has ended; any other lasts as long as its connection.
type call struct {
	Deploying []string `json:"deploying,omitempty"` // stacks
	Ask       bool     `json:"ask,omitempty"`
	Shown     bool     `json:"shown,omitempty"` // with Ask: all that goes was shown
}

const (
	maxCall  = 1 << 20
	callTime = 10 * time.Second // that a call may take to arrive

	listenAgain = 10 * time.Second // after a socket that can't be listened at
)

// Listener takes what applies on this host say.
func (d *Daemon) Listener() loop.Loop {
	first := true
	wait := func(ctx context.Context) bool {
		again := listenAgain
		if first {
			first, again = false, 0
		}
		return here.Sleep(ctx, again) == nil
	}
	return loop.Loop{Name: "announcements", Wait: wait, Run: d.Serve}
}

// Serve takes what applies on this host say, until ctx ends.
func (d *Daemon) Serve(ctx context.Context) error {
	l, err := d.h.Edges.Socket(ctx, hostpath.PublishingOf(d.h.Paths).Socket)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return errors.Join(err, l.Close())
		}
		go d.answer(ctx, conn)
	}
}

// answer serves one connection to its end.
func (d *Daemon) answer(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var c call
	if conn.SetReadDeadline(time.Now().Add(callTime)) != nil || json.NewDecoder(io.LimitReader(conn, maxCall)).Decode(&c) != nil {
		return
	}
	if !c.Ask {
		defer d.Deploying(c.Deploying)()
		if conn.SetReadDeadline(time.Time{}) == nil {
			_, _ = conn.Read(make([]byte, 1)) // returns when the apply has ended
		}
		return
	}
	select {
	case list := <-d.Ask(c.Shown):
		_ = json.NewEncoder(conn).Encode(list) // an apply that is gone needs no answer
	case <-ctx.Done():
	}
}

// say connects to the daemon and says something.
func say(ctx context.Context, h *here.Host, c call) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", hostpath.PublishingOf(h.Paths).Socket)
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(conn).Encode(c); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// announce says that stacks are deployed, until ctx ends: also to a daemon that starts later,
// or again.
func announce(ctx context.Context, h *here.Host, stacks []string) {
	for {
		if conn, err := say(ctx, h, call{Deploying: stacks}); err == nil {
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			_, _ = conn.Read(make([]byte, 1)) // returns when the daemon, or ctx, has ended
			stop()
			conn.Close()
		}
		if here.Sleep(ctx, sayAgain) != nil {
			return
		}
	}
}

const (
	sayAgain   = 200 * time.Millisecond
	daemonWait = 5 * time.Second  // for one that does not answer
	passWait   = 45 * time.Second // for a pass
)

var errSilent = errors.New("salvord, which publishes them, does not run")

// settle has a pass begin and waits for its end, as long as an apply does.
func settle(ctx context.Context, h *here.Host) (agentapi.RouteList, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, passWait, errors.New("it was not over when this apply ended; the host goes on with it"))
	defer cancel()
	for began := time.Now(); ; {
		list, err := request(ctx, h)
		switch {
		case err == nil:
			return list, nil
		case ctx.Err() != nil:
			return list, context.Cause(ctx)
		case time.Since(began) > daemonWait:
			return list, errSilent
		}
		if here.Sleep(ctx, sayAgain) != nil {
			return list, context.Cause(ctx)
		}
	}
}

func request(ctx context.Context, h *here.Host) (list agentapi.RouteList, err error) {
	conn, err := say(ctx, h, call{Ask: true, Shown: true})
	if err != nil {
		return list, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	return list, json.NewDecoder(conn).Decode(&list)
}
