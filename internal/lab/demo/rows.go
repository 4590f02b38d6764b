package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/world"
)

// held is what a stack's writer says it holds: see the writer's Report.
type held struct {
	Count  int    `json:"count"`
	Head   string `json:"head"`
	Broken string `json:"broken"`
}

// patience is how long a stack gets to answer or to write its rows.
const patience = 90 * time.Second

// eventually asks a stack's writer until enough says so.
func (d *demo) eventually(ctx context.Context, h *lab.Host, st world.Stack, enough func(held) bool) (held, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := ask(ctx, h, st.Port)
		if err == nil && enough(now) {
			return now, nil
		}
		select {
		case <-ctx.Done():
			return now, errors.Join(fmt.Errorf("%s on %s holds %d rows after %s", st.Name, h.Name, now.Count, patience), err)
		case <-tick.C:
		}
	}
}

func ask(ctx context.Context, h *lab.Host, port int) (held, error) {
	var now held
	body, err := fetch(ctx, fmt.Sprintf("http://%s:%d/rows", h.Address, port))
	if err != nil {
		return now, err
	}
	return now, json.Unmarshal(body, &now)
}

func fetch(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// stores say in words where a stack keeps its rows.
var stores = map[string]string{"postgres": "rows in Postgres", "sqlite": "rows in SQLite", "files": "rows in files"}

func (d *demo) table(all map[string]held) {
	d.print("\n")
	for _, st := range stacks {
		h := all[st.Name]
		d.print("       %-7s on %-6s %6s %-17s head %.12s\n", st.Name, st.Host, grouped(h.Count), stores[st.Store], h.Head)
	}
	d.print("       %-7s on %-6s %24s a page from Git\n", "site", "alpha", "")
}

// verdict prints how a stack's rows compare with those from before, and returns
// why they are not all there, or nil. A stack that lives on may have more.
func (d *demo) verdict(st world.Stack, host string, before, now held) error {
	var err error
	said := "the same head"
	switch {
	case now.Broken != "":
		err = fmt.Errorf("%s: %s", st.Name, now.Broken)
	case now.Count < before.Count || st.Limit > 0 && now.Count != before.Count:
		err = fmt.Errorf("%s: %d rows, had %d", st.Name, now.Count, before.Count)
	case st.Limit == 0:
		said = "went on writing all the time"
	case now.Head != before.Head:
		err = fmt.Errorf("%s: head %.12s, had %.12s", st.Name, now.Head, before.Head)
	}
	mark := d.paint(green, "✔")
	if err != nil {
		mark, said = d.paint(red, "✘"), err.Error()
	}
	d.print("     %s %-7s on %-6s %6s %-17s head %.12s  %s\n", mark, st.Name, host, grouped(now.Count), stores[st.Store], now.Head, said)
	return err
}

// page checks the page from Git on gamma.
func (d *demo) page(ctx context.Context) error {
	body, err := fetch(ctx, fmt.Sprintf("http://%s:%d/", d.gamma.Address, sitePort))
	if err == nil && !strings.Contains(string(body), "<h1>home</h1>") {
		err = errors.New("site: another page than the one in Git")
	}
	if err != nil {
		d.print("     %s site    on gamma  %v\n", d.paint(red, "✘"), err)
		return err
	}
	d.print("     %s site    on gamma  %24s the page from Git\n", d.paint(green, "✔"), "")
	return nil
}
