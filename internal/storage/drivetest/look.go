package drivetest

import (
	"io"
	"path"
)

// An Entry is a file as a test looks at it, past the API.
type Entry struct {
	Path    string // below the folder that was looked into
	ID      string
	Size    int64
	SHA256  string
	Trashed bool
}

// Look returns the files below a folder, also those in the trash, with their folders'
// names in their paths.
func (s *Server) Look(folder string) []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.look(folder, "")
}

func (t *tree) look(folder, above string) []Entry {
	var found []Entry
	for _, n := range t.children[folder] {
		at := path.Join(above, n.name)
		if n.content == nil {
			found = append(found, t.look(n.id, at)...)
			continue
		}
		found = append(found, Entry{at, n.id, n.content.size, n.content.sha256, t.inTrash(n)})
	}
	return found
}

// Open opens what a file holds.
func (s *Server) Open(id string) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nodes[id]
	if n == nil {
		return nil, notFound(id)
	}
	body, _, err := open(n)
	return body, err
}

// Content returns what a file holds.
func (s *Server) Content(id string) ([]byte, error) {
	body, err := s.Open(id)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}
