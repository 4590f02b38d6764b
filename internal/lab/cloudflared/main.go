// Command cloudflared is the connector of the lab's tunnels, with the part of cloudflared's
// command line that Salvor and DockFlare use:
//
//	cloudflared tunnel [FLAGS] run [FLAGS]     connect until SIGTERM, and finish what is under way
//	cloudflared tunnel [FLAGS] ready           exit 0 when the one at --metrics is connected
//	cloudflared version
//
// Flags may be before and behind the word; the token can be in the environment, too.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/lab/connector"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

// settings are the flags.
type settings struct {
	metrics, token, tokenFile string
	grace                     time.Duration
	ignored                   string
	noUpdate                  bool
}

func (s *settings) parse(args []string) ([]string, error) {
	f := flag.NewFlagSet("cloudflared", flag.ContinueOnError)
	f.StringVar(&s.metrics, "metrics", s.metrics, "where /ready and /config are")
	f.StringVar(&s.token, "token", s.token, "the tunnel's token")
	f.StringVar(&s.tokenFile, "token-file", s.tokenFile, "a file with the tunnel's token")
	f.DurationVar(&s.grace, "grace-period", s.grace, "for requests under way at the end")
	f.BoolVar(&s.noUpdate, "no-autoupdate", s.noUpdate, "this one never updates itself")
	for _, name := range []string{"loglevel", "protocol", "retries", "edge-ip-version"} {
		f.StringVar(&s.ignored, name, "", "has no effect here")
	}
	err := f.Parse(args)
	return f.Args(), err
}

func run(ctx context.Context, args []string) error {
	s := settings{metrics: "0.0.0.0:20241", token: os.Getenv("TUNNEL_TOKEN"), tokenFile: os.Getenv("TUNNEL_TOKEN_FILE")}
	if at := os.Getenv("TUNNEL_METRICS"); at != "" {
		s.metrics = at
	}
	var words []string
	for rest := args; ; {
		var err error
		if rest, err = s.parse(rest); err != nil {
			return err
		}
		if len(rest) == 0 {
			break
		}
		words, rest = append(words, rest[0]), rest[1:]
	}
	switch strings.Join(words, " ") {
	case "version", "":
		fmt.Println("cloudflared version " + connector.Version + " (the lab's)")
		return nil
	case "tunnel run":
		return s.serve(ctx)
	case "tunnel ready":
		return s.ready(ctx)
	}
	return fmt.Errorf("cloudflared of the lab does not know %q", strings.Join(words, " "))
}

func (s settings) serve(ctx context.Context) error {
	text := s.token
	if s.tokenFile != "" {
		content, err := os.ReadFile(s.tokenFile)
		if err != nil {
			return err
		}
		text = string(content)
	}
	token, err := cloudflaretest.ParseConnectorToken(strings.TrimSpace(text))
	if err != nil {
		return err
	}
	c := connector.New(connector.Options{
		ID: id(), Token: token, Find: find, Grace: s.grace, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", s.metrics)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: c, ReadHeaderTimeout: time.Minute}
	go server.Serve(ln) //nolint:errcheck // that it was closed
	c.Run(ctx)
	return server.Close()
}

// find looks for the edge as cloudflared does.
func find(ctx context.Context) ([]string, error) {
	_, found, err := net.DefaultResolver.LookupSRV(ctx, "v2-origintunneld", "tcp", "argotunnel.com")
	if err != nil {
		return nil, err
	}
	var all []string
	for _, srv := range found {
		all = append(all, net.JoinHostPort(strings.TrimSuffix(srv.Target, "."), fmt.Sprint(srv.Port)))
	}
	return all, nil
}

// id returns a random UUID.
func id() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

const readyLimit = 5 * time.Second

func (s settings) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.metrics+"/ready", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		err = errors.New("/ready answers " + resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}
