package tunnel

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"testing"
	"time"

	"salvor/internal/lab/connector"
	"salvor/internal/lab/edge"
)

// TestTheLabsConnectorIsUnderstood asks a connector with cloudflared's contract, which the lab
// runs in containers: before it is connected, connected, and with rules.
func TestTheLabsConnectorIsUnderstood(t *testing.T) {
	s := newStand(t)
	id := s.api.AddTunnel("alpha", 0)
	e := edge.New(s.api)
	at, err := e.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := connector.New(connector.Options{
		ID: "one", Token: s.api.ConnectorToken(id), Log: slog.New(slog.DiscardHandler),
		Find: func(context.Context) ([]string, error) { return []string{at}, nil },
	})
	s.engine.Serve("tcp", "172.18.0.9:2000", func(conn net.Conn) { answerWith(conn, c) })
	ask := func() state {
		now, _ := s.tunnel.askOne(t.Context(), "172.18.0.9")
		return now
	}
	if got := ask(); got.ready {
		t.Errorf("not connected, it is %+v", got)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	eventually(t, func() bool { return ask() == state{ready: true} })
	if err := s.api.EditConfiguration(id, json.RawMessage(`{"ingress":[{"service":"http_status:404"}]}`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return ask() == state{ready: true, version: 1} })
	stop()
	<-done
}

func eventually(t *testing.T, met func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !met(); {
		if time.Now().After(end) {
			t.Fatal("it did not happen in time")
		}
		<-time.After(5 * time.Millisecond)
	}
}
