package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/fleetkeys/fleetkeystest"
	"salvor/internal/machine"
	"salvor/internal/progress"
	"salvor/internal/reach"
	"salvor/internal/record"
	"salvor/internal/recording"
	"salvor/internal/storage"
)

// A house is a fleet whose record is in a folder, with the hosts alpha and beta.
type house struct {
	*fleetkeystest.Fleet
	t    *testing.T
	disk string // where the record is
	made map[string][]agentapi.Delivery
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, disk: filepath.Join(t.TempDir(), "disk"), made: map[string][]agentapi.Delivery{}}
	h.Fleet = fleetkeystest.New(t, map[string]string{fleet.File: "hosts:\n  alpha: {address: 192.0.2.10}\n  beta: {address: 192.0.2.11}\nremotes: {disk: {type: local}}\n" +
		fmt.Sprintf("record: {remote: disk, path: %q}\n", strings.TrimPrefix(h.disk, "/"))}, map[string]string{"token": "t-1"})
	return h
}

// journals are those that a command of ann's has, as of the newest commit.
func (h *house) journals() *Journals {
	h.t.Helper()
	return h.of(h.OpenKeys(h.t, h.Identity, fleetkeystest.Yes()))
}

func (h *house) of(o fleetkeystest.Opened) *Journals {
	r := recording.New(o.Checkout, o.Identity, o.Needs, o.Confirmed, o.FleetKeys, storage.Computer{}, progress.Discard())
	return New(o.Checkout, o.Identity, o.Confirmed, o.FleetKeys, r, reach.New(o.Checkout, reach.Options{
		Connect: func(_ context.Context, host fleet.Host) (machine.Machine, error) {
			if _, there := h.made[host.Name]; !there {
				return nil, errors.New("no route to host")
			}
			return &noted{deliveries: h.made[host.Name]}, nil
		},
	}))
}

// opens has a command decrypt the secret token.
func (h *house) opens(j *Journals) {
	h.t.Helper()
	if _, err := j.identity.Secret(h.t.Context(), "token"); err != nil {
		h.t.Fatal(err)
	}
}

// entries are those of the operators' journal on the remote.
func (h *house) entries() []record.Entry {
	h.t.Helper()
	j := h.journals()
	var entries []record.Entry
	err := j.record.With(h.t.Context(), func(rec *record.Record) (err error) {
		trusted, err := j.confirmed.Trusted()
		if err == nil {
			entries, _, err = rec.Entries(h.t.Context(), time.Time{}, trusted, h.Ann)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return entries
}

// waiting are the entries that this clone keeps.
func (h *house) waiting() []string {
	h.t.Helper()
	files, err := filepath.Glob(filepath.Join(h.Dir, ".git/salvor/journal/*"))
	if err != nil {
		h.t.Fatal(err)
	}
	return files
}

// away has the remote answer with errors until back is called.
func (h *house) away() (back func()) {
	h.t.Helper()
	kept := h.disk + ".kept"
	err := os.Rename(h.disk, kept)
	if errors.Is(err, os.ErrNotExist) {
		err = os.Mkdir(kept, 0o700)
	}
	if err := errors.Join(err, os.WriteFile(h.disk, nil, 0o600)); err != nil {
		h.t.Fatal(err)
	}
	return func() {
		h.t.Helper()
		if err := errors.Join(os.Remove(h.disk), os.Rename(kept, h.disk)); err != nil {
			h.t.Fatal(err)
		}
	}
}

// noted is a host that has noted deliveries, in the order of their times.
type noted struct {
	machine.Machine
	deliveries []agentapi.Delivery
}

// Run implements machine.Machine: `salvord deliveries` and nothing else.
func (n *noted) Run(_ context.Context, c machine.Cmd) (machine.Output, error) {
	var req agentapi.Request
	var asked agentapi.Deliveries
	if len(c.Argv) != 2 || c.Argv[1] != agentapi.VerbDeliveries {
		return machine.Output{}, fmt.Errorf("ran %v", c.Argv)
	}
	if err := json.NewDecoder(c.Stdin).Decode(&req); err != nil {
		return machine.Output{}, err
	}
	if err := json.Unmarshal(req.Body, &asked); err != nil {
		return machine.Output{}, err
	}
	list := agentapi.DeliveryList{Schema: agentapi.Schema, Deliveries: []agentapi.Delivery{}}
	for _, d := range n.deliveries {
		if !d.At.Before(asked.Since) {
			list.Deliveries = append(list.Deliveries, d)
		}
	}
	result, err := json.Marshal(list)
	if err != nil {
		return machine.Output{}, err
	}
	return machine.Output{}, json.NewEncoder(c.Stdout).Encode(agentapi.Message{Result: result})
}
