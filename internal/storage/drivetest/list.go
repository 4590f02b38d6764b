package drivetest

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

type listResource struct {
	Kind             string         `json:"kind"`
	IncompleteSearch bool           `json:"incompleteSearch"`
	NextPageToken    string         `json:"nextPageToken,omitempty"`
	Files            []fileResource `json:"files"`
}

const (
	listDefaults = "kind,incompleteSearch,nextPageToken,files(" + fileDefaults + ")"
	mostFiles    = 1000
	fewFiles     = 100
)

// list is files.list.
func (c *call) list() error {
	sel, err := c.fields(listResource{}, listDefaults)
	if err != nil {
		return err
	}
	size, err := c.number("pageSize", fewFiles, mostFiles)
	if err != nil {
		return err
	}
	for _, parameter := range []string{"orderBy", "corpus", "includeLabels"} {
		if c.q.Get(parameter) != "" {
			return unknown("the parameter " + parameter)
		}
	}
	if spaces := c.q.Get("spaces"); spaces != "" && spaces != "drive" {
		return unknown("the space " + spaces)
	}
	var q query
	if text := c.q.Get("q"); text != "" {
		if q, err = parseQuery(text); err != nil {
			return err
		}
	}
	after, err := c.page()
	if err != nil {
		return err
	}
	c.s.mu.Lock()
	page, err := (&search{c, q}).find(after, size)
	c.s.mu.Unlock()
	if err != nil {
		return err
	}
	return c.answer(page, sel)
}

// A search is a call for the files that fit a query, nil for all.
type search struct {
	*call
	query query
}

// find returns a page of what fits a query. The caller holds the lock.
func (c *search) find(after int64, size int) (listResource, error) {
	page := listResource{Kind: "drive#fileList", Files: []fileResource{}}
	inCorpora, err := c.corpora()
	if err != nil {
		return page, err
	}
	if err := c.foldersExist(); err != nil {
		return page, err
	}
	for _, n := range c.candidates() {
		if n.order <= after || c.s.isRoot(n) || !inCorpora(n) || c.s.role(c.by, n) == noRole || c.query != nil && !c.query.matches(c.call, n) {
			continue
		}
		if n.unlisted > 0 {
			n.unlisted--
			continue
		}
		if len(page.Files) == size {
			page.NextPageToken = c.pageToken(after)
			break
		}
		page.Files = append(page.Files, c.file(n))
		after = n.order
	}
	return page, nil
}

// foldersExist refuses a query about a folder that the caller does not see.
func (c *search) foldersExist() error {
	var err error
	parents(c.query, func(id string) {
		if n := c.s.nodes[c.alias(id)]; n == nil || c.s.role(c.by, n) == noRole {
			err = notFound("")
		}
	})
	return err
}

// candidates returns what a query may be about, the oldest first.
func (c *search) candidates() []*node {
	var found []*node
	if c.query == nil {
		return c.s.all()
	}
	ids, known := c.query.folders()
	if !known {
		return c.s.all()
	}
	seen := map[string]bool{}
	for _, id := range ids {
		if id = c.alias(id); !seen[id] {
			seen[id] = true
			found = append(found, c.s.children[id]...)
		}
	}
	if len(seen) > 1 {
		slices.SortFunc(found, byAge)
	}
	return found
}

// corpora returns which files are searched.
func (c *search) corpora() (func(*node) bool, error) {
	all := c.is("includeItemsFromAllDrives") || c.is("includeTeamDriveItems")
	id := c.q.Get("driveId")
	if id == "" {
		id = c.q.Get("teamDriveId")
	}
	corpora := c.q.Get("corpora")
	switch {
	case all && !c.allDrives():
		return nil, errSupports
	case (id != "") != (corpora == "drive" || corpora == "teamDrive"):
		return nil, errDriveCorpora
	case !all && (id != "" || corpora == "allDrives"):
		return nil, errAllDrives
	}
	switch corpora {
	case "", "user", "allDrives":
		return func(n *node) bool { return n.drive == "" || all }, nil
	case "drive", "teamDrive":
		if d := c.s.drives[id]; d == nil || d.members[c.by.account.email] == noRole {
			return nil, driveNotFound(id)
		}
		return func(n *node) bool { return n.drive == id }, nil
	case "domain":
		return nil, unknown("corpora=domain")
	}
	return nil, invalid("corpora")
}

// A page token says after which file the next page begins, and is good for the same
// question only.
func (c *call) pageToken(after int64) string {
	return "~" + c.question() + "." + strconv.FormatInt(after, 36)
}

func (c *call) question() string {
	sum := sha256.Sum256([]byte(c.by.account.email + "\x00" + c.q.Get("q") + "\x00" + c.q.Get("driveId") + "\x00" + c.q.Get("corpora")))
	return hex.EncodeToString(sum[:8])
}

func (c *call) page() (after int64, err error) {
	token := c.q.Get("pageToken")
	if token == "" {
		return 0, nil
	}
	rest, ok := strings.CutPrefix(token, "~"+c.question()+".")
	if !ok {
		return 0, invalid("pageToken")
	}
	if after, err = strconv.ParseInt(rest, 36, 64); err != nil || after < 0 {
		return 0, invalid("pageToken")
	}
	return after, nil
}
