package ec2test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
)

// The states of an instance.
const (
	pending    = "pending"
	running    = "running"
	ending     = "shutting-down"
	terminated = "terminated"
)

// started is when everything here began.
const started = "2026-11-30T12:00:00.000Z"

type instance struct {
	id, token, group, address string
	tags                      map[string]string
	late                      int // looks that do not know it yet
	booting                   int // looks until it runs
	ended                     bool
	leaving                   int // looks until it is gone
	end                       func()
}

func (i *instance) state() string {
	switch {
	case i.ended && i.leaving > 0:
		return ending
	case i.ended:
		return terminated
	case i.booting > 0:
		return pending
	}
	return running
}

// look is what time does to an instance.
func (i *instance) look() {
	switch {
	case i.ended:
		i.leaving = max(0, i.leaving-1)
	default:
		i.booting = max(0, i.booting-1)
	}
}

func (i *instance) shut() {
	if i.end != nil {
		i.end()
	}
	i.end = nil
}

func (i *instance) xml() string {
	address := ""
	if i.state() == running {
		address = i.address
	}
	return texts("instanceId", i.id, "launchTime", started, "ipAddress", address) + element("instanceState", texts("code", "0", "name", i.state())) + tagSet(i.tags)
}

func (s *Server) newID(prefix string) string {
	s.made++
	return fmt.Sprintf("%s-%017x", prefix, s.made)
}

func decoded(v string) string {
	content, err := base64.StdEncoding.DecodeString(v)
	if err != nil {
		return ""
	}
	return string(content)
}

func (s *Server) runInstances(f url.Values) (string, *failure) {
	if token := f.Get("ClientToken"); token != "" {
		if i := slices.IndexFunc(s.instances, func(i *instance) bool { return i.token == token }); i >= 0 {
			return texts("reservationId", "r-1") + list("instancesSet", []string{s.instances[i].xml()}), nil
		}
	}
	g, wrong := s.launchable(f)
	if wrong != nil {
		return "", wrong
	}
	i := &instance{
		id: s.newID("i"), token: f.Get("ClientToken"), group: g.id, tags: tagged(f, "instance"), late: s.late, booting: 2, leaving: 1,
		address: fmt.Sprintf("127.77.0.%d", len(s.instances)+1),
	}
	if !s.dead {
		var line string
		for _, p := range s.pairs {
			if p.name == f.Get("KeyName") {
				line = p.line
			}
		}
		address, end, err := s.boot(s.ctx, Boot{Address: i.address, Port: s.Port, UserData: decoded(f.Get("UserData")), Line: line})
		if err != nil {
			return "", &failure{"InternalError", err.Error()}
		}
		i.address, i.end = address, end
	}
	s.instances = append(s.instances, i)
	return texts("reservationId", "r-1") + list("instancesSet", []string{i.xml()}), nil
}

// launchable checks what an instance is started with; those of Salvor have to be as it
// promises, too.
func (s *Server) launchable(f url.Values) (*group, *failure) {
	const metadata, disk = "MetadataOptions.", "BlockDeviceMapping.1."
	bad := func(what string) *failure { return &failure{"InvalidParameterValue", what} }
	id := f.Get("SecurityGroupId.1")
	g := s.group(id)
	known := slices.ContainsFunc(s.images, func(i image) bool { return i.ID == f.Get("ImageId") && i.Root == f.Get(disk+"DeviceName") })
	switch {
	case f.Get("MinCount") != "1" || f.Get("MaxCount") != "1":
		return nil, missing("MinCount and MaxCount")
	case !known:
		return nil, &failure{"InvalidAMIID.NotFound", "The image id '[" + f.Get("ImageId") + "]' does not exist"}
	case !slices.ContainsFunc(s.pairs, func(p *pair) bool { return p.name == f.Get("KeyName") }):
		return nil, &failure{"InvalidKeyPair.NotFound", "The key pair '" + f.Get("KeyName") + "' does not exist"}
	case g == nil || g.late > 0:
		return nil, noGroup(id)
	case len(g.from) == 0:
		return nil, bad("nothing reaches port 22 of " + id)
	case f.Get(metadata+"HttpTokens") != "required" || f.Get(metadata+"HttpPutResponseHopLimit") != "1":
		return nil, bad("the instance's metadata can be read without a token, or from containers")
	case f.Get(disk+"Ebs.Encrypted") != "true" || f.Get(disk+"Ebs.VolumeType") != "gp3" || f.Get(disk+"Ebs.DeleteOnTermination") != "true":
		return nil, bad("the root volume is not as Salvor says")
	case tagged(f, "instance")["salvor:server"] == "" || tagged(f, "volume")["salvor:server"] == "":
		return nil, bad("it has no tag salvor:server")
	}
	return g, nil
}

func (s *Server) describeInstances(f url.Values) (string, *failure) {
	wanted := values(f, "InstanceId")
	var items []string
	for _, id := range wanted {
		if !slices.ContainsFunc(s.instances, func(i *instance) bool { return i.id == id && i.late == 0 }) {
			s.age(id)
			return "", noInstance(id)
		}
	}
	for _, i := range s.instances {
		if i.late > 0 || len(wanted) > 0 && !slices.Contains(wanted, i.id) {
			s.age(i.id)
			continue
		}
		i.look()
		if passes(f, map[string]string{"instance-state-name": i.state()}, i.tags) {
			items = append(items, element("reservationId", "r-1")+list("instancesSet", []string{i.xml()}))
		}
	}
	return paged(f, "reservationSet", items)
}

// age lets an instance become known.
func (s *Server) age(id string) {
	for _, i := range s.instances {
		if i.id == id {
			i.late = max(0, i.late-1)
		}
	}
}

func noInstance(id string) *failure {
	return &failure{"InvalidInstanceID.NotFound", "The instance ID '" + id + "' does not exist"}
}

func (s *Server) terminate(f url.Values) (string, *failure) {
	wanted := values(f, "InstanceId")
	if len(wanted) == 0 {
		return "", missing("InstanceId")
	}
	var items []string
	for _, id := range wanted {
		at := slices.IndexFunc(s.instances, func(i *instance) bool { return i.id == id })
		if at < 0 || s.instances[at].late > 0 {
			s.age(id)
			return "", noInstance(id)
		}
		i := s.instances[at]
		i.ended = true
		i.shut()
		items = append(items, texts("instanceId", id)+element("currentState", texts("code", "32", "name", i.state())))
	}
	return list("instancesSet", items), nil
}
