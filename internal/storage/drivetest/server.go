package drivetest

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Options are what differs between servers. The zero value is a Drive in memory, on the
// real clock, with Google's limits.
type Options struct {
	Now         func() time.Time // nil: time.Now
	Dir         string           // where contents are kept; "": in memory
	Seed        uint64           // of ids and of faults that strike at random
	DailyUpload int64            // bytes that an account may upload in 24 hours; 0: 750 GB
	DriveItems  int              // files and folders on a shared drive; 0: 500,000
	DevicePace  time.Duration    // at which a device may ask for its answer, in whole seconds; 0: 5 s
}

const (
	dailyUpload = 750_000_000_000
	driveItems  = 500_000
)

// Hosts returns the names under which Google serves what this package emulates.
func Hosts() []string {
	return []string{apiHost, "oauth2.googleapis.com", "accounts.google.com"}
}

const apiHost = "www.googleapis.com"

// A Server is a Google Drive with its accounts. It is safe for concurrent use.
type Server struct {
	options Options
	mux     *http.ServeMux

	mu sync.Mutex // guards everything below, and every node, account and grant
	*source
	tree
	logins
	uploads map[string]*upload
	late    int // listings that leave a new file out

	counts Counts
	calls  []string
	faults []*Struck
}

// New returns a server without accounts.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.DailyUpload == 0 {
		o.DailyUpload = dailyUpload
	}
	if o.DriveItems == 0 {
		o.DriveItems = driveItems
	}
	if o.DevicePace == 0 {
		o.DevicePace = devicePace
	}
	from := &source{clock: o.Now, random: rand.New(rand.NewPCG(o.Seed, 0))}
	s := &Server{
		options: o, mux: http.NewServeMux(), source: from, counts: Counts{}, uploads: map[string]*upload{},
		tree: tree{source: from, nodes: map[string]*node{}, children: map[string][]*node{}, drives: map[string]*sharedDrive{}},
	}
	s.logins = newLogins(from, &s.mu, o.DevicePace)
	s.routes()
	return s
}

// ServeHTTP implements http.Handler for all the Hosts.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) routes() {
	const api, upload = apiHost + "/drive/v3", apiHost + "/upload/drive/v3"
	s.api("GET "+api+"/files", fixed(List), reads, (*call).list)
	s.api("GET "+api+"/files/{id}", getKind, reads, (*call).get)
	s.api("POST "+api+"/files", fixed(Create), writes, (*call).create)
	s.api("PATCH "+api+"/files/{id}", fixed(Update), writes, (*call).update)
	s.api("DELETE "+api+"/files/{id}", fixed(Delete), writes, (*call).delete)
	s.api("DELETE "+api+"/files/trash", fixed(EmptyTrash), writes, (*call).emptyTrash)
	s.api("GET "+api+"/about", fixed(About), reads, (*call).about)
	s.api("GET "+api+"/changes/startPageToken", fixed(ChangesStart), reads, (*call).changesStart)
	s.api("GET "+api+"/changes", fixed(ChangesList), reads, (*call).changesList)
	s.api("GET "+api+"/drives", fixed(DrivesList), reads, (*call).drivesList)
	s.api("GET "+api+"/drives/{id}", fixed(DrivesGet), reads, (*call).drivesGet)
	s.api("POST "+upload+"/files", uploadKind, writes, (*call).upload)
	s.api("PUT "+upload+"/files", fixed(UploadChunk), writes, (*call).upload)
	s.api("PATCH "+upload+"/files/{id}", uploadKind, writes, (*call).upload)
	s.api("PUT "+upload+"/files/{id}", fixed(UploadChunk), writes, (*call).upload)
	s.api("POST "+upload+"/files/{id}", fixed(UploadChunk), writes, (*call).upload)

	s.handle("POST oauth2.googleapis.com/token", fixed(Token), s.token)
	s.handle("POST oauth2.googleapis.com/revoke", fixed(Revoke), s.revoke)
	s.handle("POST oauth2.googleapis.com/device/code", fixed(DeviceCode), s.deviceCode)
	s.handle("GET accounts.google.com/o/oauth2/auth", fixed(Consent), s.consent)
	s.handle("GET accounts.google.com/o/oauth2/v2/auth", fixed(Consent), s.consent)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { unknown(r.Method + " " + r.Host + r.URL.Path).write(w) })
}

func fixed(kind string) func(*http.Request) string {
	return func(*http.Request) string { return kind }
}

// handle counts the calls of a route and lets faults strike them.
func (s *Server) handle(pattern string, kind func(*http.Request) string, serve http.HandlerFunc) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if fault := s.arrives(kind(r)); fault != nil {
			fault(serve).ServeHTTP(w, r)
			return
		}
		serve(w, r)
	})
}

// Accounts. What these methods make is there at once; ids are returned.

// Account makes a person's account with so many bytes of storage, 0 for unlimited, and
// returns the id of its My Drive.
func (s *Server) Account(email string, limit int64) (root string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.account(&account{email: email, limit: limit}).root
}

func (s *Server) account(a *account) *account {
	s.accounts[a.email] = a
	a.root = "0A" + s.text(13) + "PVA"
	s.add(&node{id: a.root, name: "My Drive", mime: folderType, owner: a, created: s.now(), modified: s.now()})
	return a
}

// SetLimit changes how many bytes an account may store.
func (s *Server) SetLimit(email string, limit int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[email].limit = limit
}

// SharedDrive makes a shared drive and returns its id, which is that of its root, too.
func (s *Server) SharedDrive(name string, members map[string]Role) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &sharedDrive{id: "0A" + s.text(13) + "9PVA", name: name, created: s.now(), members: maps.Clone(members)}
	s.drives[d.id] = d
	s.add(&node{id: d.id, name: name, mime: folderType, drive: d.id, created: s.now(), modified: s.now()})
	d.items = 0
	return d.id
}

// Share lets an account use a file or folder of another one.
func (s *Server) Share(id, email string, as Role) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nodes[id]
	if n.shared == nil {
		n.shared = map[string]Role{}
	}
	n.shared[email] = as
}

// MakeFolder makes a folder in another one, as a person does in the browser: no app
// with the scope drive.file sees it.
func (s *Server) MakeFolder(parent, name string) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	above := s.nodes[parent]
	return s.add(&node{name: name, mime: folderType, parent: parent, drive: above.drive, owner: above.owner, created: s.now(), modified: s.now()}).id
}

// MakeFile makes a file in a folder, as a person does in the browser.
func (s *Server) MakeFile(parent, name string, data []byte) (id string, err error) {
	content, err := s.contentOf(data)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	above := s.nodes[parent]
	n := s.add(&node{name: name, mime: "application/octet-stream", parent: parent, drive: above.drive, owner: above.owner, created: s.now(), modified: s.now()})
	s.replace(n, content)
	return n.id, nil
}

// Damage gives a file another content, as no one does: its times stay what they were.
func (s *Server) Damage(id string, data []byte) error {
	content, err := s.contentOf(data)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nodes[id]
	if n == nil {
		content.drop()
		return notFound(id)
	}
	s.replace(n, content)
	return nil
}

func (s *Server) contentOf(data []byte) (*content, error) {
	kept, err := newSpool(s.options.Dir)
	if err != nil {
		return nil, err
	}
	if _, err := kept.Write(data); err != nil {
		kept.discard()
		return nil, err
	}
	return kept.finish()
}

// ListLate leaves each file that is made from now on out of so many listings that it
// belongs in. Its id finds it at once.
func (s *Server) ListLate(listings int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = listings
}
