package cloudflare

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// MaxComment is how many characters a record's comment has at most on every plan. Source:
// developers.cloudflare.com/dns/manage-dns-records/reference/record-attributes.
const MaxComment = 100

// MaxBatch is how many changes one call takes on every plan. Source:
// developers.cloudflare.com/dns/manage-dns-records/how-to/batch-record-changes.
const MaxBatch = 200

const (
	zonesPerPage   = 50
	recordsPerPage = 5000
)

// A Zone is a domain whose records can be changed.
type Zone struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Contains reports whether a hostname is in the zone.
func (z Zone) Contains(hostname string) bool {
	return hostname == z.Name || strings.HasSuffix(hostname, "."+z.Name)
}

// Zones returns the active zones of the account that the token may see.
func (c *Client) Zones(ctx context.Context) ([]Zone, error) {
	r := request{method: http.MethodGet, path: "/zones", permission: ZoneRead,
		query: url.Values{"account.id": {c.account}, "status": {"active"}}}
	return list[Zone](ctx, c, r, zonesPerPage)
}

// A Record is a DNS record, as far as it matters here. TTL 1 is Cloudflare's "automatic".
type Record struct {
	ID      string `json:"id,omitempty"`
	Type    string `json:"type"`
	Name    string `json:"name"` // complete, without a final dot
	Content string `json:"content"`
	Proxied bool   `json:"proxied"`
	TTL     int    `json:"ttl"`
	Comment string `json:"comment"`
}

// Records returns all records of a zone.
func (c *Client) Records(ctx context.Context, zone string) ([]Record, error) {
	r := request{method: http.MethodGet, path: "/zones/" + url.PathEscape(zone) + "/dns_records", permission: DNSEdit}
	return list[Record](ctx, c, r, recordsPerPage)
}

// A Batch is what to change in one zone. Cloudflare does the deletions first, then the
// changes of records that exist (by their ID), then the new ones: all of them, or none.
type Batch struct {
	Delete []string // IDs
	Patch  []Record
	Post   []Record
}

// Len is the number of changes, of which one call takes MaxBatch.
func (b Batch) Len() int { return len(b.Delete) + len(b.Patch) + len(b.Post) }

// ChangeRecords does a batch. After an error that wraps ErrAway it may have been done.
func (c *Client) ChangeRecords(ctx context.Context, zone string, b Batch) error {
	type id struct {
		ID string `json:"id"`
	}
	var ask struct {
		Deletes []id     `json:"deletes,omitempty"`
		Patches []Record `json:"patches,omitempty"`
		Posts   []Record `json:"posts,omitempty"`
	}
	for _, one := range b.Delete {
		ask.Deletes = append(ask.Deletes, id{one})
	}
	ask.Patches, ask.Posts = b.Patch, b.Post
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	return c.call(ctx, request{method: http.MethodPost, path: "/zones/" + url.PathEscape(zone) + "/dns_records/batch", body: body, permission: DNSEdit}, nil)
}
