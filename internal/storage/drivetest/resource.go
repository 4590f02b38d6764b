package drivetest

import (
	"strconv"
	"time"
)

// A fileResource is a file as the API shows it.
type fileResource struct {
	Kind              string            `json:"kind"`
	ID                string            `json:"id"`
	Name              string            `json:"name"`
	MimeType          string            `json:"mimeType"`
	Description       string            `json:"description,omitempty"`
	Starred           bool              `json:"starred"`
	Trashed           bool              `json:"trashed"`
	ExplicitlyTrashed bool              `json:"explicitlyTrashed"`
	Parents           []string          `json:"parents,omitempty"`
	Spaces            []string          `json:"spaces"`
	Properties        map[string]string `json:"properties,omitempty"`
	AppProperties     map[string]string `json:"appProperties,omitempty"`
	Version           string            `json:"version"`
	CreatedTime       string            `json:"createdTime"`
	ModifiedTime      string            `json:"modifiedTime"`
	DriveID           string            `json:"driveId,omitempty"`
	TeamDriveID       string            `json:"teamDriveId,omitempty"`
	Owners            []userResource    `json:"owners,omitempty"`
	OwnedByMe         bool              `json:"ownedByMe"`
	WebViewLink       string            `json:"webViewLink"`
	Size              string            `json:"size,omitempty"`
	QuotaBytesUsed    string            `json:"quotaBytesUsed"`
	Md5Checksum       string            `json:"md5Checksum,omitempty"`
	Sha1Checksum      string            `json:"sha1Checksum,omitempty"`
	Sha256Checksum    string            `json:"sha256Checksum,omitempty"`

	// What is not here but may be asked for.
	ShortcutDetails  *struct{}         `json:"shortcutDetails,omitempty"`
	ExportLinks      map[string]string `json:"exportLinks,omitempty"`
	ResourceKey      string            `json:"resourceKey,omitempty"`
	SharedWithMeTime string            `json:"sharedWithMeTime,omitempty"`
}

type userResource struct {
	Kind         string `json:"kind"`
	DisplayName  string `json:"displayName"`
	EmailAddress string `json:"emailAddress"`
	Me           bool   `json:"me"`
	PermissionID string `json:"permissionId"`
}

const (
	fileDefaults = "kind,id,name,mimeType"
	timeFormat   = "2006-01-02T15:04:05.000Z"
)

func when(t time.Time) string { return t.UTC().Format(timeFormat) }

func (c *call) user(a *account) userResource {
	return userResource{Kind: "drive#user", DisplayName: a.email, EmailAddress: a.email, Me: a == c.by.account, PermissionID: a.root}
}

// file shows a node. The caller holds the lock.
func (c *call) file(n *node) fileResource {
	f := fileResource{
		Kind: "drive#file", ID: n.id, Name: n.name, MimeType: n.mime, Description: n.description, Starred: n.starred,
		Trashed: c.s.inTrash(n), ExplicitlyTrashed: n.trashed, Spaces: []string{"drive"},
		Properties: n.properties, AppProperties: n.appProperties, Version: strconv.FormatInt(n.version, 10),
		CreatedTime: when(n.created), ModifiedTime: when(n.modified), DriveID: n.drive, TeamDriveID: n.drive,
		WebViewLink: "https://drive.google.com/file/d/" + n.id + "/view", QuotaBytesUsed: "0",
	}
	if n.parent != "" {
		f.Parents = []string{n.parent}
	}
	if n.owner != nil {
		f.Owners, f.OwnedByMe = []userResource{c.user(n.owner)}, n.owner == c.by.account
	}
	if n.content != nil {
		f.Size = strconv.FormatInt(n.content.size, 10)
		f.QuotaBytesUsed = f.Size
		f.Md5Checksum, f.Sha1Checksum, f.Sha256Checksum = n.content.md5, n.content.sha1, n.content.sha256
	}
	return f
}
