package hostpath

import "path/filepath"

// Publishing are the files about a host's public hostnames.
type Publishing struct {
	Note   string // what the host needs to take them off
	Sent   string // those that it has sent rules for
	Seen   string // how they were at its newest look
	Watch  string // since when services are without a container
	Socket string // where the daemon takes what applies announce
}

// PublishingOf returns a host's.
func PublishingOf(l Layout) Publishing {
	return Publishing{
		Note: filepath.Join(l.State, "routes", "published.json"), Sent: filepath.Join(l.State, "routes", "sent.json"),
		Seen: filepath.Join(l.Run, "routes.json"), Watch: filepath.Join(l.Run, "routes-watch.json"), Socket: filepath.Join(l.Run, "routes.sock"),
	}
}
