package mariadb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/snapshot/method"
)

// Server is what a server must have in common with the one that was dumped.
type Server struct {
	Version  string            `json:"version"` // as @@version: "10.11.6-MariaDB-1"
	User     string            `json:"user"`    // "uid:gid" in the container
	Data     string            `json:"data"`    // data folder in the container
	Program  string            `json:"program"` // the server's, there
	Client   string            `json:"client"`
	Dump     string            `json:"dump"`
	Install  string            `json:"install,omitempty"` // makes a data folder; "" where Program does
	Settings map[string]string `json:"settings"`          // of files on disk, and those that decide what can be loaded
}

// isMariaDB reports whether the server is MariaDB and not MySQL.
func (s Server) isMariaDB() bool { return strings.Contains(s.Version, "MariaDB") }

// atLeast compares the server's version.
func (s Server) atLeast(major, minor int) bool {
	first, rest, _ := strings.Cut(s.Version, ".")
	second, _, _ := strings.Cut(rest, ".")
	is, err := strconv.Atoi(first)
	isMinor, err2 := strconv.Atoi(second)
	return err == nil && err2 == nil && (is > major || is == major && isMinor >= minor)
}

// settings are those that the server which loads a dump has, too.
var settings = []string{
	"lower_case_table_names", "innodb_page_size", "innodb_log_file_size", "innodb_data_file_path", "innodb_undo_tablespaces", "innodb_default_row_format",
	"innodb_checksum_algorithm", "innodb_file_per_table", "character_set_server", "collation_server",
}

// places are settings of where a server keeps what belongs to its data folder.
var places = []string{"innodb_data_home_dir", "innodb_log_group_home_dir", "innodb_undo_directory", "aria_log_dir_path"}

// describe asks the server, and looks at its folders on this host.
func (s *session) describe(ctx context.Context, v method.Volume) (method.Folders, error) {
	names := slices.Concat([]string{"version", "datadir"}, settings, places)
	lines, err := s.query(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('"+strings.Join(names, "', '")+"');\n")
	if err != nil {
		return nil, fmt.Errorf("describe the server: %w", err)
	}
	is := map[string]string{}
	for _, f := range lines {
		if len(f) == 2 {
			is[f[0]] = f[1]
		}
	}
	s.server.Version, s.server.Data, s.server.Settings = is["version"], path.Clean(is["datadir"]), map[string]string{}
	for _, name := range settings {
		if value, ok := is[name]; ok {
			s.server.Settings[name] = value
		}
	}
	rel, ok := v.Inside(s.server.Data)
	if !ok {
		return nil, fmt.Errorf("%w: in %s, not below %s", method.ErrElsewhere, s.server.Data, v.MountAt)
	}
	for _, name := range places {
		if at := is[name]; path.IsAbs(at) && path.Clean(at) != s.server.Data {
			return nil, fmt.Errorf("%s is %s: a dump is only restored into the data folder", name, at)
		}
	}
	root, err := os.OpenRoot(v.Path) // no link of the container's leads out of its volume
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if _, err := root.Stat(filepath.Join(rel, system)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no data folder at %s", method.ErrElsewhere, v.Path, rel)
	}
	return method.FoldersOf(root, rel)
}

// loadSocket is the socket of the server that loads a dump, in its data folder.
const loadSocket = "salvor.sock"

// start is a server on a folder that is fresh or that it made. It has the settings of the
// one that was dumped that its files depend on, and no others: those may listen, or start
// events.
func (m Manifest) start(proof bool) method.Start {
	s := m.Server
	common := []string{"--no-defaults", "--datadir=" + s.Data}
	for _, name := range slices.Sorted(maps.Keys(s.Settings)) {
		common = append(common, "--loose-"+strings.ReplaceAll(name, "_", "-")+"="+s.Settings[name])
	}
	server := slices.Concat([]string{s.Program}, common, []string{
		"--socket=" + path.Join(s.Data, loadSocket), "--pid-file=" + path.Join(s.Data, "salvor.pid"), "--skip-networking", "--skip-log-bin", "--event-scheduler=OFF", "--max-allowed-packet=1G",
		"--innodb-strict-mode=OFF", "--innodb-flush-log-at-trx-commit=0", // its end makes all durable
	})
	made := append([]string{s.Program}, append(common, "--initialize-insecure")...)
	if s.Install != "" && s.isMariaDB() {
		made = append([]string{s.Install}, append(common, "--skip-test-db", "--skip-name-resolve")...)
		if s.atLeast(10, 4) {
			made = append(made, "--auth-root-authentication-method=normal")
		}
	}
	if proof {
		server, made = append(server, "--innodb-flush-method=nosync"), append(made, "--innodb-flush-method=nosync")
	}
	script := "set -e\n[ -d " + method.Word(path.Join(s.Data, system)) + " ] || " + method.Words(made) + " >/dev/null\nexec " + method.Words(server)
	return method.Start{
		User: s.User, MountAt: m.MountAt, Argv: []string{shell, "-c", script},
		Healthy: []string{s.Client, "--no-defaults", "--socket=" + path.Join(s.Data, loadSocket), "--user=root", "--execute=SELECT 1"},
		Stop:    "SIGTERM", Proof: proof,
	}
}
