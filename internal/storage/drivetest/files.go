package drivetest

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"
)

// metadata is what a request says about a file. A nil pointer: nothing.
type metadata struct {
	ID            string             `json:"id"`
	Name          *string            `json:"name"`
	MimeType      string             `json:"mimeType"`
	Parents       []string           `json:"parents"`
	Description   *string            `json:"description"`
	Starred       *bool              `json:"starred"`
	Trashed       *bool              `json:"trashed"`
	CreatedTime   *time.Time         `json:"createdTime"`
	ModifiedTime  *time.Time         `json:"modifiedTime"`
	Properties    map[string]*string `json:"properties"`
	AppProperties map[string]*string `json:"appProperties"`
}

// readMetadata reads a request's body, which may be empty.
func readMetadata(body io.Reader) (metadata, error) {
	var m metadata
	switch err := json.NewDecoder(body).Decode(&m); {
	case errors.Is(err, io.EOF):
		return m, nil
	case err != nil:
		return m, errParse
	case m.ID != "":
		return m, unknown("ids that the client chooses")
	}
	return m, nil
}

// metadata reads what a request says about a file, and what of it the answer shall have.
func (c *call) metadata() (metadata, selection, error) {
	sel, err := c.fields(fileResource{}, fileDefaults)
	if err != nil {
		return metadata{}, nil, err
	}
	m, err := readMetadata(c.r.Body)
	return m, sel, err
}

// apply writes what was said into a node. Nothing about its place.
func (m metadata) apply(n *node, now time.Time) {
	if m.Name != nil {
		n.name = *m.Name
	}
	if m.MimeType != "" {
		n.mime = m.MimeType
	}
	if m.Description != nil {
		n.description = *m.Description
	}
	if m.Starred != nil {
		n.starred = *m.Starred
	}
	if m.CreatedTime != nil {
		n.created = m.CreatedTime.UTC()
	}
	n.modified = now
	if m.ModifiedTime != nil {
		n.modified = m.ModifiedTime.UTC()
	}
	n.properties = withProperties(n.properties, m.Properties)
	n.appProperties = withProperties(n.appProperties, m.AppProperties)
}

// withProperties sets properties; null removes one.
func withProperties(old map[string]string, change map[string]*string) map[string]string {
	if len(change) == 0 {
		return old
	}
	all := maps.Clone(old)
	if all == nil {
		all = map[string]string{}
	}
	for key, value := range change {
		if value == nil {
			delete(all, key)
		} else {
			all[key] = *value
		}
	}
	return all
}

// create is files.create without content.
func (c *call) create() error {
	m, sel, err := c.metadata()
	if err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	n, err := c.make(m, nil)
	if err != nil {
		return err
	}
	return c.answer(c.file(n), sel)
}

// make puts a new file into its folder. The caller holds the lock.
func (c *call) make(m metadata, with *content) (*node, error) {
	parent, err := c.parentOf(m)
	if err != nil {
		return nil, err
	}
	n := &node{name: "Untitled", mime: "application/octet-stream", parent: parent.id, drive: parent.drive, client: c.by.client, created: c.s.now()}
	if n.drive == "" {
		n.owner = c.by.account
	}
	m.apply(n, c.s.now())
	if n.mime == folderType && with != nil {
		return nil, invalid("mimeType")
	}
	if with == nil && n.mime != folderType {
		if with, err = emptyContent(); err != nil {
			return nil, err
		}
	}
	if err := c.room(n, with); err != nil {
		return nil, err
	}
	c.s.add(n)
	n.unlisted = c.s.late
	c.s.replace(n, with)
	return n, nil
}

func emptyContent() (*content, error) {
	s, err := newSpool("")
	if err != nil {
		return nil, err
	}
	return s.finish()
}

// parentOf returns the folder that a new file goes into.
func (c *call) parentOf(m metadata) (*node, error) {
	if len(m.Parents) > 1 {
		return nil, errParents
	}
	id := "root"
	if len(m.Parents) == 1 {
		id = m.Parents[0]
	}
	return c.folder(id)
}

// folder returns a folder that the caller may write to.
func (c *call) folder(id string) (*node, error) {
	parent, err := c.node(id)
	switch {
	case err != nil:
		return nil, err
	case parent.mime != folderType:
		return nil, errNotFolder
	case c.s.role(c.by, parent) < Writer:
		return nil, errParent
	}
	return parent, nil
}

// room returns an error where the account, the shared drive or the day has no space left.
func (c *call) room(n *node, with *content) error {
	if d := c.s.drives[n.drive]; d != nil && c.s.nodes[n.id] == nil && d.items >= c.s.options.DriveItems {
		return errDriveItems
	}
	if with == nil {
		return nil
	}
	if err := c.space(n, with.size); err != nil {
		return err
	}
	a, now := c.by.account, c.s.now()
	if now.Sub(a.dayBegan) >= 24*time.Hour {
		a.dayBegan, a.today = now, 0
	}
	if a.today+with.size > c.s.options.DailyUpload {
		return ErrDailyUpload
	}
	a.today += with.size
	return nil
}

// space refuses a content for which the owner of a file has no storage.
func (c *call) space(n *node, bytes int64) error {
	switch o := n.owner; {
	case o == nil:
	case o.service:
		return errServiceQuota
	case o.limit > 0 && o.used-size(n.content)+bytes > o.limit:
		return ErrStorageFull
	}
	return nil
}

// update is files.update without content.
func (c *call) update() error {
	m, sel, err := c.metadata()
	if err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	n, err := c.change(c.r.PathValue("id"), m, nil)
	if err != nil {
		return err
	}
	return c.answer(c.file(n), sel)
}

// change alters a file, all or nothing: its place, what is said of it, and its content
// where there is one. The caller holds the lock.
func (c *call) change(id string, m metadata, with *content) (*node, error) {
	n, err := c.changeable(id, m)
	if err != nil {
		return nil, err
	}
	if m.MimeType != "" && (m.MimeType == folderType) != (n.mime == folderType) || with != nil && n.mime == folderType {
		return nil, invalid("mimeType")
	}
	to, err := c.destination(n)
	if err != nil {
		return nil, err
	}
	if with != nil {
		if err := c.room(n, with); err != nil {
			return nil, err
		}
		c.s.replace(n, with)
	}
	if to != nil {
		c.place(n, to)
	}
	modified := n.modified
	if with != nil {
		modified = c.s.now()
	}
	m.apply(n, modified)
	if m.Trashed != nil {
		n.trashed = *m.Trashed
	}
	n.version++
	c.s.changed(n, false)
	return n, nil
}

// changeable returns a file that the caller may change in this way.
func (c *call) changeable(id string, m metadata) (*node, error) {
	n, err := c.node(id)
	if err != nil {
		return nil, err
	}
	least := Writer
	if m.Trashed != nil || c.q.Get("addParents") != "" && n.drive != "" {
		least = ContentManager
	}
	switch {
	case m.Parents != nil:
		return nil, errParentsBody
	case c.s.isRoot(n), c.s.role(c.by, n) < least, m.Trashed != nil && n.drive == "" && n.owner != c.by.account:
		return nil, errPermission
	}
	return n, nil
}

// destination returns the folder that a file is moved to, nil if it stays.
func (c *call) destination(n *node) (*node, error) {
	add, remove := c.q.Get("addParents"), c.q.Get("removeParents")
	for id := range strings.SplitSeq(remove, ",") {
		if remove != "" && c.alias(id) != n.parent {
			return nil, notFound(id)
		}
	}
	switch {
	case add == "" && remove == "":
		return nil, nil //nolint:nilnil // it stays
	case add == "":
		return nil, errOneParent
	case strings.Contains(add, ","):
		return nil, errParents
	}
	to, err := c.folder(add)
	switch {
	case err != nil:
		return nil, err
	case c.s.within(to, n.id):
		return nil, errCycle
	case remove == "" && n.parent != "" && to.id != n.parent:
		return nil, errParents
	case to.drive != n.drive && n.mime == folderType:
		return nil, errFolderMove
	}
	return to, nil
}

// place moves a node to a folder, which may be on another drive.
func (c *call) place(n, to *node) {
	if to.drive != n.drive {
		with := n.content
		if n.owner != nil {
			n.owner.used -= size(with)
		}
		n.drive, n.owner = to.drive, nil
		if to.drive == "" {
			n.owner = c.by.account
			n.owner.used += size(with)
		}
	}
	c.s.move(n, to.id)
}

// delete is files.delete: past the trash, with all that is below.
func (c *call) delete() error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	n, err := c.node(c.r.PathValue("id"))
	switch {
	case err != nil:
		return err
	case c.s.isRoot(n), c.s.role(c.by, n) < Manager, n.drive == "" && n.owner != c.by.account:
		return errPermission
	}
	c.s.remove(n)
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// emptyTrash is files.emptyTrash.
func (c *call) emptyTrash() error {
	if c.by.onlyOwn() {
		return errScope
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	id := c.q.Get("driveId")
	if d := c.s.drives[id]; id != "" && (d == nil || d.members[c.by.account.email] < Manager) {
		return driveNotFound(id)
	}
	for _, n := range c.s.all() {
		if n.trashed && n.drive == id && (id != "" || n.owner == c.by.account) && c.s.nodes[n.id] != nil {
			c.s.remove(n)
		}
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
