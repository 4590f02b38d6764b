package ec2test

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

type image struct{ ID, Name, Owner, Created, Arch, Root string }

type group struct {
	id, name, vpc string
	tags          map[string]string
	from          []string // networks that reach port 22
	late          int
	held          int // how often it is still in use once its instances are gone
}

type pair struct {
	id, name, line string
	tags           map[string]string
}

const vpc = "vpc-1"

func (s *Server) describeTypes(f url.Values) (string, *failure) {
	arch := map[string]string{"t3.small": "x86_64", "t4g.small": "arm64", "mac1.metal": "x86_64_mac"}
	var items []string
	for _, kind := range values(f, "InstanceType") {
		if arch[kind] == "" {
			return "", &failure{"InvalidInstanceType", "The following supplied instance types do not exist: [" + kind + "]"}
		}
		items = append(items, texts("instanceType", kind)+element("processorInfo", list("supportedArchitectures", []string{arch[kind]})))
	}
	return paged(f, "instanceTypeSet", items)
}

func (s *Server) describeImages(f url.Values) (string, *failure) {
	var items []string
	owners := values(f, "Owner")
	for _, i := range s.images {
		if len(owners) > 0 && !slices.Contains(owners, i.Owner) {
			continue
		}
		has := map[string]string{"name": i.Name, "architecture": i.Arch, "state": "available", "root-device-type": "ebs", "virtualization-type": "hvm"}
		if passes(f, has, nil) {
			items = append(items, texts("imageId", i.ID, "name", i.Name, "imageOwnerId", i.Owner, "creationDate", i.Created, "architecture", i.Arch, "rootDeviceName", i.Root, "rootDeviceType", "ebs", "imageState", "available"))
		}
	}
	return paged(f, "imagesSet", items)
}

func (s *Server) describeVpcs(f url.Values) (string, *failure) {
	if s.noVPC || !passes(f, map[string]string{"is-default": "true"}, nil) {
		return list("vpcSet", nil), nil
	}
	return list("vpcSet", []string{texts("vpcId", vpc, "isDefault", "true", "state", "available")}), nil
}

func (s *Server) importKeyPair(f url.Values) (string, *failure) {
	name, line := f.Get("KeyName"), decoded(f.Get("PublicKeyMaterial"))
	switch {
	case name == "":
		return "", missing("KeyName")
	case !strings.HasPrefix(line, "ssh-"):
		return "", &failure{"InvalidKey.Format", "Key is not in valid OpenSSH public key format"}
	case slices.ContainsFunc(s.pairs, func(p *pair) bool { return p.name == name }):
		return "", &failure{"InvalidKeyPair.Duplicate", "The keypair already exists"}
	}
	p := &pair{id: s.newID("key"), name: name, line: line, tags: tagged(f, "key-pair")}
	s.pairs = append(s.pairs, p)
	return texts("keyName", name, "keyPairId", p.id) + tagSet(p.tags), nil
}

func (s *Server) describeKeyPairs(f url.Values) (string, *failure) {
	var items []string
	for _, p := range s.pairs {
		if passes(f, map[string]string{"key-name": p.name}, p.tags) {
			items = append(items, texts("keyName", p.name, "keyPairId", p.id, "createTime", started)+tagSet(p.tags))
		}
	}
	return list("keySet", items), nil
}

func (s *Server) deleteKeyPair(f url.Values) (string, *failure) {
	id := f.Get("KeyPairId")
	if id == "" {
		return "", missing("KeyPairId")
	}
	s.pairs = slices.DeleteFunc(s.pairs, func(p *pair) bool { return p.id == id })
	return texts("return", "true", "keyPairId", id), nil // also for one that is not there
}

func (s *Server) createGroup(f url.Values) (string, *failure) {
	name := f.Get("GroupName")
	switch {
	case name == "" || f.Get("GroupDescription") == "":
		return "", missing("GroupName and GroupDescription")
	case f.Get("VpcId") == "" && s.noVPC:
		return "", &failure{"VPCIdNotSpecified", "No default VPC for this user"}
	case f.Get("VpcId") != "" && (f.Get("VpcId") != vpc || s.noVPC):
		return "", &failure{"InvalidVpcID.NotFound", "The vpc ID '" + f.Get("VpcId") + "' does not exist"}
	case strings.HasPrefix(name, "sg-") || len(name) > 255:
		return "", &failure{"InvalidParameterValue", "Invalid value for GroupName"}
	case slices.ContainsFunc(s.groups, func(g *group) bool { return g.name == name }):
		return "", &failure{"InvalidGroup.Duplicate", "The security group '" + name + "' already exists for VPC '" + vpc + "'"}
	}
	g := &group{id: s.newID("sg"), name: name, vpc: vpc, tags: tagged(f, "security-group"), late: s.late, held: 1}
	s.groups = append(s.groups, g)
	return texts("groupId", g.id, "return", "true") + tagSet(g.tags), nil
}

func (s *Server) group(id string) *group {
	i := slices.IndexFunc(s.groups, func(g *group) bool { return g.id == id })
	if i < 0 {
		return nil
	}
	return s.groups[i]
}

func noGroup(id string) *failure {
	return &failure{"InvalidGroup.NotFound", "The security group '" + id + "' does not exist"}
}

func (s *Server) authorize(f url.Values) (string, *failure) {
	g := s.group(f.Get("GroupId"))
	if g == nil || g.late > 0 {
		if g != nil {
			g.late--
		}
		return "", noGroup(f.Get("GroupId"))
	}
	if f.Get("IpPermissions.1.IpProtocol") != "tcp" || f.Get("IpPermissions.1.FromPort") != "22" || f.Get("IpPermissions.1.ToPort") != "22" || f.Has("IpPermissions.2.IpProtocol") {
		return "", &failure{"InvalidParameterValue", "this emulator takes a rule for port 22 alone"}
	}
	var from []string
	for _, ranges := range []string{"IpPermissions.1.IpRanges.1.CidrIp", "IpPermissions.1.Ipv6Ranges.1.CidrIpv6"} {
		for n := '1'; f.Has(strings.Replace(ranges, "Ranges.1", "Ranges."+string(n), 1)); n++ {
			from = append(from, f.Get(strings.Replace(ranges, "Ranges.1", "Ranges."+string(n), 1)))
		}
	}
	for _, network := range from {
		if p, err := netip.ParsePrefix(network); err != nil || p != p.Masked() {
			return "", &failure{"InvalidParameterValue", "CIDR block " + network + " is malformed"}
		}
		if slices.Contains(g.from, network) {
			return "", &failure{"InvalidPermission.Duplicate", "the specified rule already exists"}
		}
	}
	if len(from) == 0 {
		return "", missing("IpRanges")
	}
	g.from = append(g.from, from...)
	return texts("return", "true"), nil
}

func (s *Server) describeGroups(f url.Values) (string, *failure) {
	var items []string
	for _, g := range s.groups {
		if passes(f, map[string]string{"group-name": g.name}, g.tags) {
			items = append(items, texts("groupId", g.id, "groupName", g.name, "vpcId", g.vpc)+tagSet(g.tags))
		}
	}
	return paged(f, "securityGroupInfo", items)
}

func (s *Server) deleteGroup(f url.Values) (string, *failure) {
	g := s.group(f.Get("GroupId"))
	if g == nil {
		return "", noGroup(f.Get("GroupId"))
	}
	used, everUsed := false, false
	for _, i := range s.instances {
		everUsed = everUsed || i.group == g.id
		used = used || i.group == g.id && i.state() != terminated
	}
	if used || everUsed && g.held > 0 {
		if !used {
			g.held--
		}
		return "", &failure{"DependencyViolation", "resource " + g.id + " has a dependent object"}
	}
	s.groups = slices.DeleteFunc(s.groups, func(other *group) bool { return other == g })
	return texts("return", "true"), nil
}
