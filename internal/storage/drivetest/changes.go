package drivetest

import (
	"strconv"
)

// A change is an entry of the log that changes.list reads.
type change struct {
	id      string
	at      string
	gone    *node // what was deleted; nil while the file is there
	drive   string
	current bool // no later entry is about the same file
}

// changed adds to the log. The caller holds the lock.
func (t *tree) changed(n *node, removed bool) {
	if n.change > 0 {
		t.log[n.change-1].current = false
	}
	n.change = len(t.log) + 1
	entry := change{id: n.id, at: when(t.now()), drive: n.drive, current: true}
	if removed {
		entry.gone = n
	}
	t.log = append(t.log, entry)
}

type changeResource struct {
	Kind       string        `json:"kind"`
	Type       string        `json:"type"`
	ChangeType string        `json:"changeType"`
	Time       string        `json:"time"`
	Removed    bool          `json:"removed"`
	FileID     string        `json:"fileId"`
	DriveID    string        `json:"driveId,omitempty"`
	File       *fileResource `json:"file,omitempty"`
}

type changesResource struct {
	Kind              string           `json:"kind"`
	NextPageToken     string           `json:"nextPageToken,omitempty"`
	NewStartPageToken string           `json:"newStartPageToken,omitempty"`
	Changes           []changeResource `json:"changes"`
}

type startResource struct {
	Kind           string `json:"kind"`
	StartPageToken string `json:"startPageToken"`
}

const changesDefaults = "kind,nextPageToken,newStartPageToken,changes(kind,type,changeType,time,removed,fileId,driveId,file(" + fileDefaults + "))"

// changesStart is changes.getStartPageToken.
func (c *call) changesStart() error {
	sel, err := c.fields(startResource{}, "*")
	if err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if err := c.changesOf(); err != nil {
		return err
	}
	return c.answer(startResource{"drive#startPageToken", strconv.Itoa(len(c.s.log) + 1)}, sel)
}

// changesOf refuses a drive that the caller does not see.
func (c *call) changesOf() error {
	id := c.q.Get("driveId")
	if d := c.s.drives[id]; id != "" && (d == nil || d.members[c.by.account.email] == noRole || !c.allDrives()) {
		return driveNotFound(id)
	}
	return nil
}

// changesList is changes.list.
func (c *call) changesList() error {
	sel, err := c.fields(changesResource{}, changesDefaults)
	if err != nil {
		return err
	}
	size, err := c.number("pageSize", fewFiles, mostFiles)
	if err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if err := c.changesOf(); err != nil {
		return err
	}
	next, err := strconv.Atoi(c.q.Get("pageToken"))
	if err != nil || next < 1 || next > len(c.s.log)+1 {
		return invalid("pageToken")
	}
	page := changesResource{Kind: "drive#changeList", Changes: []changeResource{}}
	for ; next <= len(c.s.log) && len(page.Changes) < size; next++ {
		if shown, ok := c.shown(c.s.log[next-1]); ok {
			page.Changes = append(page.Changes, shown)
		}
	}
	if next > len(c.s.log) {
		page.NewStartPageToken = strconv.Itoa(next)
	} else {
		page.NextPageToken = strconv.Itoa(next)
	}
	return c.answer(page, sel)
}

// shown returns an entry of the log as the caller sees it, if at all.
func (c *call) shown(entry change) (changeResource, bool) {
	n := c.s.nodes[entry.id]
	if entry.gone != nil {
		n = entry.gone
	}
	id, all := c.q.Get("driveId"), c.is("includeItemsFromAllDrives")
	switch {
	case !entry.current || n == nil || c.s.isRoot(n) || c.s.role(c.by, n) == noRole,
		id != "" && entry.drive != id,
		id == "" && entry.drive != "" && !all,
		id == "" && c.is("restrictToMyDrive") && n.owner != c.by.account,
		entry.gone != nil && c.q.Get("includeRemoved") == "false":
		return changeResource{}, false
	}
	shown := changeResource{Kind: "drive#change", Type: "file", ChangeType: "file", Time: entry.at, FileID: entry.id, DriveID: entry.drive, Removed: entry.gone != nil}
	if entry.gone == nil {
		file := c.file(n)
		shown.File = &file
	}
	return shown, true
}
