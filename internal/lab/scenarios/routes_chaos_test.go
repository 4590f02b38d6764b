package scenarios

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/lab/edge"
)

// foreign puts into the account what is not Salvor's, and has to stay.
func (p *published) foreign(t *testing.T) {
	t.Helper()
	other := p.cloud.AddTunnel("someone's", 0) + ".cfargotunnel.com"
	p.cloud.EditRecords("example.com", func(all []cloudflaretest.Record) []cloudflaretest.Record {
		return append(all,
			cloudflaretest.Record{Type: "A", Name: "www.example.com", Content: "192.0.2.80", Proxied: true, TTL: 1, Comment: "the shop"},
			cloudflaretest.Record{Type: "TXT", Name: "example.com", Content: "v=spf1 -all", TTL: 300},
			cloudflaretest.Record{Type: "CNAME", Name: "elsewhere.example.com", Content: other, Proxied: true, TTL: 1})
	})
	p.cloud.EditApps(func(all []json.RawMessage) []json.RawMessage {
		return append(all, json.RawMessage(`{"name":"intranet","type":"self_hosted","domain":"elsewhere.example.com","policies":[{"name":"us","decision":"allow","include":[{"email":{"email":"bob@example.net"}}]}]}`))
	})
}

// others are the objects of the account that are not Salvor's, as text.
func (p *published) others() string {
	var b strings.Builder
	for _, r := range p.cloud.Records("example.com") {
		if !strings.HasPrefix(r.Comment, "salvor:") {
			fmt.Fprintf(&b, "%+v\n", r)
		}
	}
	for _, a := range p.cloud.Apps() {
		if bytes.Contains(a, []byte("intranet")) {
			fmt.Fprintf(&b, "%s\n", a)
		}
	}
	fmt.Fprintf(&b, "%s\n", p.byHand())
	return b.String()
}

// tunnelOf returns the tunnel of a host, by the record of one of its hostnames.
func (p *published) tunnelOf(t *testing.T, s site) string {
	t.Helper()
	for _, r := range p.cloud.Records("example.com") {
		if r.Name == s.hostname() {
			return strings.TrimSuffix(r.Content, ".cfargotunnel.com")
		}
	}
	t.Fatalf("%s has no record", s.hostname())
	return ""
}

const handMadeRule = `{"hostname":"byhand.example.com","service":"http_status:418", "originRequest":{"note":"mine"}}`

// byHand returns the rules that a person made in alpha's tunnel.
func (p *published) byHand() (all []string) {
	for _, r := range p.cloud.Rules(p.tunnel) {
		if bytes.Contains(r, []byte("byhand.example.com")) {
			all = append(all, string(r))
		}
	}
	return all
}

// editRules has a person change the rules of alpha's tunnel.
func (p *published) editRules(t *testing.T, edit func([]json.RawMessage) []json.RawMessage) {
	t.Helper()
	content := []byte(`{"ingress":[`)
	for i, r := range edit(p.cloud.Rules(p.tunnel)) {
		if i > 0 {
			content = append(content, ',')
		}
		content = append(content, r...)
	}
	must(t, p.cloud.EditConfiguration(p.tunnel, append(content, "]}"...)))
}

// chaos has everything fail for a while, while someone without identity asks for what is
// protected; afterwards all is as declared, and what is not Salvor's as it was.
func (p *published) chaos(t *testing.T) {
	t.Helper()
	p.tunnel = p.tunnelOf(t, p.sites[0])
	p.editRules(t, func(all []json.RawMessage) []json.RawMessage {
		return append([]json.RawMessage{json.RawMessage(handMadeRule)}, all...)
	})
	p.cloud.EditRecords("example.com", func(all []cloudflaretest.Record) []cloudflaretest.Record {
		return append(all, cloudflaretest.Record{Type: "CNAME", Name: "byhand.example.com", Content: p.tunnel + ".cfargotunnel.com", Proxied: true, TTL: 1})
	})
	before := p.others()
	var strangers, members []*edge.Watch
	for _, s := range p.sites {
		if s.guarded {
			strangers = append(strangers, edge.Probe{Client: p.cloud.Visitor, URL: s.url()}.Start(t.Context()))
			members = append(members, p.watch(t, s))
		}
	}
	strokes := []func(*testing.T){p.apiFails, p.recordsEdited, p.rulesEdited, p.salvordKilled, p.dockerRestarted, p.containersComeAndGo}
	for end, i := time.Now().Add(p.For), 0; time.Now().Before(end) || i < len(strokes); i++ {
		if i%len(strokes) == 0 {
			p.Rand.Shuffle(len(strokes), func(a, b int) { strokes[a], strokes[b] = strokes[b], strokes[a] })
		}
		strokes[i%len(strokes)](t)
		p.Count("strokes", 1)
		<-time.After(time.Duration(500+p.Rand.IntN(2000)) * time.Millisecond)
	}
	p.calm(t)
	for _, w := range strangers {
		r := w.Stop()
		p.Count("requests without identity", r.Asked)
		p.Count("of them that passed", r.Succeeded)
		if r.Succeeded > 0 || r.Statuses[http.StatusFound] == 0 {
			t.Errorf("someone without identity: %s", r)
		}
	}
	for _, w := range members {
		t.Logf("a member during the chaos: %s", w.Stop())
	}
	if after := p.others(); after != before {
		t.Errorf("what is not Salvor's was\n%s\nand is\n%s", before, after)
	}
}

// calm waits until every hostname answers as it is declared.
func (p *published) calm(t *testing.T) {
	t.Helper()
	began := time.Now()
	exec(t, p.alpha, "systemctl restart salvord") // it looks at Cloudflare when it starts, and then every two minutes
	for _, s := range p.sites {
		w := p.watch(t, s)
		within(t, 2*time.Minute, s.hostname()+" answers after the chaos", func() error {
			select {
			case <-w.Succeeded():
				return nil
			default:
				return fmt.Errorf("%s", w.SoFar().LastFailure)
			}
		})
		w.Stop()
	}
	t.Logf("after the chaos every hostname answers within %s", time.Since(began).Round(time.Millisecond))
}

// apiFails has some of the next calls fail.
func (p *published) apiFails(*testing.T) {
	faults := []cloudflaretest.Fault{
		{Status: http.StatusInternalServerError}, {Status: http.StatusServiceUnavailable, Done: true}, {Cut: true}, {Cut: true, Done: true},
		{Status: http.StatusTooManyRequests, After: time.Second}, {Delay: 2 * time.Second},
	}
	for range 1 + p.Rand.IntN(4) {
		p.cloud.Fail(faults[p.Rand.IntN(len(faults))])
	}
}

// anyOf draws one of n things that are as wanted, -1 where none is.
func (p *published) anyOf(n int, wanted func(int) bool) int {
	for _, i := range p.Rand.Perm(n) {
		if wanted(i) {
			return i
		}
	}
	return -1
}

// recordsEdited has a person take one of Salvor's records away, or lead it elsewhere.
func (p *published) recordsEdited(*testing.T) {
	p.cloud.EditRecords("example.com", func(all []cloudflaretest.Record) []cloudflaretest.Record {
		i := p.anyOf(len(all), func(i int) bool { return strings.HasPrefix(all[i].Comment, "salvor:") })
		switch {
		case i < 0:
		case p.Rand.IntN(2) == 0:
			all = slices.Delete(all, i, i+1)
		default:
			all[i].Content = "00000000-0000-0000-0000-000000000000.cfargotunnel.com"
		}
		return all
	})
}

// rulesEdited has a person take one of Salvor's rules away.
func (p *published) rulesEdited(t *testing.T) {
	p.editRules(t, func(all []json.RawMessage) []json.RawMessage {
		i := p.anyOf(len(all), func(i int) bool {
			return bytes.Contains(all[i], []byte("hostname")) && !bytes.Contains(all[i], []byte("byhand"))
		})
		if i < 0 {
			return all
		}
		return slices.Delete(slices.Clone(all), i, i+1)
	})
}

func (p *published) salvordKilled(t *testing.T) { exec(t, p.alpha, "systemctl kill -s KILL salvord") }

func (p *published) dockerRestarted(t *testing.T) { exec(t, p.alpha, "systemctl restart docker") }

// containersComeAndGo stops a page and starts it again.
func (p *published) containersComeAndGo(t *testing.T) {
	s := p.sites[1+p.Rand.IntN(len(p.sites)-1)]
	exec(t, p.alpha, "docker stop -t 1 "+s.container()+" && docker start "+s.container())
}
