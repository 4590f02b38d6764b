package publish

import "salvor/internal/cloudflare"

// Actual is what Cloudflare has, and what this host knows of it.
type Actual struct {
	Zones  []Zone
	Config cloudflare.Configuration // of the host's tunnel
	Live   int                      // the version of the configuration that the connector has; 0 for none
	Apps   []cloudflare.App
	// AppsDenied is why applications can't be read: the token may not. nil where they are.
	AppsDenied error
	Providers  []cloudflare.Named
	Tokens     []cloudflare.Named

	// Sent are the hostnames for which this host has sent rules, also where Cloudflare's
	// answer is not known. It is what remains of a run that ended before the records.
	Sent  map[string]bool
	Tried Tried
}

// Tried is what was changed since Cloudflare was looked at for the first time in a pass. None
// of it is tried again: where Cloudflare still has something else, it stays so until the next
// pass.
type Tried struct {
	Apps    map[string]error // by domain; nil for what Cloudflare took
	Records map[string]error // by hostname
	Rules   error            // why the rules were refused
}

// A Zone is one whose records were read.
type Zone struct {
	cloudflare.Zone
	Records []cloudflare.Record
	Denied  error // why they were not: the token may not
}

// zone returns the place of the zone that a hostname is in, the longest, or of the one that
// was asked for; less than 0 for none.
func (a Actual) zone(hostname, asked string) int {
	best := -1
	for i, z := range a.Zones {
		if z.Contains(hostname) && (asked == "" || asked == z.Name) && (best < 0 || len(z.Name) > len(a.Zones[best].Name)) {
			best = i
		}
	}
	return best
}

// app returns the application of a domain.
func (a Actual) app(domain string) (cloudflare.App, bool) {
	for _, app := range a.Apps {
		if app.Domain == domain {
			return app, true
		}
	}
	return cloudflare.App{}, false
}
