package drivetest

import (
	"maps"
	"slices"
	"strconv"
)

type aboutResource struct {
	Kind            string              `json:"kind"`
	User            userResource        `json:"user"`
	StorageQuota    quotaResource       `json:"storageQuota"`
	ImportFormats   map[string][]string `json:"importFormats"`
	ExportFormats   map[string][]string `json:"exportFormats"`
	MaxUploadSize   string              `json:"maxUploadSize"`
	CanCreateDrives bool                `json:"canCreateDrives"`
}

type quotaResource struct {
	Limit             string `json:"limit,omitempty"`
	Usage             string `json:"usage"`
	UsageInDrive      string `json:"usageInDrive"`
	UsageInDriveTrash string `json:"usageInDriveTrash"`
}

const maxUpload = 5 << 40

// about is about.get, whose fields must be named.
func (c *call) about() error {
	if c.q.Get("fields") == "" {
		return &Refusal{Code: 400, Reason: "required", Message: "The 'fields' parameter is required for this method.", locationType: "parameter", location: "fields"}
	}
	sel, err := c.fields(aboutResource{}, "")
	if err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	a := c.by.account
	inTrash := int64(0)
	for _, n := range c.s.nodes {
		if n.owner == a && c.s.inTrash(n) {
			inTrash += size(n.content)
		}
	}
	used := strconv.FormatInt(a.used, 10)
	about := aboutResource{
		Kind: "drive#about", User: c.user(a), MaxUploadSize: strconv.FormatInt(maxUpload, 10),
		StorageQuota: quotaResource{Usage: used, UsageInDrive: used, UsageInDriveTrash: strconv.FormatInt(inTrash, 10)},
	}
	if a.limit > 0 || a.service {
		about.StorageQuota.Limit = strconv.FormatInt(a.limit, 10)
	}
	return c.answer(about, sel)
}

type driveResource struct {
	Kind         string            `json:"kind"`
	ID           string            `json:"id"`
	Name         string            `json:"name"`
	CreatedTime  string            `json:"createdTime"`
	Hidden       bool              `json:"hidden"`
	Capabilities capabilities      `json:"capabilities"`
	Restrictions driveRestrictions `json:"restrictions"`
}

type capabilities struct {
	CanAddChildren    bool `json:"canAddChildren"`
	CanDeleteChildren bool `json:"canDeleteChildren"`
	CanTrashChildren  bool `json:"canTrashChildren"`
	CanListChildren   bool `json:"canListChildren"`
	CanEdit           bool `json:"canEdit"`
}

type driveRestrictions struct {
	DriveMembersOnly bool `json:"driveMembersOnly"`
	DomainUsersOnly  bool `json:"domainUsersOnly"`
}

type drivesResource struct {
	Kind          string          `json:"kind"`
	NextPageToken string          `json:"nextPageToken,omitempty"`
	Drives        []driveResource `json:"drives"`
}

const (
	driveDefaults  = "kind,id,name"
	drivesDefaults = "kind,nextPageToken,drives(" + driveDefaults + ")"
	mostDrives     = 100
	fewDrives      = 10
)

func (c *call) drive(d *sharedDrive) driveResource {
	as := d.members[c.by.account.email]
	return driveResource{
		Kind: "drive#drive", ID: d.id, Name: d.name, CreatedTime: when(d.created),
		Capabilities: capabilities{as >= Writer, as >= Manager, as >= ContentManager, as >= Reader, as >= Writer},
	}
}

// drivesGet is drives.get.
func (c *call) drivesGet() error {
	sel, err := c.fields(driveResource{}, driveDefaults)
	if err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	id := c.r.PathValue("id")
	d := c.s.drives[id]
	if c.by.onlyOwn() {
		return errScope
	}
	if d == nil || d.members[c.by.account.email] == noRole {
		return driveNotFound(id)
	}
	return c.answer(c.drive(d), sel)
}

// drivesList is drives.list.
func (c *call) drivesList() error {
	sel, err := c.fields(drivesResource{}, drivesDefaults)
	if err != nil {
		return err
	}
	size, err := c.number("pageSize", fewDrives, mostDrives)
	if err != nil {
		return err
	}
	if c.q.Get("q") != "" {
		return unknown("a search for shared drives")
	}
	if c.by.onlyOwn() {
		return errScope
	}
	after, err := c.page()
	if err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	page := drivesResource{Kind: "drive#driveList", Drives: []driveResource{}}
	for i, id := range slices.Sorted(maps.Keys(c.s.drives)) {
		d := c.s.drives[id]
		if int64(i) < after || d.members[c.by.account.email] == noRole {
			continue
		}
		if len(page.Drives) == size {
			page.NextPageToken = c.pageToken(int64(i))
			break
		}
		page.Drives = append(page.Drives, c.drive(d))
	}
	return c.answer(page, sel)
}
