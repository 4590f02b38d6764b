package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"salvor/internal/machine"
)

// statFormat is understood by GNU stat: raw mode in hex, owner, group, size,
// modification time with nanoseconds, name.
const statFormat = `%f\t%u\t%g\t%s\t%.9Y\t%n\n`

func readFiles(ctx context.Context, m machine.Machine, paths []string) (map[string]File, error) {
	if len(paths) == 0 {
		return map[string]File{}, nil
	}
	var out bytes.Buffer
	argv := append([]string{"stat", "--printf=" + statFormat, "--"}, paths...)
	_, err := m.Run(ctx, machine.Cmd{Argv: argv, Stdout: &out, Timeout: deadline})
	// stat ends with 1 when a path is missing, and still prints the others.
	if exit, ok := errors.AsType[*machine.ExitError](err); err != nil && (!ok || exit.Code != 1) {
		return nil, fmt.Errorf("look at files: %w", err)
	}
	files, err := ParseStat(out.Bytes())
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		if _, ok := files[p]; !ok {
			files[p] = File{} // known to be missing
		}
	}
	return files, nil
}

// ParseStat reads what GNU stat prints for statFormat, one line a file.
func ParseStat(out []byte) (map[string]File, error) {
	files := map[string]File{}
	for line := range strings.Lines(string(out)) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 6)
		if len(fields) != 6 {
			return nil, fmt.Errorf("stat: unexpected line %q", line)
		}
		f, err := parseStatFields(fields)
		if err != nil {
			return nil, fmt.Errorf("stat: line %q: %w", line, err)
		}
		files[fields[5]] = f
	}
	return files, nil
}

func parseStatFields(fields []string) (File, error) {
	raw, err := strconv.ParseUint(fields[0], 16, 32)
	if err != nil {
		return File{}, err
	}
	f := File{Exists: true, Mode: fileMode(uint32(raw))}
	if f.UID, err = strconv.Atoi(fields[1]); err != nil {
		return File{}, err
	}
	if f.GID, err = strconv.Atoi(fields[2]); err != nil {
		return File{}, err
	}
	if f.Size, err = strconv.ParseInt(fields[3], 10, 64); err != nil {
		return File{}, err
	}
	f.Modified, err = parseEpoch(fields[4])
	return f, err
}

func parseEpoch(s string) (time.Time, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || fraction == "" {
		return time.Unix(sec, 0).UTC(), err
	}
	nsec, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	return time.Unix(sec, nsec).UTC(), err
}

// fileMode turns st_mode of stat(2) into Go's.
func fileMode(raw uint32) fs.FileMode {
	mode := fs.FileMode(raw & 0o777)
	for bit, goBit := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if raw&bit != 0 {
			mode |= goBit
		}
	}
	switch raw & 0o170000 {
	case 0o100000:
	case 0o040000:
		mode |= fs.ModeDir
	case 0o120000:
		mode |= fs.ModeSymlink
	default:
		mode |= fs.ModeIrregular
	}
	return mode
}

// OctalMode writes permissions as chmod takes them: "0755", "1777".
func OctalMode(mode fs.FileMode) string {
	n := uint32(mode.Perm())
	if mode&fs.ModeSetuid != 0 {
		n |= 0o4000
	}
	if mode&fs.ModeSetgid != 0 {
		n |= 0o2000
	}
	if mode&fs.ModeSticky != 0 {
		n |= 0o1000
	}
	return fmt.Sprintf("%04o", n)
}
