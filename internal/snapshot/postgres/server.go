package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"salvor/internal/snapshot/method"
)

// Server is what a server must have in common with the one that was dumped.
type Server struct {
	Version   int    `json:"version"`   // as server_version_num
	User      string `json:"user"`      // "uid:gid" in the container
	Data      string `json:"data"`      // data folder in the container
	Bin       string `json:"bin"`       // folder of its programs there
	Superuser string `json:"superuser"` // the role that was made with it
	Checksums string `json:"checksums"` // "on" or "off"
	Segment   int64  `json:"segment"`   // of the log, MiB
	GroupRead bool   `json:"group_read,omitempty"`
	// Settings are those of extensions, and what decides which of them can be
	// made and how much can be loaded at once.
	Settings    map[string]string `json:"settings,omitempty"`
	Template    template          `json:"template"` // template0
	Tablespaces []tablespace      `json:"tablespaces,omitempty"`
	// LeftOut: tables are restored in the default tablespace, since theirs is outside
	// of the volume.
	LeftOut bool `json:"left_out,omitempty"`
	// LogAt is where the server keeps its log, outside of the volume. The one that
	// loads the dump keeps it in the data folder. "" for inside.
	LogAt string `json:"log_at,omitempty"`
}

// template is the locale of template0, from which databases are made. Releases
// differ in what they call it.
type template struct {
	Encoding string `json:"encoding"`
	Collate  string `json:"datcollate"`
	Ctype    string `json:"datctype"`
	Provider string `json:"datlocprovider,omitempty"` // c, i or b; since release 15
	ICU      string `json:"daticulocale,omitempty"`   // 15 and 16
	Locale   string `json:"datlocale,omitempty"`      // since 17
	Rules    string `json:"daticurules,omitempty"`    // since 16
}

type tablespace struct {
	Name     string `json:"name"`
	Location string `json:"location"`
}

const describeServer = `SELECT json_build_object(
 'version', current_setting('server_version_num')::int,
 'superuser', (SELECT rolname FROM pg_catalog.pg_roles WHERE oid = 10),
 'checksums', current_setting('data_checksums'),
 'segment', pg_size_bytes(current_setting('wal_segment_size')) / 1048576,
 'settings', (SELECT json_object_agg(name, setting) FROM pg_catalog.pg_settings
   WHERE (name LIKE '%.%' OR name IN ('shared_preload_libraries','dynamic_library_path','extension_control_path','max_locks_per_transaction'))
   AND source NOT IN ('default','client','session','database','user','database user','global')),
 'template', (SELECT (to_jsonb(d) || jsonb_build_object('encoding', pg_encoding_to_char(d.encoding)))::json FROM pg_catalog.pg_database d WHERE datname IN ('template0','template1') ORDER BY datname LIMIT 1),
 'tablespaces', (SELECT json_agg(json_build_object('name', spcname, 'location', pg_tablespace_location(oid)) ORDER BY spcname) FROM pg_catalog.pg_tablespace WHERE spcname NOT IN ('pg_default','pg_global')))`

// describe asks the server, and looks at its folders on this host.
func (s session) describe(ctx context.Context, v method.Volume) (server Server, folders method.Folders, err error) {
	rel, ok := v.Inside(s.at.Data)
	if !ok {
		return server, nil, fmt.Errorf("%w: in %s, not below %s", method.ErrElsewhere, s.at.Data, v.MountAt)
	}
	root, err := os.OpenRoot(v.Path) // no link of the container's leads out of its volume
	if err != nil {
		return server, nil, err
	}
	defer root.Close()
	if _, err := root.Stat(filepath.Join(rel, "PG_VERSION")); errors.Is(err, fs.ErrNotExist) {
		return server, nil, fmt.Errorf("%w: %s has no data folder at %s", method.ErrElsewhere, v.Path, rel)
	}
	if err := s.query(ctx, s.at.Database, describeServer, &server); err != nil {
		return server, nil, fmt.Errorf("describe the server: %w", err)
	}
	server.User, server.Data, server.Bin = s.user, s.at.Data, s.at.Bin
	if folders, err = method.FoldersOf(root, rel); err != nil {
		return server, nil, err
	}
	server.GroupRead = folders[len(folders)-1].Mode&0o050 == 0o050
	server.noteMoved(root, v, rel)
	return server, folders, nil
}

// noteMoved notes what comes back elsewhere, because another volume has it.
func (s *Server) noteMoved(root *os.Root, v method.Volume, rel string) {
	if to, err := root.Readlink(filepath.Join(rel, "pg_wal")); err == nil {
		if _, ok := v.Inside(to); !ok {
			s.LogAt = to
		}
	}
	s.LeftOut = slices.ContainsFunc(s.Tablespaces, func(t tablespace) bool {
		_, ok := v.Inside(t.Location)
		return !ok
	})
}
