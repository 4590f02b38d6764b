package doctor

import (
	"bytes"
	"context"
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"time"

	"salvor/internal/hostprep"
	"salvor/internal/machine"
	"salvor/internal/wayin"
)

// look asks a host, as root and in one round trip, and changes nothing.
//
//go:embed look.sh
var look []byte

// A sight is what a host said: lines of name=value, of which a name may have several.
type sight struct {
	said map[string][]string
	os   hostprep.OS
	here time.Time // when it was asked, by this computer's clock
}

// seen looks at a host.
func seen(ctx context.Context, m machine.Machine) (sight, error) {
	began := time.Now()
	out, err := m.Run(ctx, machine.Cmd{Argv: []string{"sh", "-c", string(look)}})
	if err != nil {
		return sight{}, err
	}
	s := parseSight(out.Stdout)
	s.here = began.Add(time.Since(began) / 2)
	return s, nil
}

func parseSight(text []byte) sight {
	s := sight{said: map[string][]string{}}
	var release bytes.Buffer
	for line := range bytes.Lines(text) {
		name, value, found := strings.Cut(strings.TrimSpace(string(line)), "=")
		if !found || value == "" {
			continue
		}
		if key, is := strings.CutPrefix(name, "os."); is {
			release.WriteString(key + "=" + value + "\n")
			continue
		}
		s.said[name] = append(s.said[name], value)
	}
	s.os, _ = hostprep.ParseOSRelease(release.Bytes()) // a host without one is of no distribution
	return s
}

// one is the only value of a name, "" for none.
func (s sight) one(name string) string {
	if all := s.said[name]; len(all) > 0 {
		return all[0]
	}
	return ""
}

// number is a name's value, and whether it is one.
func (s sight) number(name string) (int64, bool) {
	n, err := strconv.ParseInt(s.one(name), 10, 64)
	return n, err == nil && n >= 0
}

// sshd is what sshd says of itself, without a setting where it says nothing.
func (s sight) sshd() wayin.Options {
	return wayin.ParseOptions([]byte(strings.Join(s.said["sshd"], "\n")))
}

// ports are those that answer from elsewhere, in order.
func (s sight) ports() []int {
	var all []int
	for _, address := range s.said["listens"] {
		at := strings.LastIndexByte(address, ':')
		if at < 0 || strings.HasPrefix(address, "127.") || strings.HasPrefix(address, "[::1]") || strings.Contains(address[:at], "%lo") {
			continue
		}
		if port, err := strconv.Atoi(address[at+1:]); err == nil && port > 0 && port < 1<<16 {
			all = append(all, port)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
