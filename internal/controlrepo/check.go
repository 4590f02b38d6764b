package controlrepo

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"filippo.io/age/plugin"

	"salvor/internal/fleet"
	"salvor/internal/hostkey"
)

var (
	zonePattern        = regexp.MustCompile(`^[A-Za-z0-9_.-]*$`)
	addressPattern     = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
	userPattern        = regexp.MustCompile(`^[a-z_][a-z0-9_.-]*\$?$`)
	registryPattern    = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]{1,5})?$`)
	tagPattern         = regexp.MustCompile(`^tag:[a-zA-Z][a-zA-Z0-9-]*$`)
	fingerprintPattern = regexp.MustCompile(`^([0-9A-F]{40}|[0-9A-F]{64})$`)
	branchPattern      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+-]*$`)
)

// checkAddress accepts an IP address or a DNS name. Of an IPv6 address the zone must be the name of an interface: netip
// takes any text, and addresses are written into ssh's configuration and arguments.
func checkAddress(v string) error {
	if ip, err := netip.ParseAddr(v); err == nil && zonePattern.MatchString(ip.Zone()) || addressPattern.MatchString(v) {
		return nil
	}
	if strings.ContainsAny(v, "@:") {
		return fmt.Errorf("%q is not an IP address or DNS name: user and port have their own keys", v)
	}
	return fmt.Errorf("%q is not an IP address or DNS name", v)
}

// CheckReach reports why a host can't be declared as it is reached: address, port, user and jump host as fleet.yaml takes
// them.
func CheckReach(h fleet.Host) error {
	switch err := checkAddress(h.Address); {
	case err != nil:
		return err
	case !userPattern.MatchString(h.User):
		return fmt.Errorf("%q is not a user name", h.User)
	case h.Port < 1 || h.Port > 65535:
		return fmt.Errorf("%d is not a port", h.Port)
	case h.Jump != "":
		return checkJump(h.Jump)
	}
	return nil
}

// checkServer accepts PROVIDER:REGION/ID.
func checkServer(v string) error {
	_, err := fleet.ParseServer(v)
	return err
}

// checkJump accepts user@host:port, with user and port optional.
func checkJump(v string) error {
	user, rest, found := strings.Cut(v, "@")
	if !found {
		user, rest = "root", v
	}
	host := rest
	if h, port, err := net.SplitHostPort(rest); err == nil {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("%q does not have a valid port", v)
		}
		host = h
	}
	if !userPattern.MatchString(user) || checkAddress(host) != nil {
		return fmt.Errorf("%q is not an SSH host: write user@host:port", v)
	}
	return nil
}

func checkURL(v string) error {
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("%q is not a web address: it must start with https:// or http://", v)
	}
	if u.User != nil {
		return errors.New("the address contains a user or password; remove them")
	}
	return nil
}

// checkGitURL accepts what git clone does, but no password in plain text and
// nothing that git would take for an option or a program to run.
func checkGitURL(v string) error {
	if v == "" || strings.HasPrefix(v, "-") || strings.Contains(v, "::") || strings.ContainsAny(v, "\n\r\t ") {
		return fmt.Errorf("%q is not the address of a Git repository", v)
	}
	if u, err := url.Parse(v); err == nil && u.User != nil {
		_, has := u.User.Password()
		if web := strings.HasPrefix(strings.ToLower(u.Scheme), "http"); has || web { // a token may be in the place of the user
			return errors.New("the address contains a password or a token; hosts read Git with their own key")
		}
	}
	return nil
}

func checkBranch(v string) error {
	if !branchPattern.MatchString(v) || strings.Contains(v, "..") || strings.Contains(v, "//") || strings.HasSuffix(v, "/") || strings.HasSuffix(v, ".lock") {
		return fmt.Errorf("%q is not a branch name", v)
	}
	return nil
}

func checkSubnet(v string) error {
	p, err := netip.ParsePrefix(v)
	if err != nil {
		return fmt.Errorf("%q is not a subnet: write it like 10.20.0.0/16", v)
	}
	if p != p.Masked() {
		return fmt.Errorf("%q has bits beyond its mask, did you mean %q?", v, p.Masked())
	}
	return nil
}

// checkArgument accepts what a program can be given; nothing is an argument, too.
func checkArgument(v string) error {
	if strings.Contains(v, "\x00") {
		return errors.New("an argument must not contain a NUL byte")
	}
	return nil
}

func checkTag(v string) error {
	if !tagPattern.MatchString(v) {
		return fmt.Errorf("%q is not a tag: write it like tag:salvor", v)
	}
	return nil
}

// checkOperator accepts the recipients of age plugins as well: a person can have
// a hardware key, a host or a card can't.
func checkOperator(v string) error {
	err := hostkey.CheckRecipient(v)
	if name, _, pluginErr := plugin.ParseRecipient(v); pluginErr == nil && name != "" {
		return nil
	}
	return err
}
