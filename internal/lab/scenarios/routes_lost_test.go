package scenarios

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"salvor/internal/lab/edge"
	"salvor/internal/lab/oracle"
)

// hostLost kills alpha: after one command its hostnames answer from beta, with the same data.
func (p *published) hostLost(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	notes := p.sites[0]
	writesAfter(t, &p.collector, "notes", time.Time{})
	began := time.Now()
	_, err := p.w.Salvor(ctx, nil, "snapshot", "take", "notes")
	must(t, err)
	former := p.tunnelOf(t, notes)
	member := p.watch(t, notes)
	stranger := edge.Probe{Client: p.cloud.Visitor, URL: notes.url()}.Start(ctx)
	<-member.Succeeded()
	must(t, p.alpha.Kill(ctx))
	killed := time.Now()
	receipt, err := p.w.Salvor(ctx, nil, "recover", "alpha", "--to", "beta")
	must(t, err)
	t.Logf("recovered in %s\n%s", time.Since(killed).Round(time.Millisecond), receipt)
	for _, s := range p.sites {
		eventually(t, s.hostname()+" leads to beta and answers", func() error {
			if p.tunnelOf(t, s) == former {
				return fmt.Errorf("its record leads to alpha's tunnel")
			}
			_, err := p.fetch(t, s.url())
			return err
		})
	}
	t.Logf("%s during the recovery: %s", notes.hostname(), member.Stop())
	if r := stranger.Stop(); r.Succeeded > 0 {
		t.Errorf("someone without identity during the recovery: %s", r)
	}
	var content []byte
	eventually(t, "all rows are sent", func() (err error) { // a snapshot may have them paused
		content, err = p.fetch(t, "https://"+notes.hostname()+"/rows?all")
		return err
	})
	var all struct{ Rows []oracle.Row }
	must(t, json.Unmarshal(content, &all))
	if err := p.collector.Check("notes", all.Rows, began); err != nil {
		t.Error(err)
	}
	p.Count("rows back through the edge", len(all.Rows))
}

// fetch asks for what is protected as someone who may reach it.
func (p *published) fetch(t *testing.T, url string) ([]byte, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	r.Header = p.member.Clone()
	resp, err := p.cloud.Visitor.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// oldHostReturns powers alpha on: it stops its stacks and changes nothing at Cloudflare.
func (p *published) oldHostReturns(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	calls := len(p.cloud.Calls())
	member := p.watch(t, p.sites[0])
	must(t, p.alpha.PowerOn(ctx))
	eventually(t, "alpha has stopped its stacks", func() error {
		left, err := running(ctx, p.alpha)
		for _, s := range p.sites {
			for _, c := range left {
				if c == s.container() {
					return fmt.Errorf("%s runs", c)
				}
			}
		}
		return err
	})
	<-time.After(min(p.For, 2*time.Minute) / 2)
	if n := p.writes(calls, p.alpha.Address.String()); n > 0 {
		t.Errorf("alpha has changed Cloudflare %d times since it came back", n)
	}
	r := member.Stop()
	t.Logf("%s while alpha came back: %s", p.sites[0].hostname(), r)
	if r.Failed > 0 {
		t.Errorf("requests failed while alpha came back: %s", r.LastFailure)
	}
	p.Count("writing calls of the old host", p.writes(calls, p.alpha.Address.String()))
}
