package hostlink

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/hostpath"
	"salvor/internal/machine/machinetest"
	"salvor/internal/progress"
)

type carrier string

func (c carrier) Version() string { return string(c) }

func (c carrier) Open(arch string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("salvord " + string(c) + " " + arch)), nil
}

func link(f *machinetest.Fake, events *[]progress.Event) *Link {
	return &Link{Host: "alpha", Machine: f, Carrier: carrier("0.2.0+abc"), Sink: progress.SinkFunc(func(e progress.Event) {
		if events != nil {
			*events = append(*events, e)
		}
	})}
}

func TestCall(t *testing.T) {
	const event = `{"event":{"host":"liar","step":"pull","state":"done"}}` + "\n"
	cases := map[string]struct {
		code   int
		text   string
		want   string // result
		err    string
		no     bool // ErrNoSalvord
		other  bool // it is another program
		events int
	}{
		"result":         {text: event + `{"result":"fine"}` + "\n", want: "fine", events: 1},
		"error":          {text: `{"error":{"code":11,"text":"somebody is at work"}}` + "\n", err: "somebody is at work"},
		"older protocol": {text: `{"error":{"code":64,"text":"0.1.0+xyz"}}` + "\n", err: "alpha runs salvord 0.1.0+xyz, whose protocol is not that of this salvor, 0.2.0+abc: " + ErrNoSalvord.Error(), no: true},
		"newer protocol": {text: `{"error":{"code":64,"text":"0.3.0+xyz"}}` + "\n", err: "alpha runs salvord 0.3.0+xyz, whose protocol is not that of this salvor, 0.2.0+abc: it is newer"},
		"not there":      {code: 127, err: "alpha: " + ErrNoSalvord.Error(), no: true},
		"no answer":      {text: event, err: "alpha: salvord status ended without an answer", events: 1},
		"not a message":  {text: "Segmentation fault\n" + `{"result":"fine"}` + "\n", err: `alpha: salvord printed something that is not a message: "Segmentation fault"`},
		"cut short":      {text: `{"result":"fi`, err: "alpha: salvord status ended without an answer"},
		"died":           {code: 1, text: "", err: "alpha: salvord status: "},
		"replaced":       {code: 1, other: true, err: "alpha: what is at /usr/local/bin/salvord is another program: " + ErrNoSalvord.Error(), no: true},
		"does nothing":   {other: true, err: "alpha: what is at /usr/local/bin/salvord is another program: " + ErrNoSalvord.Error(), no: true},
		"says nothing":   {err: "alpha: salvord status ended without an answer"},
		"two in a write": {text: event + event + `{"result":"fine"}` + "\n", want: "fine", events: 2},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := machinetest.NewFake()
			f.Handle(func(_ context.Context, p machinetest.Process) int {
				var req agentapi.Request
				if err := json.NewDecoder(p.Stdin).Decode(&req); err != nil || req.Salvord != "0.2.0+abc" || req.Schema != agentapi.Schema {
					t.Errorf("request %+v, %v", req, err)
				}
				if _, err := io.WriteString(p.Stdout, c.text); err != nil {
					t.Error(err)
				}
				return c.code
			}, hostpath.Salvord, "status")
			f.Handle(func(_ context.Context, p machinetest.Process) int {
				if c.other || c.code == 127 {
					return c.code
				}
				_, err := io.WriteString(p.Stdout, "0.2.0+abc\n")
				if err != nil {
					t.Error(err)
				}
				return 0
			}, hostpath.Salvord, "version")
			var events []progress.Event
			var got string
			err := link(f, &events).Call(t.Context(), "status", struct{}{}, &got)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.HasPrefix(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if errors.Is(err, ErrNoSalvord) != c.no || got != c.want || len(events) != c.events {
				t.Errorf("result %q, %d events, %v", got, len(events), err)
			}
			for _, e := range events {
				if e.Host != "alpha" {
					t.Errorf("event of %q", e.Host)
				}
			}
		})
	}
}

func TestInstall(t *testing.T) {
	cases := map[string]struct {
		there string // version that the host's salvord reports, "" for none
		newer bool
	}{
		"none":          {there: ""},
		"older release": {there: "0.1.9+abc"},
		"other build":   {there: "0.2.0+zzz"},
		"newer release": {there: "0.10.0+abc", newer: true},
		"the same":      {there: "0.2.0+abc"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := machinetest.NewFake()
			f.Say(0, "x86_64\n", "uname", "-m")
			f.Say(0, "", "systemctl", "try-restart", "salvord.service")
			if c.there == "" {
				f.Say(127, "", hostpath.Salvord, "version")
			} else {
				f.Say(0, c.there+"\n", hostpath.Salvord, "version")
			}
			err := link(f, nil).Install(t.Context())
			if errors.Is(err, ErrNewer) != c.newer || !c.newer && err != nil {
				t.Fatal(err)
			}
			want := "salvord 0.2.0+abc amd64"
			if c.newer {
				want = ""
			}
			if diff := cmp.Diff(want, string(f.Files()[hostpath.Salvord].Content)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzMessages feeds what a broken salvord may say: never a panic, and an
// answer only when a line holds one.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{"", "\n", `{"result":1}` + "\n", `{"event":{"step":"x"}}` + "\n" + `{"error":{"code":3,"text":"x"}}` + "\n", `{"result":null}` + "\n", "{}\n", `{"event":null,"result":`, "\xff\n"} {
		f.Add([]byte(seed), 3)
	}
	f.Fuzz(func(t *testing.T, said []byte, cut int) {
		l := link(machinetest.NewFake(), nil)
		whole, parts := &reader{link: l}, &reader{link: l}
		write(t, whole, said)
		at := min(max(cut, 0), len(said))
		write(t, parts, said[:at])
		write(t, parts, said[at:])
		var a, b json.RawMessage
		answered, err := whole.outcome("status", nil, &a)
		answeredToo, errToo := parts.outcome("status", nil, &b)
		if answered != answeredToo || (err == nil) != (errToo == nil) || string(a) != string(b) {
			t.Errorf("%v %v %s, in parts %v %v %s", answered, err, a, answeredToo, errToo, b)
		}
	})
}

func write(t *testing.T, w io.Writer, p []byte) {
	t.Helper()
	if n, err := w.Write(p); n != len(p) || err != nil {
		t.Fatal(n, err)
	}
}
