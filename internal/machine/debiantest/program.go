package debiantest

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/machine"
)

// dispatch runs a program. Arguments beyond options are taken as the program takes
// them; options that change nothing here are skipped.
func (h *Host) dispatch(c machine.Cmd) (string, error) {
	if program, ok := h.Programs[path.Base(c.Argv[0])]; ok {
		return program(h, c)
	}
	programs := map[string]func(machine.Cmd) (string, error){
		"stat": h.stat, "mkdir": h.mkdir, "chown": h.chown, "chmod": h.chmod, "mv": h.mv, "tee": h.tee, "touch": h.touch,
		"env": h.env, "test": h.test, "systemctl": systemd{h}.systemctl, "dpkg": h.dpkg, "apt-get": h.aptGet,
		sshdProgram: sshd{h}.run, "ss": sshd{h}.listening, "grep": sshd{h}.grep, "rm": sshd{h}.rm, "nft": nftables{h}.run, "unshare": nftables{h}.unshare,
		"useradd": h.useradd, "usermod": h.usermod, "groupadd": h.groupadd, "gpasswd": h.gpasswd,
	}
	program, ok := programs[c.Argv[0]]
	if !ok {
		return "", exit(c, 127, c.Argv[0]+": command not found")
	}
	return program(c)
}

// operands returns what follows "--", or else the arguments that are not options.
func operands(argv []string) []string {
	var plain []string
	for i, arg := range argv[1:] {
		if arg == "--" {
			return argv[i+2:]
		}
		if !strings.HasPrefix(arg, "-") {
			plain = append(plain, arg)
		}
	}
	return plain
}

// option returns the value that follows a long option.
func option(argv []string, name string) string {
	for i, arg := range argv[:len(argv)-1] {
		if arg == name {
			return argv[i+1]
		}
	}
	return ""
}

func (h *Host) stat(c machine.Cmd) (string, error) {
	var b strings.Builder
	var err error
	for _, name := range operands(c.Argv) {
		n := h.nodes[name]
		if n == nil {
			err = exit(c, 1, "stat: cannot statx '"+name+"': No such file or directory")
			continue
		}
		kind := uint32(0o100000)
		if n.mode.IsDir() {
			kind = 0o040000
		}
		fmt.Fprintf(&b, "%x\t%d\t%d\t%d\t%d.%09d\t%s\n", kind|uint32(n.mode.Perm()), h.id("/etc/passwd", n.owner), h.id("/etc/group", n.group),
			len(n.content), n.modified.Unix(), n.modified.Nanosecond(), name)
	}
	return b.String(), err
}

// id looks a name up in passwd or group, -1 for none.
func (h *Host) id(file, name string) int {
	for line := range strings.Lines(string(h.nodes[file].content)) {
		if f := strings.Split(line, ":"); f[0] == name {
			n, err := strconv.Atoi(f[2])
			if err != nil {
				return -1
			}
			return n
		}
	}
	return -1
}

func (h *Host) mkdir(c machine.Cmd) (string, error) {
	name := operands(c.Argv)[0]
	mode, err := strconv.ParseUint(option(c.Argv, "-m"), 8, 32)
	if err != nil {
		return "", exit(c, 1, err.Error())
	}
	if made := h.nodes[name]; made != nil && made.mode.IsDir() && slices.Contains(c.Argv, "-p") {
		return "", nil
	}
	if h.nodes[path.Dir(name)] == nil || h.nodes[name] != nil {
		return "", exit(c, 1, "mkdir: cannot create directory '"+name+"'")
	}
	h.nodes[name] = &node{mode: fs.ModeDir | fs.FileMode(mode), owner: "root", group: "root", modified: h.tick()}
	return "", nil
}

func (h *Host) chown(c machine.Cmd) (string, error) {
	args := operands(c.Argv)
	owner, group, _ := strings.Cut(args[0], ":")
	n := h.nodes[args[1]]
	if n == nil || h.id("/etc/passwd", owner) < 0 || h.id("/etc/group", group) < 0 {
		return "", exit(c, 1, "chown: invalid user or file: '"+args[0]+"'")
	}
	n.owner, n.group = owner, group
	return "", nil
}

func (h *Host) chmod(c machine.Cmd) (string, error) {
	args := operands(c.Argv)
	mode, err := strconv.ParseUint(args[0], 8, 32)
	n := h.nodes[args[1]]
	if n == nil || err != nil {
		return "", exit(c, 1, "chmod: cannot access '"+args[1]+"'")
	}
	n.mode = n.mode.Type() | fs.FileMode(mode)
	return "", nil
}

func (h *Host) mv(c machine.Cmd) (string, error) {
	args := operands(c.Argv)
	n := h.nodes[args[0]]
	if n == nil {
		return "", exit(c, 1, "mv: cannot stat '"+args[0]+"'")
	}
	delete(h.nodes, args[0])
	h.nodes[args[1]] = n
	return "", nil
}

func (h *Host) tee(c machine.Cmd) (string, error) {
	content, err := io.ReadAll(c.Stdin)
	if err != nil {
		return "", err
	}
	n := h.nodes[operands(c.Argv)[0]]
	if n == nil {
		return "", exit(c, 1, "tee: no such file")
	}
	n.content, n.modified = content, h.tick()
	return string(content), nil
}

func (h *Host) touch(c machine.Cmd) (string, error) {
	if n := h.nodes[operands(c.Argv)[0]]; n != nil {
		n.modified = h.tick()
	}
	return "", nil
}

func (h *Host) env(c machine.Cmd) (string, error) {
	inner := c
	inner.Argv = c.Argv[1:]
	return h.dispatch(inner)
}

// test knows `test -e PATH`.
func (h *Host) test(c machine.Cmd) (string, error) {
	if h.nodes[c.Argv[2]] == nil {
		return "", exit(c, 1, "")
	}
	return "", nil
}

func (h *Host) groupadd(c machine.Cmd) (string, error) {
	return "", h.addGroup(c, operands(c.Argv)[0], option(c.Argv, "--gid"))
}

func (h *Host) addGroup(c machine.Cmd, name, gid string) error {
	groups := h.nodes["/etc/group"]
	if h.id("/etc/group", name) >= 0 {
		return exit(c, 9, "groupadd: group '"+name+"' already exists")
	}
	if gid == "" {
		gid = strconv.Itoa(900 + strings.Count(string(groups.content), "\n"))
	}
	groups.content = append(groups.content, name+":x:"+gid+":\n"...)
	return nil
}

func (h *Host) useradd(c machine.Cmd) (string, error) {
	name := operands(c.Argv)[0]
	if h.id("/etc/passwd", name) >= 0 {
		return "", exit(c, 9, "useradd: user '"+name+"' already exists")
	}
	if err := h.addGroup(c, name, option(c.Argv, "--uid")); err != nil {
		return "", err
	}
	home, shell := option(c.Argv, "--home-dir"), option(c.Argv, "--shell")
	if home == "" {
		home = "/home/" + name
	}
	if shell == "" {
		shell = "/bin/sh"
	}
	id := strconv.Itoa(h.id("/etc/group", name))
	users := h.nodes["/etc/passwd"]
	users.content = append(users.content, strings.Join([]string{name, "x", id, id, "", home, shell}, ":")+"\n"...)
	return "", h.join(c, name, option(c.Argv, "--groups"))
}

func (h *Host) usermod(c machine.Cmd) (string, error) {
	name := operands(c.Argv)[0]
	users := h.nodes["/etc/passwd"]
	lines := strings.Split(string(users.content), "\n")
	for i, line := range lines {
		f := strings.Split(line, ":")
		if f[0] != name {
			continue
		}
		if home := option(c.Argv, "--home"); home != "" {
			f[5] = home
		}
		if shell := option(c.Argv, "--shell"); shell != "" {
			f[6] = shell
		}
		lines[i] = strings.Join(f, ":")
	}
	users.content = []byte(strings.Join(lines, "\n"))
	return "", h.join(c, name, option(c.Argv, "--groups"))
}

// gpasswd knows `gpasswd --members USERS GROUP`.
func (h *Host) gpasswd(c machine.Cmd) (string, error) {
	name := c.Argv[len(c.Argv)-1]
	file := h.nodes["/etc/group"]
	lines := strings.Split(string(file.content), "\n")
	for i, line := range lines {
		if f := strings.Split(line, ":"); f[0] == name {
			f[3] = option(c.Argv, "--members")
			lines[i] = strings.Join(f, ":")
			file.content = []byte(strings.Join(lines, "\n"))
			return "", nil
		}
	}
	return "", exit(c, 3, "gpasswd: group '"+name+"' does not exist in /etc/group")
}

// join puts a user into groups, comma-separated.
func (h *Host) join(c machine.Cmd, user, groups string) error {
	if groups == "" {
		return nil
	}
	file := h.nodes["/etc/group"]
	for name := range strings.SplitSeq(groups, ",") {
		lines := strings.Split(string(file.content), "\n")
		found := false
		for i, line := range lines {
			if strings.HasPrefix(line, name+":") {
				lines[i] = strings.TrimSuffix(line+","+user, ",")
				lines[i] = strings.Replace(lines[i], ":,", ":", 1)
				found = true
			}
		}
		if !found {
			return exit(c, 6, "usermod: group '"+name+"' does not exist")
		}
		file.content = []byte(strings.Join(lines, "\n"))
	}
	return nil
}
