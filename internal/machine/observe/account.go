package observe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A User is a line of passwd(5).
type User struct {
	Name  string
	UID   int
	GID   int
	Home  string
	Shell string
}

// A Group is a line of group(5).
type Group struct {
	Name    string
	GID     int
	Members []string
}

// ParsePasswd reads passwd(5).
func ParsePasswd(content []byte) (map[string]User, error) {
	users := map[string]User{}
	err := eachEntry(content, 7, func(f []string) error {
		uid, err := strconv.Atoi(f[2])
		if err != nil {
			return err
		}
		gid, err := strconv.Atoi(f[3])
		users[f[0]] = User{Name: f[0], UID: uid, GID: gid, Home: f[5], Shell: f[6]}
		return err
	})
	return users, wrapFile("passwd", err)
}

// ParseGroup reads group(5).
func ParseGroup(content []byte) (map[string]Group, error) {
	groups := map[string]Group{}
	err := eachEntry(content, 4, func(f []string) error {
		gid, err := strconv.Atoi(f[2])
		members := slices.DeleteFunc(strings.Split(f[3], ","), func(m string) bool { return m == "" })
		groups[f[0]] = Group{Name: f[0], GID: gid, Members: members}
		return err
	})
	return groups, wrapFile("group", err)
}

// eachEntry skips comments, empty lines and NIS compat entries ("+…").
func eachEntry(content []byte, fields int, entry func([]string) error) error {
	for line := range strings.SplitSeq(string(content), "\n") {
		if line == "" || strings.ContainsRune("#+-", rune(line[0])) {
			continue
		}
		f := strings.Split(line, ":")
		if len(f) != fields {
			return fmt.Errorf("unexpected line %q", line)
		}
		if err := entry(f); err != nil {
			return fmt.Errorf("line %q: %w", line, err)
		}
	}
	return nil
}

func wrapFile(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("/etc/%s: %w", name, err)
}
