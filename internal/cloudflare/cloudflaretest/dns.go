package cloudflaretest

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"
)

type zone struct {
	id, name string
	records  []*Record
}

// A Record is a DNS record of a zone.
type Record struct {
	ID       string   `json:"id"`
	Type     string   `json:"type"`
	Name     string   `json:"name"`
	Content  string   `json:"content"`
	Proxied  bool     `json:"proxied"`
	TTL      int      `json:"ttl"`
	Comment  string   `json:"comment"`
	Tags     []string `json:"tags"`
	Modified int      `json:"modified"` // in place of the time: how often
}

// AddZone makes a zone and returns its ID.
func (s *Server) AddZone(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones = append(s.zones, &zone{id: s.id(), name: name})
	return s.zones[len(s.zones)-1].id
}

// EditRecords lets edit replace a zone's records, as a person does at the dashboard.
func (s *Server) EditRecords(zoneName string, edit func([]Record) []Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	z := s.zones[slices.IndexFunc(s.zones, func(z *zone) bool { return z.name == zoneName })]
	var now []*Record
	for _, r := range edit(z.copies()) {
		if r.ID == "" {
			r.ID = s.id()
		}
		now = append(now, &r)
	}
	z.records = now
}

// Records returns a zone's records.
func (s *Server) Records(zoneName string) []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.zones[slices.IndexFunc(s.zones, func(z *zone) bool { return z.name == zoneName })].copies()
}

func (z *zone) copies() []Record {
	var all []Record
	for _, r := range z.records {
		all = append(all, *r)
	}
	return all
}

func (s *Server) zoneCall(t *token, r *http.Request, body []byte, parts []string) answer {
	if len(parts) == 0 {
		if !t.may(r, "Zone: Zone") {
			return denied()
		}
		type found struct {
			ID     string `json:"id"`
			Name   string `json:"name"`
			Status string `json:"status"`
		}
		var all []found
		for _, z := range s.zones {
			all = append(all, found{z.id, z.name, "active"})
		}
		return page(r, all, 50)
	}
	i := slices.IndexFunc(s.zones, func(z *zone) bool { return z.id == parts[0] })
	switch {
	case i < 0:
		return refuse(http.StatusNotFound, 1003, "Invalid or missing zone id.")
	case !t.may(r, "Zone: DNS"):
		return denied()
	case len(parts) == 2 && parts[1] == "dns_records" && r.Method == http.MethodGet:
		return page(r, s.zones[i].copies(), 5000)
	case len(parts) == 3 && parts[2] == "batch" && r.Method == http.MethodPost:
		return s.batch(s.zones[i], body)
	}
	return notAllowed()
}

// batch does all changes, or none.
func (s *Server) batch(z *zone, body []byte) answer {
	var ask struct {
		Deletes []Record `json:"deletes"`
		Patches []Record `json:"patches"`
		Puts    []Record `json:"puts"`
		Posts   []Record `json:"posts"`
	}
	if json.Unmarshal(body, &ask) != nil {
		return refuse(http.StatusBadRequest, 9207, "Request body is invalid.")
	}
	if n := len(ask.Deletes) + len(ask.Patches) + len(ask.Puts) + len(ask.Posts); n == 0 || n > 200 {
		return refuse(http.StatusBadRequest, 1004, "A batch has 1 to 200 changes on this plan")
	}
	now := &zone{id: z.id, name: z.name}
	for _, r := range z.copies() {
		now.records = append(now.records, &r)
	}
	for _, r := range ask.Deletes {
		i := now.find(r.ID)
		if i < 0 {
			return recordGone()
		}
		now.records = slices.Delete(now.records, i, i+1)
	}
	for _, r := range append(ask.Patches, ask.Puts...) {
		i := now.find(r.ID)
		if i < 0 {
			return recordGone()
		}
		r.Modified = now.records[i].Modified + 1
		r.Tags = now.records[i].Tags
		now.records = slices.Delete(now.records, i, i+1)
		if a, ok := now.add(r); !ok {
			return a
		}
	}
	for _, r := range ask.Posts {
		r.ID = s.id()
		if a, ok := now.add(r); !ok {
			return a
		}
	}
	z.records = now.records
	return succeed(map[string]any{"deletes": ask.Deletes, "patches": ask.Patches, "posts": ask.Posts})
}

func recordGone() answer {
	return refuse(http.StatusNotFound, 81044, "Record does not exist.")
}

func (z *zone) find(id string) int {
	return slices.IndexFunc(z.records, func(r *Record) bool { return r.ID == id })
}

// add adds a record that the API takes. A name outside of the zone gets the zone's name.
func (z *zone) add(r Record) (answer, bool) {
	r.Name = strings.ToLower(r.Name)
	if r.Name != z.name && !strings.HasSuffix(r.Name, "."+z.name) {
		r.Name += "." + z.name
	}
	bad := func(code int, message string) (answer, bool) {
		return refuse(http.StatusBadRequest, code, message), false
	}
	switch ip, err := netip.ParseAddr(r.Content); {
	case r.Type == "A" && (err != nil || !ip.Is4()):
		return bad(9005, "Content for A record must be a valid IPv4 address.")
	case r.Type == "CNAME" && (r.Content == "" || err == nil):
		return bad(9007, "Content for CNAME record is invalid.")
	case !slices.Contains([]string{"A", "AAAA", "CNAME", "TXT", "MX", "NS"}, r.Type):
		return bad(9004, "Invalid record type.")
	case r.TTL != 1 && (r.TTL < 60 || r.TTL > 86400):
		return bad(9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.")
	case utf8.RuneCountInString(r.Comment) > 100:
		return bad(9313, "DNS record comment is longer than 100 characters.")
	}
	for _, other := range z.records {
		switch {
		case other.Name != r.Name:
		case other.Type == r.Type && other.Content == r.Content:
			return bad(81058, "An identical record already exists.")
		case addresses(other.Type) && r.Type == "CNAME" || other.Type == "CNAME" && addresses(r.Type):
			return bad(81053, "An A, AAAA, or CNAME record with that host already exists.")
		}
	}
	z.records = append(z.records, &r)
	return answer{}, true
}

func addresses(kind string) bool { return kind == "A" || kind == "AAAA" || kind == "CNAME" }
